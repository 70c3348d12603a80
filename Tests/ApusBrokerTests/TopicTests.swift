import ApusAccess
import ApusCore
import ApusFakes
import NIOCore
import Testing

@testable import ApusBroker

@Suite("Topics")
struct TopicTests {
    @Test("a topic is found by its name and by its id, also after a restart")
    func found() throws {
        let disk = SimulatedDisk()
        let store = FakeCoordinatorStore()
        let world = try TestBroker(disk: disk, store: store)
        let id = TopicID(high: 1, low: 2)
        let topic = try world.create("orders", partitions: 3, ["retention.ms": "1000"], id: id)
        #expect(topic.id == id)
        let random = try world.create("other")
        #expect(random.id != .none)
        for broker in [world, try TestBroker(disk: disk, store: store, incarnation: 2)] {
            let found = try #require(broker.broker.topics.topic(id: id))
            #expect(found.name == "orders")
            #expect(found.partitionCount == 3)
            #expect(found.configuration.retentionAge == .seconds(1))
            #expect(broker.broker.topics.topic(named: "orders") === found)
            #expect(broker.broker.topics.count == 2)
        }
    }

    @Test(
        "names that no topic may have",
        arguments: ["", ".", "..", "a/b", "a b", "ü", "a\u{0}b", String(repeating: "a", count: 250)])
    func names(_ name: String) throws {
        let world = try TestBroker()
        guard case .failure(.invalidTopicName) = world.createAll([TopicSpecification(name: name)])[0] else {
            return #expect(Bool(false))
        }
    }

    @Test("names with every allowed character, up to the longest")
    func allowed() throws {
        let world = try TestBroker()
        try world.create("aZ09._-")
        try world.create(String(repeating: "a", count: 249))
        try world.create("...")
    }

    @Test("nobody takes a name that is the system's own but for dots and underscores")
    func systemNames() throws {
        let store = FakeCoordinatorStore()
        // As an older version let somebody do it.
        let id = TopicID(high: 1, low: 1)
        let record = TopicRecord(name: "__apus.audit", partitionCount: 1, bornIn: .zero, configuration: [:])
        store.commit(
            StoreTransaction(changes: [
                .put(key: StoreKey.topic(id), value: record.encoded()),
                .put(key: StoreKey.name(record.name), value: Array(id.description.utf8)),
            ])
        ) { _ in }
        let world = try TestBroker(store: store)
        let names = ["__consumer.offsets", "_.apus.audit", "..transaction_state"]
        for answer in world.createAll(names.map { TopicSpecification(name: $0) }) {
            guard case .failure(.invalidTopicName(let words)) = answer else {
                Issue.record("\(answer)")
                continue
            }
            #expect(words.contains("collides with '__"))
        }
        try world.create(InternalTopic.audit)
        try world.create(InternalTopic.offsets)
        _ = try #require(world.delete(["__apus.audit"]).first).get()
        #expect(throws: BrokerError.self) { try world.create("__apus.audit") }
    }

    @Test("two topics share no name, no id, and no name but for dots and underscores")
    func unique() throws {
        let world = try TestBroker()
        let id = TopicID(high: 9, low: 9)
        try world.create("a.b", id: id)
        let results = world.createAll([
            TopicSpecification(name: "a.b"), TopicSpecification(id: id, name: "c"), TopicSpecification(name: "a_b"),
        ])
        guard case .failure(.topicExists) = results[0], case .failure(.topicExists) = results[1],
            case .failure(.invalidTopicName) = results[2]
        else { return #expect(Bool(false), "\(results)") }
        #expect(world.broker.topics.count == 1)
        _ = world.delete(["a.b"])
        try world.create("a_b")
    }

    @Test("partition counts and replicas that can not be had")
    func counts() throws {
        let world = try TestBroker(configuration: ["num.partitions": "5"])
        let results = world.createAll([
            TopicSpecification(name: "a", partitions: 0), TopicSpecification(name: "b", partitions: 10_001),
            TopicSpecification(name: "c", replicationFactor: 2), TopicSpecification(name: "d"),
            TopicSpecification(name: "e", assignments: [PartitionIndex(rawValue: 0): [BrokerID(rawValue: 8)]]),
            TopicSpecification(
                name: "f",
                assignments: [
                    PartitionIndex(rawValue: 0): [BrokerID(rawValue: 7)],
                    PartitionIndex(rawValue: 1): [BrokerID(rawValue: 7)],
                ]),
            TopicSpecification(name: "g", assignments: [PartitionIndex(rawValue: 1): [BrokerID(rawValue: 7)]]),
            TopicSpecification(name: "h"), TopicSpecification(name: "h"),
        ])
        func error(_ index: Int) -> String {
            if case .failure(let error) = results[index] { String("\(error)".prefix { $0 != "(" }) } else { "none" }
        }
        #expect(
            (0..<9).map(error) == [
                "invalidPartitions", "invalidPartitions", "invalidReplicationFactor", "none",
                "invalidReplicaAssignment", "none", "invalidReplicaAssignment", "invalidRequest", "invalidRequest",
            ])
        #expect(world.broker.topics.topic(named: "d")?.partitionCount == 5)
        #expect(world.broker.topics.topic(named: "f")?.partitionCount == 2)
    }

    @Test("validateOnly answers as if, and does nothing")
    func validateOnly() throws {
        let world = try TestBroker()
        let results = world.createAll([TopicSpecification(name: "a", partitions: 3)], validateOnly: true)
        #expect(try results[0].get().partitionCount == 3)
        #expect(world.broker.topics.count == 0)
    }

    @Test("a deleted topic is gone with its files, and a new one of its name is empty")
    func deleted() throws {
        let world = try TestBroker()
        let first = try world.create("t")
        _ = try world.produce("t", Batch.of(["old"]))
        let waiting = world.beginProduce([("t", 0, Batch.of(["never"]))])
        _ = world.delete(["t"])
        #expect(waiting.value?.first?.error == .unknownTopicOrPartition)
        #expect(!world.disk.files.contains { $0.path.rawValue.contains("\(first.id)") })
        #expect(try world.produce("t", Batch.of(["x"])).error == .unknownTopicOrPartition)
        let second = try world.create("t")
        #expect(second.id != first.id)
        #expect(try world.values("t") == [])
        guard case .failure(.unknownTopicOrPartition) = world.delete(["nowhere"])[0] else {
            return #expect(Bool(false))
        }
    }

    @Test("a deletion that a crash interrupted is finished at the next start")
    func deletedLater() throws {
        let disk = SimulatedDisk()
        let store = FakeCoordinatorStore()
        let world = try TestBroker(disk: disk, store: store)
        let topic = try world.create("t")
        _ = try world.produce("t", Batch.of(["old"]))
        world.broker.deleteTopics([.name("t")], client: .embedded, on: world.loop) { _ in }
        world.tick()
        world.queue.dropAll()
        #expect(disk.files.contains { $0.path.rawValue.contains("\(topic.id)") })
        let after = try TestBroker(disk: disk, store: store, incarnation: 2, wasClean: false)
        after.settle()
        #expect(!disk.files.contains { $0.path.rawValue.contains("\(topic.id)") })
        #expect(after.broker.topics.count == 0)
    }

    @Test("partitions are added and never taken away")
    func grow() throws {
        let world = try TestBroker()
        try world.create("t", partitions: 2)
        _ = try world.produce("t", Batch.of(["kept"]))
        func grow(_ count: Int32) -> Result<Topic, BrokerError>? {
            let answer = Once<[Result<Topic, BrokerError>]>()
            world.broker.createPartitions(
                [PartitionGrowth(topic: "t", partitions: count)], client: .embedded, on: world.loop
            ) {
                answer.put($0)
            }
            world.settle()
            return answer.value?.first
        }
        guard case .failure(.invalidPartitions) = grow(2), case .failure(.invalidPartitions) = grow(-5) else {
            return #expect(Bool(false))
        }
        #expect(try grow(4)?.get().partitionCount == 4)
        #expect(try world.produce("t", Batch.of(["new"]), partition: 3).error == nil)
        #expect(try world.values("t") == ["kept"])
    }

    @Test("auto-creation makes a topic once, and not when it is switched off")
    func autoCreate() throws {
        let world = try TestBroker()
        let answers = (0..<3).map { _ in Once<Result<Topic, BrokerError>>() }
        for answer in answers {
            world.broker.autoCreate("new", client: .embedded, on: world.loop) { answer.put($0) }
        }
        world.settle()
        let ids = try answers.map { try #require($0.value).get().id }
        #expect(Set(ids).count == 1)
        let off = try TestBroker(configuration: ["auto.create.topics.enable": "false"])
        let refused = Once<Result<Topic, BrokerError>>()
        off.broker.autoCreate("new", client: .embedded, on: off.loop) { refused.put($0) }
        off.settle()
        guard case .failure(.unknownTopicOrPartition) = refused.value else { return #expect(Bool(false)) }
    }

    @Test("while the store is away nothing is created, and produce and fetch go on")
    func storeAway() throws {
        let world = try TestBroker()
        try world.create("t")
        world.store.failure = .unavailable("gone fishing")
        let results = world.createAll([TopicSpecification(name: "u"), TopicSpecification(name: "..")])
        guard case .failure(.storeUnavailable) = results[0], case .failure(.invalidTopicName) = results[1] else {
            return #expect(Bool(false), "\(results)")
        }
        #expect(try world.produce("t", Batch.of(["a"])).error == nil)
        #expect(try world.values("t") == ["a"])
        world.store.failure = nil
        try world.create("u")
    }

    @Test("a store that somebody else wrote to is read again, and the request decided anew")
    func conflict() throws {
        let store = FakeCoordinatorStore()
        let one = try TestBroker(store: store)
        let two = try TestBroker(store: store, seed: 2)
        try one.create("t")
        guard case .failure(.topicExists) = two.createAll([TopicSpecification(name: "t")])[0] else {
            return #expect(Bool(false))
        }
        #expect(two.broker.topics.topic(named: "t") != nil)
    }

    @Test("ten thousand topics take a few commits and no files")
    func tenThousand() throws {
        let world = try TestBroker()
        let wishes = (0..<10_000).map { TopicSpecification(name: "topic-\($0)") }
        let answers = wishes.map { wish in
            let answer = Once<[Result<Topic, BrokerError>]>()
            world.broker.create([wish], client: .embedded, on: world.loop) { answer.put($0) }
            return answer
        }
        world.settle()
        #expect(answers.allSatisfy { (try? $0.value?.first?.get()) != nil })
        #expect(world.broker.topics.count == 10_000)
        #expect(world.disk.files.isEmpty)
        let revisions = Set(world.broker.topics.all.map(\.revision))
        #expect(revisions.count <= 12)
        #expect(world.broker.shards[0].slots.isEmpty)
    }

    @Test("partitions beyond the limit are closed and opened again, and lose nothing")
    func manyOpen() throws {
        let world = try TestBroker { $0.partitionsOpenPerShardMax = 50 }
        let count = 200
        try world.create("t", partitions: Int32(count))
        for index in 0..<count {
            _ = try world.produce("t", Batch.of(["v\(index)"]), partition: Int32(index))
            if index % 40 == 0 { world.passSeconds(1) }
        }
        world.passSeconds(2)
        for index in stride(from: 0, to: count, by: 7) {
            #expect(try world.values("t", partition: Int32(index)) == ["v\(index)"])
        }
        #expect(world.broker.shards[0].sweep.count <= 60)
    }
}

@Suite("What the store keeps of a topic")
struct TopicRecordTests {
    @Test("a record is read back as it was written")
    func roundTrip() {
        let record = TopicRecord(
            name: "orders", partitionCount: 12, bornIn: Epoch(rawValue: 7), owner: Principal(user: "älice"),
            configuration: ["retention.ms": "5", "durability": "fsync"]
        )
        #expect(TopicRecord(record.encoded()) == record)
        let least = TopicRecord(name: "x", partitionCount: 1, bornIn: .zero, configuration: [:])
        #expect(TopicRecord(least.encoded()) == least)
    }

    @Test("a record of the first version is read, its topic nobody's and as old as can be")
    func versionOne() {
        let bytes: [UInt8] = [1, 0, 0, 0, 12, 0, 1, UInt8(ascii: "x"), 0, 0]
        #expect(TopicRecord(bytes) == TopicRecord(name: "x", partitionCount: 12, bornIn: .zero, configuration: [:]))
    }

    @Test("a record of the second version is read, its topic nobody's")
    func versionTwo() {
        let bytes: [UInt8] = [2, 0, 0, 0, 12, 0, 0, 0, 7, 0, 1, UInt8(ascii: "x"), 0, 0]
        let record = TopicRecord(name: "x", partitionCount: 12, bornIn: Epoch(rawValue: 7), configuration: [:])
        #expect(TopicRecord(bytes) == record)
    }

    @Test("an owner that no principal can be makes the record a stranger")
    func strangeOwner() {
        func record(_ owner: String) -> TopicRecord? {
            let head: [UInt8] = [3, 0, 0, 0, 12, 0, 0, 0, 7, 0, UInt8(owner.utf8.count)]
            return TopicRecord(head + Array(owner.utf8) + [0, 1, UInt8(ascii: "x"), 0, 0])
        }
        #expect(record("")?.owner == nil)
        #expect(record("")?.name == "x")
        #expect(record("User:alice")?.owner == Principal(user: "alice"))
        for owner in ["alice", "User:", "User:a\u{1b}b", ":alice"] { #expect(record(owner) == nil) }
    }

    @Test("an odd version is not understood", arguments: [0, 4, 255] as [UInt8])
    func otherVersions(_ version: UInt8) {
        var bytes = TopicRecord(name: "x", partitionCount: 1, bornIn: .zero, configuration: [:]).encoded()
        bytes[0] = version
        #expect(TopicRecord(bytes) == nil)
    }

    @Test("damage never traps: cut, changed and random bytes are refused or read", arguments: 0..<20 as Range<UInt64>)
    func damaged(_ seed: UInt64) {
        let record = TopicRecord(
            name: "orders", partitionCount: 12, bornIn: Epoch(rawValue: 7), owner: Principal(user: "alice"),
            configuration: ["retention.ms": "5"])
        let bytes = record.encoded()
        for length in 0..<bytes.count { #expect(TopicRecord(Array(bytes.prefix(length))) == nil) }
        #expect(TopicRecord(bytes + [0]) == nil)
        var random = SplitMix64(seed: seed)
        for _ in 0..<500 {
            var copy = bytes
            for _ in 0..<3 { copy[random.below(copy.count)] = UInt8(truncatingIfNeeded: random.next()) }
            if let record = TopicRecord(copy) { #expect(record.partitionCount > 0) }
            _ = ConfigurationRecord((0..<random.below(40)).map { _ in UInt8(truncatingIfNeeded: random.next()) })
        }
    }
}
