package import ApusCore
import HeapModule

/// Which subscriptions nobody has used for so long that they go, and which uses the catalogue has to hear of.
///
/// A use is whatever a reader does: a heartbeat of its group, a fetch, a commit, an ack. It is cheap: one number in
/// memory. The catalogue hears of it at most once a minute for each subscription, so after a start the times are a
/// little old, and readers had no way to be there while nobody served them: nothing expires before they had
/// `Limits.subscriptionGraceAfterStart` to come back.
///
/// Time is the retention clock's: a wall clock that jumps ahead must not remove everybody.
///
/// Owner: whoever commits the removals; uses of all shards come to it in batches.
package struct SubscriptionExpiries: Sendable {
    private struct Life: Sendable {
        var entry: RegisteredSubscription
        var usedAt: Timestamp
        /// As the catalogue has it.
        var notedAt: Timestamp
        /// A use waits to be noted.
        var isNoteWaiting = false
        /// Its one valid place in the heap; nil: it can not expire, or it was named.
        var lookAt: Timestamp?
    }

    private struct Due: Comparable, Sendable {
        var at: Timestamp
        var id: SubscriptionID

        static func < (left: Due, right: Due) -> Bool { (left.at, left.id) < (right.at, right.id) }
    }

    private var lives: [SubscriptionID: Life] = [:]
    /// One for each that can expire, which may be too early (it was used since), and others that count no more.
    private var due = Heap<Due>()
    private var toNote: [SubscriptionID] = []
    private let graceEnd: Timestamp

    /// - Parameter start: when this broker began to serve readers.
    package init(startedAt start: Timestamp, grace: Duration = Limits.subscriptionGraceAfterStart) {
        self.graceEnd = start.later(by: grace)
    }

    // MARK: Keeping it

    package mutating func load(_ page: CataloguePage<RegisteredSubscription, SubscriptionName>) {
        for entry in page.items { self.put(entry) }
    }

    package mutating func apply(_ receipt: CatalogueReceipt) {
        for outcome in receipt.outcomes {
            switch outcome {
            case .subscription(let entry): self.put(entry)
            case .subscriptionRemoved(_, let id): self.lives[id] = nil
            case .consumer, .consumerRemoved: break
            }
        }
    }

    /// They are gone, and nobody told of it: the catalogue was read anew.
    package mutating func forget(_ ids: [SubscriptionID]) {
        for id in ids { self.lives[id] = nil }
    }

    private mutating func put(_ entry: RegisteredSubscription) {
        if let known = self.lives[entry.id] {
            guard known.entry.version <= entry.version else { return }
            self.lives[entry.id]?.entry = entry
            self.lives[entry.id]?.usedAt = max(known.usedAt, entry.usedAt)
        } else {
            self.lives[entry.id] = Life(entry: entry, usedAt: entry.usedAt, notedAt: entry.usedAt)
        }
        self.look(at: entry.id, self.lives[entry.id].flatMap { self.end(of: $0) })
    }

    private mutating func look(at id: SubscriptionID, _ time: Timestamp?) {
        guard let life = self.lives[id], life.lookAt != time else { return }
        self.lives[id]?.lookAt = time
        if let time { self.due.insert(Due(at: time, id: id)) }
    }

    /// Somebody used it. Never goes back.
    package mutating func used(_ id: SubscriptionID, at now: Timestamp) {
        guard let life = self.lives[id], life.usedAt < now else { return }
        self.lives[id]?.usedAt = now
        guard !life.isNoteWaiting, life.notedAt.later(by: Self.notePeriod(of: life.entry.subscription)) <= now else {
            return
        }
        self.lives[id]?.isNoteWaiting = true
        self.toNote.append(id)
    }

    /// When it was last used; nil when it is not known.
    package func lastUse(of id: SubscriptionID) -> Timestamp? { self.lives[id]?.usedAt }

    // MARK: What to do

    /// When ``expired(at:)`` may have something next; nil: nothing can expire.
    package var nextLook: Timestamp? { self.due.min?.at }

    /// Those whose time is over, oldest first, as the catalogue knew them. Each is named once; if its removal fails it
    /// is asked for again with ``retry(_:at:)``.
    package mutating func expired(at now: Timestamp) -> [RegisteredSubscription] {
        var expired: [RegisteredSubscription] = []
        while let first = self.due.min, first.at <= now, expired.count < Limits.catalogueChangesMax {
            self.due.removeMin()
            guard let life = self.lives[first.id], life.lookAt == first.at, let end = self.end(of: life) else {
                continue
            }
            if end <= now {
                self.lives[first.id]?.lookAt = nil
                expired.append(life.entry)
            } else {
                self.look(at: first.id, end)
            }
        }
        return expired
    }

    /// The removal did not happen: look again after a while.
    package mutating func retry(_ id: SubscriptionID, at now: Timestamp) {
        self.look(at: id, now.later(by: Limits.subscriptionUseNotedPeriod))
    }

    /// Uses that the catalogue has not heard of, and should. Taken once.
    package mutating func usesToNote() -> [SubscriptionUse] {
        let ids = self.toNote
        self.toNote = []
        return ids.compactMap { id in
            guard let life = self.lives[id] else { return nil }
            self.lives[id]?.isNoteWaiting = false
            self.lives[id]?.notedAt = life.usedAt
            return SubscriptionUse(id: id, at: life.usedAt)
        }
    }

    /// All uses that the catalogue has not heard of: before a clean stop.
    package mutating func allUsesToNote() -> [SubscriptionUse] {
        self.toNote = self.lives.filter { $0.value.usedAt > $0.value.notedAt }.map(\.key).sorted()
        return self.usesToNote()
    }

    /// The commit that removes one; refused by the catalogue if it was changed meanwhile.
    package static func removal(
        of entry: RegisteredSubscription, by actor: ConsumerName, at now: Timestamp
    ) -> CatalogueTransaction {
        CatalogueTransaction(
            [.removeSubscription(entry.subscription.name, expecting: entry.version)], by: actor, at: now,
            reason: "unused for \(entry.subscription.expiry?.inWords ?? "too long")")
    }

    private func end(of life: Life) -> Timestamp? {
        life.entry.subscription.expiry.map { max(self.graceEnd, life.usedAt.later(by: $0)) }
    }

    /// Often enough that a start does not forget a use for long, seldom enough to cost nothing.
    private static func notePeriod(of subscription: Subscription) -> Duration {
        guard let expiry = subscription.expiry else { return Limits.subscriptionUseNotedPeriod }
        return min(Limits.subscriptionUseNotedPeriod, expiry / 4)
    }
}
