import ApusAccess
import ApusCore
import ApusFakes
import ApusLog
import ApusSubscriptions
import NIOCore
import Testing

@testable import ApusBroker

/// Subscriptions, hours and readers, for tests that tell stories of them.
extension TestBroker {
    static let hour = Duration.seconds(3600)

    /// Writes a subscription into the catalogue, as anybody may whom the catalogue lets.
    func subscribe(
        _ name: String, to topic: String = "orders", owner: String = "User:alice", period: Duration? = nil,
        expiry: Duration? = nil
    ) throws {
        let owner = ConsumerName(owner)
        let known = self.subscription(name)
        var changes: [CatalogueChange] = []
        if self.broker.subscriptions.view.index.consumer(named: owner) == nil {
            changes.append(.putConsumer(Consumer(name: owner), expecting: .none))
        }
        let subscription = Subscription(
            name: SubscriptionName(name), owner: owner, interest: .names([topic]), period: period, expiry: expiry)
        changes.append(.putSubscription(subscription, expecting: known?.version ?? .none))
        try self.commit(changes, by: owner)
    }

    func unsubscribe(_ name: String) throws {
        let known = try #require(self.subscription(name))
        try self.commit(
            [.removeSubscription(SubscriptionName(name), expecting: known.version)], by: known.subscription.owner)
    }

    func subscription(_ name: String) -> RegisteredSubscription? {
        self.broker.subscriptions.view.index.subscription(named: SubscriptionName(name))
    }

    private func commit(_ changes: [CatalogueChange], by owner: ConsumerName) throws {
        let answer = Once<Result<CatalogueReceipt, CatalogueError>>()
        self.catalogue.commit(CatalogueTransaction(changes, by: owner, at: self.clock.wallTime)) { answer.put($0) }
        _ = try #require(answer.value).get()
        self.settle()
    }

    /// One record, stamped with the time it is.
    func write(
        _ value: String, to topic: String = "orders", partition: Int32 = 0, timestamp: Timestamp? = nil
    ) throws {
        let batch = Batch.of([value], timestamp: (timestamp ?? self.clock.wallTime).rawValue)
        #expect(try self.produce(topic, batch, partition: partition).error == nil)
    }

    /// Hours pass; then retention had its turn.
    func passHours(_ hours: Int) {
        self.clock.advance(by: .seconds(3600 * hours))
        self.passSeconds(62)
    }

    func reader(_ user: String) throws -> ClientContext {
        ClientContext(principal: try #require(Principal(user: user)))
    }

    func earliest(
        _ topic: String = "orders", as client: ClientContext = .embedded, for subscription: String? = nil,
        _ position: OffsetQuery.Position = .earliest
    ) throws -> Int64 {
        let answer = Once<[Result<OffsetAnswer, BrokerError>]>()
        let query = OffsetQuery(topic: .name(topic), partition: PartitionIndex(rawValue: 0), position: position)
        self.broker.listOffsets(
            [query], isolation: .uncommitted, client: client, for: subscription.map(SubscriptionName.init),
            on: self.loop
        ) { answer.put($0) }
        self.settle()
        return try #require(answer.value?.first).get().offset.rawValue
    }

    func read(
        from offset: Int64, _ topic: String = "orders", as client: ClientContext = .embedded,
        for subscription: String? = nil
    ) throws -> FetchResult {
        let answer = Once<[FetchResult]>()
        let entry = FetchEntry(
            topic: .name(topic), partition: PartitionIndex(rawValue: 0), offset: Offset(rawValue: offset),
            bytesMax: .mebibytes(1))
        self.broker.fetch(
            [entry], limits: FetchLimits(bytesMin: .bytes(1), bytesMax: .mebibytes(1), waitMax: .zero), client: client,
            for: subscription.map(SubscriptionName.init), on: self.loop
        ) { answer.put($0) }
        self.settle()
        return try #require(answer.value?.first)
    }

    /// Where the log begins on the disk.
    func logStart(_ topic: String = "orders") throws -> Int64 {
        let id = try #require(self.broker.topics.topic(named: topic)).id
        let slot = try #require(self.slot(TopicPartition(topic: id, partition: PartitionIndex(rawValue: 0))))
        return try #require(slot.partition).log.startOffset.rawValue
    }

    private func slot(_ id: TopicPartition) -> PartitionSlot? { self.broker.shards[0].slots[id] }

    /// Bytes of all segment files.
    func bytesOnDisk(_ topic: String = "orders") throws -> Int {
        let id = try #require(self.broker.topics.topic(named: topic)).id
        let slot = try #require(self.slot(TopicPartition(topic: id, partition: PartitionIndex(rawValue: 0))))
        return try #require(slot.partition).log.byteCount.rawValue
    }

    /// A position, as the groups' coordinator tells it.
    func commit(_ group: String, _ offset: Int64, topic: String = "orders", isLoading: Bool = false) throws {
        let id = try #require(self.broker.topics.topic(named: topic)).id
        let place = TopicPartition(topic: id, partition: PartitionIndex(rawValue: 0))
        self.broker.subscriptions.positionsChanged(
            of: group, [(place, Offset(rawValue: offset))], isLoading: isLoading)
        self.settle()
    }
}
