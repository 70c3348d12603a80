package import ApusCore

/// How far every subscription has come in one partition, and what follows from it: which records are free, and who has
/// read a record. Derived from positions and acks; nothing is stored per record.
///
/// Everything below a reader's position is consumed; above it, a queue's acks are ranges. A reader of which nothing is
/// known has read nothing: it may still want everything.
///
/// Owner: the partition's shard. Rebuilt from `__consumer_offsets` and the queues' acks when the partition moves.
package struct PartitionReaders: Sendable {
    fileprivate struct Progress: Hashable, Sendable {
        /// All below is consumed.
        var position: Offset
        /// Consumed above the position: sorted, apart from each other, not empty, beginning above the position.
        var acked: [Range<Offset>] = []
    }

    private var progress: [SubscriptionID: Progress] = [:]

    package init() {}

    // MARK: What happened

    /// A subscription begins here: what lies before is not its business. Told once, when it first meets the partition;
    /// later, and after it has a position, this changes nothing.
    package mutating func began(_ id: SubscriptionID, at offset: Offset) {
        guard self.progress[id] == nil else { return }
        self.progress[id] = Progress(position: offset)
    }

    /// A position was committed: the next offset to be read. May go back (a seek); then what was read is read no more.
    package mutating func committed(_ id: SubscriptionID, _ offset: Offset) {
        // Also a queue's acks above a position that goes back are kept: those records need no second worker.
        var progress = self.progress[id] ?? Progress(position: offset)
        progress.position = offset
        progress.settle()
        self.progress[id] = progress
    }

    /// A queue's workers are done with these. What lies between the position and them is still to be done.
    package mutating func acked(_ id: SubscriptionID, _ offsets: Range<Offset>) {
        guard !offsets.isEmpty else { return }
        var progress = self.progress[id] ?? Progress(position: .zero)
        progress.add(offsets)
        self.progress[id] = progress
    }

    package var isEmpty: Bool { self.progress.isEmpty }

    /// Those of which something is known, in no order.
    package var ids: some Sequence<SubscriptionID> { self.progress.keys }

    /// It is gone; it waits for nothing any more.
    package mutating func forget(_ id: SubscriptionID) {
        self.progress[id] = nil
    }

    // MARK: Asking

    package func position(of id: SubscriptionID) -> Offset? { self.progress[id]?.position }

    package func hasRead(_ id: SubscriptionID, _ offset: Offset) -> Bool {
        guard let progress = self.progress[id] else { return false }
        if offset < progress.position { return true }
        let place = progress.acked.firstPlace { $0.upperBound > offset }
        return place < progress.acked.count && progress.acked[place].lowerBound <= offset
    }

    /// Below this offset nothing is needed any more, with `apus.retention.mode = consumed`.
    ///
    /// Free is what every reader has consumed or can not read any more, but nothing younger than the floor; and
    /// everything older than the ceiling, whoever has not read it. So a dead reader pins a disk no longer than the
    /// ceiling lets it, nor longer than its own period, nor after it expires.
    /// - Parameters:
    ///   - end: the high watermark; nothing at or above it is free.
    ///   - readers: those of one period beside each other, as ``SubscriptionIndex/readers(of:)`` has them.
    ///   - startOfAge: the first offset that is not older than this, by the time index; asked at most once for each
    ///     run of one period.
    package func free(
        below end: Offset, readers: [Reader], policy: RetentionPolicy, startOfAge: (Duration) -> Offset
    ) -> Offset {
        guard let floor = policy.floor else { return .zero }
        var needed = min(end, startOfAge(floor))
        for readers in readers.byPeriod {
            guard let first = readers.first else { continue }
            let from = readers.reduce(needed) { min($0, self.progress[$1.id]?.position ?? .zero) }
            guard from < needed else { continue }
            let start = first.period.flatMap { policy.period(stated: $0) }.map(startOfAge) ?? .zero
            needed = min(needed, max(from, start))
        }
        if let reach = policy.reach, reach > floor { needed = max(needed, min(end, startOfAge(reach))) }
        return min(needed, end)
    }

    /// Who has read one record, and who has not.
    /// - Parameters: as for ``free(below:readers:policy:startOfAge:)``.
    package func count(
        at offset: Offset, readers: [Reader], policy: RetentionPolicy, startOfAge: (Duration) -> Offset
    ) -> ReaderCount {
        var count = ReaderCount(subscriptions: readers.count)
        for readers in readers.byPeriod {
            guard let first = readers.first else { continue }
            let isLate = policy.window(stated: first.period).map { offset < startOfAge($0) } ?? false
            for reader in readers {
                if self.hasRead(reader.id, offset) {
                    count.read += 1
                } else {
                    count.add(reader.id, isLate: isLate)
                }
            }
        }
        return count
    }
}

/// The reader count of one record.
package struct ReaderCount: Hashable, Sendable {
    package var subscriptions: Int
    /// How many have consumed it.
    package var read: Int = 0
    /// How many have not, and still may.
    package private(set) var waiting: Int = 0
    /// How many have not, and may not any more: it left their window.
    package private(set) var late: Int = 0
    /// The first of those that wait, at most `Limits.readersNamedMax`.
    package private(set) var waitingFor: [SubscriptionID] = []
    /// The first of those that are late, at most `Limits.readersNamedMax`.
    package private(set) var missedBy: [SubscriptionID] = []

    package init(subscriptions: Int) {
        self.subscriptions = subscriptions
    }

    fileprivate mutating func add(_ id: SubscriptionID, isLate: Bool) {
        if isLate {
            self.late += 1
            if self.missedBy.count < Limits.readersNamedMax { self.missedBy.append(id) }
        } else {
            self.waiting += 1
            if self.waitingFor.count < Limits.readersNamedMax { self.waitingFor.append(id) }
        }
    }

    /// `3 of 5 have read it; waiting for billing, search`
    package func inWords(_ index: SubscriptionIndex) -> String {
        func names(_ ids: [SubscriptionID]) -> [String] {
            ids.map { index[id: $0]?.subscription.name.text ?? "(removed)" }.sorted()
        }
        return self.inWords(waiting: names(self.waitingFor), missed: names(self.missedBy))
    }

    /// The same, with the names as somebody may see them.
    package func inWords(waiting: [String], missed: [String]) -> String {
        guard self.subscriptions > 0 else { return "no subscription reads it" }
        func list(_ names: [String], of count: Int) -> String {
            let more = count > names.count ? ["and \(count - names.count) more"] : []
            return (names + more).joined(separator: ", ")
        }
        var text = "\(self.read) of \(self.subscriptions) \(self.subscriptions == 1 ? "has" : "have") read it"
        if self.waiting > 0 { text += "; waiting for \(list(waiting, of: self.waiting))" }
        if self.late > 0 { text += "; too late for \(list(missed, of: self.late))" }
        return text
    }
}

extension PartitionReaders.Progress {
    fileprivate mutating func add(_ offsets: Range<Offset>) {
        guard offsets.upperBound > self.position else { return }
        // All that it touches or meets becomes one range.
        let first = self.acked.firstPlace { $0.upperBound >= offsets.lowerBound }
        let last = self.acked.firstPlace { $0.lowerBound > offsets.upperBound }
        var whole = offsets
        if first < last {
            whole =
                min(
                    whole.lowerBound, self.acked[first].lowerBound)..<max(
                    whole.upperBound, self.acked[last - 1].upperBound)
        }
        self.acked.replaceSubrange(first..<last, with: CollectionOfOne(whole))
        self.settle()
    }

    /// The position moves over what is acked right behind it.
    fileprivate mutating func settle() {
        var passed = 0
        while passed < self.acked.count, self.acked[passed].lowerBound <= self.position {
            self.position = max(self.position, self.acked[passed].upperBound)
            passed += 1
        }
        if passed > 0 { self.acked.removeFirst(passed) }
    }
}

extension [Reader] {
    /// Runs of readers of one period. Ten thousand readers have a few periods, and each is looked up once.
    package var byPeriod: some Sequence<ArraySlice<Reader>> {
        sequence(state: self[...]) { rest -> ArraySlice<Reader>? in
            guard let first = rest.first else { return nil }
            let run = rest.prefix { $0.period == first.period }
            rest = rest.dropFirst(run.count)
            return run
        }
    }
}

extension Array {
    /// The first index at which the condition holds; it holds for all behind it.
    fileprivate func firstPlace(where isBehind: (Element) -> Bool) -> Int {
        var low = 0
        var high = self.count
        while low < high {
            let middle = low + (high - low) / 2
            if isBehind(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
