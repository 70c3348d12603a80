import ApusAccess
import ApusCore
import HashTreeCollections

/// All that the coordinator store holds for this broker (topics, configurations, producer ids) and what may become of
/// it.
///
/// A value, so that a change is a draft: copy, apply the requests, commit the ``transaction`` they add up to, and keep
/// the copy only if the store took it. Copying is cheap because the tables are persistent trees. Pure; owner:
/// ``BrokerRegistry``.
struct TopicRegistry: Sendable {
    private(set) var snapshot = TopicSnapshot()
    private(set) var table: ConfigurationTable
    /// What must be true in the store, and what changes there, for this draft to become real.
    private(set) var transaction = StoreTransaction(changes: [])
    /// Deleted topics whose files may still be there, with their number of partitions.
    private(set) var deleted: [TopicID: Int32] = [:]
    /// Topics that were created, deleted or changed since ``forgetChanges()``; nil: any may have been.
    private(set) var changedNames: [String]? = []

    /// How many topics and partitions each owner has.
    private(set) var owners = TopicOwners()

    private let placement: Placement
    /// Names by their form without dots, for those that have one to collide with.
    private var collisions: TreeDictionary<String, String> = [:]
    private var touched: [TopicID] = []
    /// The keys that the transaction changes or looks at.
    private var keys: Set<String> = []
    private var producerIDNext: Int64 = 0
    /// When the keys that are not topics were last changed.
    private var revisions: [String: StoreRevision] = [:]

    init(table: ConfigurationTable, leaderEpoch: Epoch) {
        self.table = table
        self.placement = Placement(broker: table.brokerID, epoch: leaderEpoch)
    }

    // MARK: The store

    /// Takes the store's content in place of all that was known. Answers the keys that could not be understood: their
    /// topics are not served, and nothing of them is deleted.
    mutating func load(_ store: StoreSnapshot) -> [String] {
        var fresh = TopicRegistry(table: self.table, leaderEpoch: self.placement.epoch)
        fresh.snapshot = TopicSnapshot(after: self.snapshot)
        fresh.changedNames = nil
        var strange: [String] = []
        var allBrokers: [String: String] = [:]
        var thisBroker: [String: String] = [:]
        for entry in store.entries where !entry.key.hasPrefix(StoreKey.topics) {
            if StoreKey.others.contains(where: { entry.key.hasPrefix($0) }) { continue }
            fresh.revisions[entry.key] = entry.modified
            if entry.key == StoreKey.producerIDs, let next = Self.integer(entry.value) {
                fresh.producerIDNext = next
            } else if entry.key == StoreKey.defaults, let record = ConfigurationRecord(entry.value) {
                allBrokers = record.values
            } else if entry.key == StoreKey.configuration(of: self.placement.broker),
                let record = ConfigurationRecord(entry.value)
            {
                thisBroker = record.values
            } else if entry.key.hasPrefix(StoreKey.deleted),
                let id = TopicID(String(entry.key.dropFirst(StoreKey.deleted.count))),
                let partitions = Self.integer(entry.value).flatMap(Int32.init(exactly:))
            {
                fresh.deleted[id] = partitions
            } else if !entry.key.hasPrefix(StoreKey.configuration) {
                strange.append(entry.key)
            }
        }
        fresh.table.load(allBrokers: allBrokers, thisBroker: thisBroker)
        for entry in store.entries where entry.key.hasPrefix(StoreKey.topics) {
            guard let id = TopicID(String(entry.key.dropFirst(StoreKey.topics.count))), id != .none,
                let record = TopicRecord(entry.value), fresh.snapshot.topic(named: record.name) == nil
            else {
                strange.append(entry.key)
                continue
            }
            fresh.insert(fresh.topic(id, record, revision: entry.modified))
        }
        self = fresh
        return strange
    }

    /// Whoever wants to know what changed was told.
    mutating func forgetChanges() { self.changedNames = [] }

    /// The store took the transaction: the draft is what is.
    mutating func committed(at revision: StoreRevision) {
        for id in self.touched {
            guard let topic = self.snapshot.topic(id: id) else { continue }
            self.snapshot.insert(
                Topic(
                    id: topic.id, name: topic.name, partitionCount: topic.partitionCount,
                    configuration: topic.configuration, owner: topic.owner, placement: self.placement,
                    bornIn: topic.bornIn, revision: revision
                )
            )
        }
        for change in self.transaction.changes {
            switch change {
            case .put(let key, _) where self.revisions[key] != nil: self.revisions[key] = revision
            case .delete(let key): self.revisions[key] = nil
            case .put: break
            }
        }
        self.touched = []
        self.keys = []
        self.transaction = StoreTransaction(changes: [])
    }

    // MARK: Topics

    /// `newID`: what the topic gets unless its creator gave one. `owner` is nobody where nobody logs in.
    mutating func create(
        _ wish: TopicSpecification, newID: TopicID, for owner: Principal? = nil, caps: OwnerCaps = .none
    ) throws(BrokerError) -> Topic {
        if let refusal = TopicName.refusal(of: wish.name) { throw .invalidTopicName(refusal) }
        guard self.snapshot.topic(named: wish.name) == nil else {
            throw .topicExists("topic '\(wish.name)' already exists")
        }
        if let other = self.collision(of: wish.name) {
            throw .invalidTopicName("'\(wish.name)' collides with '\(other)': they differ in '.' and '_' only")
        }
        let id = wish.id.flatMap { $0 == .none ? nil : $0 } ?? newID
        guard self.snapshot.topic(id: id) == nil, self.deleted[id] == nil else {
            throw .topicExists("topic id \(id) is or was in use")
        }
        let partitions = try self.partitionCount(of: wish)
        try self.check(caps, of: owner, moreTopics: 1, morePartitions: Int(partitions))
        let record = TopicRecord(
            name: wish.name, partitionCount: partitions, bornIn: self.placement.epoch, owner: owner,
            configuration: try self.table.overrides(from: wish.configuration)
        )
        let topic = self.topic(id, record, revision: .none)
        self.insert(topic)
        self.touched.append(id)
        self.changedNames?.append(topic.name)
        self.require(StoreKey.topic(id), at: .none)
        self.require(StoreKey.name(wish.name), at: .none)
        self.change(.put(key: StoreKey.topic(id), value: record.encoded()))
        self.change(.put(key: StoreKey.name(wish.name), value: Array(id.description.utf8)))
        return topic
    }

    /// The name that keeps this one from being given; the system's own are there for that before they are made. Those
    /// nothing keeps: whoever had such a name first would stop what they are for.
    private func collision(of name: String) -> String? {
        guard TopicName.canCollide(name), !InternalTopic.isOne(name) else { return nil }
        let key = TopicName.collisionKey(name)
        return InternalTopic.isOne(key) ? key : self.collisions[key]
    }

    private func partitionCount(of wish: TopicSpecification) throws(BrokerError) -> Int32 {
        guard wish.assignments.isEmpty else {
            guard wish.partitions == -1, wish.replicationFactor == -1 else {
                throw .invalidRequest("a topic with assignments takes no partition count or replication factor")
            }
            let indexes = wish.assignments.keys.map(\.rawValue).sorted()
            guard indexes.count <= Limits.partitionsPerTopicMax, indexes == Array(0..<Int32(indexes.count)) else {
                throw .invalidReplicaAssignment("partitions must be numbered 0, 1, 2 and so on without a gap")
            }
            try self.check(Array(wish.assignments.values))
            return Int32(indexes.count)
        }
        let replicas = wish.replicationFactor == -1 ? 1 : wish.replicationFactor
        guard replicas == 1 else {
            throw .invalidReplicationFactor("replication factor \(replicas) asked for, there is 1 broker")
        }
        let count = wish.partitions == -1 ? Int32(self.table.value(.partitions)) ?? 1 : wish.partitions
        guard count > 0, Int(count) <= Limits.partitionsPerTopicMax else {
            throw .invalidPartitions("a topic has 1 to \(Limits.partitionsPerTopicMax) partitions, not \(count)")
        }
        return count
    }

    private func check(_ assignments: [[BrokerID]]) throws(BrokerError) {
        guard assignments.allSatisfy({ $0 == self.placement.replicas }) else {
            throw .invalidReplicaAssignment("broker \(self.placement.broker) is the only one there is")
        }
    }

    mutating func delete(_ reference: TopicReference) throws(BrokerError) -> Topic {
        guard self.table.value(.deleteTopics).lowercased() == "true" else {
            throw .policyViolation("\(BrokerOption.deleteTopics.rawValue) is false")
        }
        let topic = try self.snapshot.topic(reference)
        self.snapshot.remove(topic)
        self.owners.remove(topic)
        self.changedNames?.append(topic.name)
        self.collisions[TopicName.collisionKey(topic.name)] = nil
        self.deleted[topic.id] = topic.partitionCount
        self.require(StoreKey.topic(topic.id), at: topic.revision)
        self.change(.delete(key: StoreKey.topic(topic.id)))
        self.change(.delete(key: StoreKey.name(topic.name)))
        self.change(.put(key: StoreKey.deleted(topic.id), value: Self.bytes(Int64(topic.partitionCount))))
        return topic
    }

    /// The files of a deleted topic are gone.
    mutating func removed(_ id: TopicID) {
        self.deleted[id] = nil
        self.change(.delete(key: StoreKey.deleted(id)))
    }

    /// The new partitions count for the topic's owner, whoever asks for them.
    mutating func grow(_ wish: PartitionGrowth, caps: OwnerCaps = .none) throws(BrokerError) -> Topic {
        let topic = try self.snapshot.topic(.name(wish.topic))
        guard wish.partitions > topic.partitionCount else {
            throw .invalidPartitions("topic '\(topic.name)' has \(topic.partitionCount) partitions already")
        }
        guard Int(wish.partitions) <= Limits.partitionsPerTopicMax else {
            throw .invalidPartitions(
                "a topic has at most \(Limits.partitionsPerTopicMax) partitions, not \(wish.partitions)")
        }
        if let assignments = wish.assignments {
            guard assignments.count == Int(wish.partitions - topic.partitionCount) else {
                throw .invalidReplicaAssignment("one assignment is needed for each new partition")
            }
            try self.check(assignments)
        }
        try self.check(
            caps, of: topic.owner, moreTopics: 0, morePartitions: Int(wish.partitions - topic.partitionCount))
        return self.replace(topic, partitionCount: wish.partitions, overrides: topic.configuration.overrides)
    }

    // MARK: Configuration

    mutating func alter(
        _ resource: ConfigurationResource, by alteration: ConfigurationAlteration
    ) throws(BrokerError) {
        switch resource {
        case .topic(let name):
            let topic = try self.snapshot.topic(.name(name))
            let overrides = try self.table.altered(topic.configuration.overrides, by: alteration)
            try InternalTopicRule.check(name, overrides, in: self.table)
            _ = self.replace(topic, partitionCount: topic.partitionCount, overrides: overrides)
        case .broker(let broker):
            let values = try self.table.altered(broker, by: alteration)
            var table = self.table
            table.load(
                allBrokers: broker == nil ? values : self.table.allBrokers,
                thisBroker: broker == nil ? self.table.thisBroker : values
            )
            for topic in InternalTopicRule.topics.compactMap({ self.snapshot.topic(named: $0) }) {
                try InternalTopicRule.check(topic, from: self.table, to: table)
            }
            let key = broker.map(StoreKey.configuration(of:)) ?? StoreKey.defaults
            self.put(key, ConfigurationRecord(values: values).encoded())
            self.table = table
            for topic in self.snapshot.all {
                self.snapshot.insert(
                    Topic(
                        id: topic.id, name: topic.name, partitionCount: topic.partitionCount,
                        configuration: self.table.configuration(of: topic.configuration.overrides),
                        owner: topic.owner, placement: self.placement, bornIn: topic.bornIn,
                        revision: topic.revision
                    )
                )
            }
        }
    }

    // MARK: Producer ids

    /// The next block of ids, given to nobody else: durable before it is used, so a crash loses ids but repeats none.
    mutating func takeProducerIDs() throws(BrokerError) -> Range<Int64> {
        let (end, overflow) = self.producerIDNext.addingReportingOverflow(Limits.producerIDBlock)
        // Those above are made of idempotency keys.
        guard !overflow, end <= Limits.keyedProducerIDFirst else {
            throw .overloaded("all producer ids are used up")
        }
        let block = self.producerIDNext..<end
        self.producerIDNext = end
        self.put(StoreKey.producerIDs, Self.bytes(end))
        return block
    }

    // MARK: Helpers of the draft

    private mutating func replace(_ topic: Topic, partitionCount: Int32, overrides: [String: String]) -> Topic {
        let record = TopicRecord(
            name: topic.name, partitionCount: partitionCount, bornIn: topic.bornIn, owner: topic.owner,
            configuration: overrides)
        let changed = self.topic(topic.id, record, revision: topic.revision)
        self.owners.remove(topic)
        self.owners.add(changed)
        self.snapshot.insert(changed)
        self.touched.append(topic.id)
        self.changedNames?.append(topic.name)
        self.require(StoreKey.topic(topic.id), at: topic.revision)
        self.change(.put(key: StoreKey.topic(topic.id), value: record.encoded()))
        return changed
    }

    private mutating func insert(_ topic: Topic) {
        self.snapshot.insert(topic)
        self.owners.add(topic)
        if TopicName.canCollide(topic.name) { self.collisions[TopicName.collisionKey(topic.name)] = topic.name }
    }

    private func topic(_ id: TopicID, _ record: TopicRecord, revision: StoreRevision) -> Topic {
        Topic(
            id: id, name: record.name, partitionCount: record.partitionCount,
            configuration: self.table.configuration(of: record.configuration),
            owner: record.owner.map { self.owners.known($0) }, placement: self.placement, bornIn: record.bornIn,
            revision: revision
        )
    }

    private mutating func put(_ key: String, _ value: [UInt8]) {
        let revision = self.revisions[key] ?? .none
        self.require(key, at: revision)
        self.revisions[key] = revision
        self.change(.put(key: key, value: value))
    }

    /// Two changes of one key in one transaction have one condition: the first sees what the store has.
    private mutating func require(_ key: String, at revision: StoreRevision) {
        guard self.keys.insert(key).inserted else { return }
        self.transaction.conditions.append(StoreTransaction.Condition(key: key, modified: revision))
    }

    private mutating func change(_ change: StoreChange) {
        self.keys.insert(change.key)
        self.transaction.changes.append(change)
    }

    private static func bytes(_ value: Int64) -> [UInt8] {
        (0..<8).map { UInt8(truncatingIfNeeded: value >> (56 - 8 * $0)) }
    }

    private static func integer(_ bytes: [UInt8]) -> Int64? {
        guard bytes.count == 8 else { return nil }
        let value = bytes.reduce(Int64(0)) { $0 << 8 | Int64($1) }
        return value < 0 ? nil : value
    }
}

extension StoreChange {
    fileprivate var key: String {
        switch self {
        case .put(let key, _), .delete(let key): key
        }
    }
}
