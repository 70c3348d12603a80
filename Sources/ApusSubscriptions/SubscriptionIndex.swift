package import ApusCore
import HashTreeCollections

/// Every live subscription, by name, by topic and by owner: what the catalogue says, ready to be asked on a hot path.
///
/// A value over persistent trees: a copy costs nothing, so that each shard holds one and is handed the next with the
/// catalogue's next commit. Answers may be kept as long as `version` stays.
///
/// Filled from pages, then kept by the receipts of a watch that began at the first page's version. Pages may be newer
/// than receipts that come after them: what is older than what is known changes nothing.
package struct SubscriptionIndex: Sendable {
    /// The newest commit that was applied.
    package private(set) var version: CatalogueVersion

    private var entries: TreeDictionary<SubscriptionID, RegisteredSubscription> = [:]
    private var names: TreeDictionary<SubscriptionName, SubscriptionID> = [:]
    private var sortedNames = SortedNames()
    private var consumers: TreeDictionary<ConsumerName, RegisteredConsumer> = [:]
    private var interests = InterestTable()
    private var interestsByOwner: TreeDictionary<ConsumerName, InterestTable> = [:]

    package init() {
        self.version = .none
    }

    package var count: Int { self.entries.count }

    /// In no order.
    package var all: some Sequence<RegisteredSubscription> { self.entries.values }

    /// Those whose names come after this one, in order of their names (by bytes); nil: all.
    package func all(after name: SubscriptionName?) -> some Sequence<RegisteredSubscription> {
        self.sortedNames.after(name).lazy.compactMap { self.subscription(named: $0) }
    }

    // MARK: Keeping it

    package mutating func load(_ page: CataloguePage<RegisteredSubscription, SubscriptionName>) {
        for entry in page.items { self.put(entry) }
    }

    package mutating func load(_ page: CataloguePage<RegisteredConsumer, ConsumerName>) {
        for entry in page.items { self.put(entry) }
    }

    /// Puts what was read anew in place of what was known, but for what was committed after the read began: the watch
    /// that follows tells of that again.
    /// - Parameter version: of the first page that was read.
    /// - Returns: the subscriptions that are gone.
    package mutating func reload(_ loaded: SubscriptionIndex, readAt version: CatalogueVersion) -> [SubscriptionID] {
        let before = self
        self = loaded
        self.version = max(self.version, before.version)
        var gone: [SubscriptionID] = []
        for entry in before.entries.values {
            if entry.version > version {
                self.put(entry)
            } else if self.entries[entry.id] == nil {
                gone.append(entry.id)
            }
        }
        return gone
    }

    /// - Parameter receipt: as the watch told it, in order.
    package mutating func apply(_ receipt: CatalogueReceipt) {
        for outcome in receipt.outcomes {
            switch outcome {
            case .consumer(let entry): self.put(entry)
            case .consumerRemoved(let name):
                if let known = self.consumers[name], known.version < receipt.version { self.consumers[name] = nil }
            case .subscription(let entry): self.put(entry)
            case .subscriptionRemoved(_, let id): self.remove(id)
            }
        }
        self.version = max(self.version, receipt.version)
    }

    private mutating func put(_ entry: RegisteredConsumer) {
        if let known = self.consumers[entry.consumer.name], known.version > entry.version { return }
        self.consumers[entry.consumer.name] = entry
    }

    private mutating func put(_ entry: RegisteredSubscription) {
        let subscription = entry.subscription
        if let known = self.subscription(named: subscription.name) {
            guard (known.id, known.version) <= (entry.id, entry.version) else { return }
            self.remove(known.id)
        }
        self.entries[entry.id] = entry
        self.names[subscription.name] = entry.id
        self.sortedNames.insert(subscription.name)
        self.interests.add(entry)
        self.interestsByOwner[subscription.owner, default: InterestTable()].add(entry)
    }

    private mutating func remove(_ id: SubscriptionID) {
        guard let entry = self.entries.removeValue(forKey: id) else { return }
        let owner = entry.subscription.owner
        self.names[entry.subscription.name] = nil
        self.sortedNames.remove(entry.subscription.name)
        self.interests.remove(entry)
        self.interestsByOwner[owner]?.remove(entry)
        if self.interestsByOwner[owner]?.isEmpty == true { self.interestsByOwner[owner] = nil }
    }

    // MARK: Asking

    package func subscription(named name: SubscriptionName) -> RegisteredSubscription? {
        self.names[name].flatMap { self.entries[$0] }
    }

    package subscript(id id: SubscriptionID) -> RegisteredSubscription? { self.entries[id] }

    package func consumer(named name: ConsumerName) -> RegisteredConsumer? { self.consumers[name] }

    /// Those who read a topic, the widest period first.
    package func readers(of topic: String) -> [Reader] { self.interests.readers(of: topic) }

    /// Those of one consumer, the widest period first.
    package func readers(of topic: String, ownedBy owner: ConsumerName) -> [Reader] {
        self.interestsByOwner[owner]?.readers(of: topic) ?? []
    }

    package func widest(of topic: String) -> WidestPeriod { self.interests.widest(of: topic) }

    package func widest(of topic: String, ownedBy owner: ConsumerName) -> WidestPeriod {
        self.interestsByOwner[owner]?.widest(of: topic) ?? WidestPeriod()
    }
}

/// A subscription as one topic sees it.
package struct Reader: Hashable, Sendable {
    package var id: SubscriptionID
    /// As its owner stated it; nil: it asks for nothing.
    package var period: Duration?

    package init(id: SubscriptionID, period: Duration?) {
        self.id = id
        self.period = period
    }
}

/// What the subscriptions of a topic ask for together.
package struct WidestPeriod: Hashable, Sendable {
    /// The longest period that one of them states; nil: none states one.
    package var stated: Duration?
    /// One of them states none.
    package var hasUnstated: Bool

    package init(stated: Duration? = nil, hasUnstated: Bool = false) {
        self.stated = stated
        self.hasUnstated = hasUnstated
    }

    /// There is no subscription at all.
    package var isNobody: Bool { self.stated == nil && !self.hasUnstated }
}
