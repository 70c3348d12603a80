import ApusCore
import ApusFakes
import KafkaWire
import NIOCore
import Testing

@testable import ApusBroker
@testable import ApusGroups

@Suite("Groups that the broker serves")
struct GroupServingTests {
    @Test("a group's partition is the one that Kafka's tools compute")
    func partition() {
        // Java's hashCode of each, by hand or from a JVM.
        let known: [(String, Int32)] = [
            ("", 0), ("a", 97 % 50), ("g", 103 % 50), ("ab", (97 * 31 + 98) % 50),
            // Hashes to the smallest Int32, which has no absolute value.
            ("polygenelubricants", 0),
        ]
        for (name, partition) in known {
            #expect(OffsetsTopic.partition(of: GroupID(name), count: 50).rawValue == partition)
        }
        for name in ["zażółć", "\u{1F600}group", String(repeating: "x", count: 10_000)] {
            let place = OffsetsTopic.partition(of: GroupID(name), count: 50).rawValue
            #expect((0..<50).contains(place))
        }
    }

    @Test("the first question for a coordinator makes the topic, and only the first")
    func topic() throws {
        let world = try GroupWorld()
        let topic = try #require(world.broker.topics.topic(named: "__consumer_offsets"))
        #expect(topic.partitionCount == 50)
        #expect(topic.isInternal)
        #expect(topic.configuration.batchBytesMax >= .mebibytes(16))
        #expect(topic.configuration.durability == .fsync)
        #expect(world.find(["a", "b", ""]) == [nil, nil, .invalidGroupID])
        #expect(world.broker.topics.topic(named: "__consumer_offsets")?.id == topic.id)
    }

    @Test("members join, are given their parts, commit, and their group goes on without them")
    func life() throws {
        let world = try GroupWorld()
        let members = try world.settle(3)
        #expect(try world.list() == ["g classic Stable"])
        #expect(world.commit(7, by: members[0], metadata: "note") == nil)
        let answer = try #require(try world.answers("g", [0]).first)
        #expect(answer.position?.offset == Offset(rawValue: 7))
        #expect(answer.position?.metadata == "note")
        #expect(answer.position?.leaderEpoch == Epoch(rawValue: 4))
        for member in members { #expect(world.leave(member.member) == [nil]) }
        #expect(try world.list() == ["g classic Empty"])
        #expect(try world.positions() == [7])
        #expect(world.delete("g") == nil)
        #expect(try world.list() == [])
        #expect(world.delete("g") == .groupNotFound)
    }

    @Test("nobody is told of a commit before it is on the disk")
    func commitWaits() throws {
        let world = try GroupWorld()
        let commit = world.beginCommit(7)
        for _ in 0..<5 { world.bench.tick() }
        #expect(commit.value == nil)
        #expect(world.broker.topics.topic(named: "t") != nil)
        world.bench.settle()
        #expect(commit.value == [nil])
    }

    @Test("nobody is told of an assignment before it is on the disk")
    func syncWaits() throws {
        let world = try GroupWorld()
        let join = world.beginJoin(GroupWorld.request())
        world.bench.settle()
        let joined = try #require(join.value).get()
        let sync = world.beginSync(joined, [joined.member: "all"])
        for _ in 0..<5 { world.bench.tick() }
        #expect(sync.value == nil)
        world.bench.settle()
        #expect(try #require(sync.value).get().assignment == ByteBuffer(string: "all"))
    }

    @Test("many commits of one moment are one batch")
    func oneBatch() throws {
        let world = try GroupWorld()
        #expect(world.commit(1) == nil)
        let answers = (0..<500).map { world.beginCommitQuietly(Int64($0), partition: Int32($0 % 6)) }
        world.bench.settle()
        #expect(answers.allSatisfy { $0.value == [nil] })
        let place = OffsetsTopic.partition(of: GroupID("g"), count: 50)
        let found = try world.bench.fetch("__consumer_offsets", from: 1, partition: place.rawValue)
        #expect(found.highWatermark == Offset(rawValue: 501))
        #expect(found.batches.count <= 2)
    }

    @Test("a commit of a topic or partition that is not there, below 0, or with too much beside it is refused alone")
    func badCommits() throws {
        let world = try GroupWorld()
        #expect(world.commit(1, topic: "none") == .unknownTopicOrPartition)
        #expect(world.commit(1, partition: 6) == .unknownTopicOrPartition)
        #expect(world.commit(1, partition: -1) == .unknownTopicOrPartition)
        #expect(world.commit(-1)?.code == .invalidRequest)
        #expect(world.commit(1, metadata: String(repeating: "m", count: 4097)) == .metadataTooLarge)
        // Past the end of the log is the client's business, as with Kafka.
        #expect(world.commit(1_000_000_000) == nil)
        #expect(try world.positions() == [1_000_000_000])
    }

    @Test(
        "names of groups that are empty, huge or hold control characters are refused in every verb",
        arguments: ["", String(repeating: "g", count: 256), "a\u{0}b", "a\nb", "\u{1B}[31m"]
    )
    func badNames(name: String) throws {
        let world = try GroupWorld()
        #expect(world.find([name]) == [.invalidGroupID])
        #expect(world.commit(1, group: name) == .invalidGroupID)
        #expect(world.delete(name) == .invalidGroupID)
        #expect(throws: GroupError.invalidGroupID) { try world.positions(name) }
        #expect(throws: GroupError.invalidGroupID) { try world.describe(name) }
        let join = world.beginJoin(GroupWorld.request(), name)
        world.bench.settle()
        #expect(throws: JoinRefusal(error: .invalidGroupID, member: .none)) { try #require(join.value).get() }
        #expect(throws: GroupError.self) { try world.heartbeat("m", 0, group: name) }
    }

    @Test("all coordinators share one sum of memory, and give back what they hold no more")
    func memory() throws {
        let world = try GroupWorld()
        #expect(world.commit(1) == nil)
        #expect(world.commit(1, group: "h") == nil)
        let memory = world.broker.shards[0].world.groupMemory
        let held = Limits.groupMemoryMax.rawValue - memory.room.rawValue
        #expect(held > 2 * Limits.positionMemory.rawValue)
        memory.add(Limits.groupMemoryMax.rawValue)
        #expect(world.commit(1, partition: 1) == .tooManyGroups)
        #expect(world.commit(1, group: "new") == .tooManyGroups)
        #expect(world.commit(2) == nil)
        #expect(try world.positions() == [2])
        memory.add(-Limits.groupMemoryMax.rawValue)
        #expect(world.commit(1, partition: 1) == nil)
        #expect(world.delete("g") == nil)
        #expect(world.delete("h") == nil)
        #expect(memory.room == Limits.groupMemoryMax)
    }

    @Test("a group that nobody knows stands nowhere, and is dead")
    func unknownGroup() throws {
        let world = try GroupWorld()
        #expect(try world.positions("nobody", [0, 1]) == [nil, nil])
        #expect(try world.answers("nobody", nil) == [])
        #expect(try world.describe("nobody") == nil)
        let stranger = JoinedGroup(
            generation: Generation(rawValue: 3), protocolType: "consumer", protocolName: "range",
            leader: MemberID("x"), member: MemberID("x"), skipAssignment: false, members: []
        )
        #expect(world.commit(1, by: stranger, group: "nobody") == .groupNotFound)
        #expect(world.heartbeat(stranger, "nobody") == .unknownMember)
    }

    @Test("clients write to no topic of the system, delete nothing from it, and give it no partitions")
    func reserved() throws {
        let world = try GroupWorld()
        let client = ClientContext(address: "10.0.0.1")
        let produced = Once<[ProduceResult]>()
        let entry = ProduceEntry(
            topic: .name("__consumer_offsets"), partition: PartitionIndex(rawValue: 0), records: Batch.of(["x"])
        )
        world.broker.produce([entry], acks: .all, timeout: .seconds(1), client: client, on: world.bench.loop) {
            produced.put($0)
        }
        let deleted = Once<[Result<Topic, BrokerError>]>()
        world.broker.deleteTopics([.name("__consumer_offsets")], client: client, on: world.bench.loop) {
            deleted.put($0)
        }
        let grown = Once<[Result<Topic, BrokerError>]>()
        world.broker.createPartitions(
            [PartitionGrowth(topic: "__consumer_offsets", partitions: 60)], client: client, on: world.bench.loop
        ) { grown.put($0) }
        world.bench.settle()
        #expect(produced.value?.first?.error == .internalTopic("__consumer_offsets"))
        #expect(throws: BrokerError.internalTopic("__consumer_offsets")) { try deleted.value?.first?.get() }
        #expect(throws: BrokerError.internalTopic("__consumer_offsets")) { try grown.value?.first?.get() }
        #expect(world.broker.topics.topic(named: "__consumer_offsets")?.partitionCount == 50)
    }

    @Test("a topic that is deleted takes its positions along; one of its name does not inherit them")
    func topicDeleted() throws {
        let world = try GroupWorld()
        #expect(world.commit(9) == nil)
        _ = world.bench.delete(["t"])
        #expect(try world.answers("g", nil) == [])
        try world.bench.create("t", partitions: 6)
        #expect(try world.positions() == [nil])
        #expect(try world.list() == [])
    }

    @Test("a member that never asks for what it was given is out, and the others go on")
    func neverSyncs() throws {
        let world = try GroupWorld()
        let joins = [world.beginJoin(GroupWorld.request()), world.beginJoin(GroupWorld.request())]
        let first = try #require(joins[0].value).get()
        let again = world.beginJoin(GroupWorld.request(first.member))
        world.bench.settle()
        let leader = try #require(again.value).get()
        let silent = try #require(joins[1].value).get()
        let sync = world.beginSync(leader, [leader.member: "all"])
        world.bench.settle()
        #expect(sync.value != nil)
        // Its heartbeats keep its session; its time to ask for its part runs out all the same.
        for _ in 0..<40 {
            world.bench.passSeconds(1)
            _ = world.heartbeat(silent)
            _ = world.heartbeat(leader)
        }
        #expect(world.heartbeat(silent) == .unknownMember)
        #expect(world.heartbeat(leader) == .rebalanceInProgress)
    }

    @Test("who commits for an old generation, or after another process took over, is refused")
    func zombies() throws {
        let world = try GroupWorld()
        let old = try world.settle(1)[0]
        #expect(world.commit(5, by: old) == nil)
        let newcomer = world.beginJoin(GroupWorld.request())
        let again = world.beginJoin(GroupWorld.request(old.member))
        world.bench.settle()
        let joined = [try #require(again.value).get(), try #require(newcomer.value).get()]
        try world.assign(joined)
        #expect(world.commit(3, by: old) == .illegalGeneration)
        #expect(world.commit(2) == .unknownMember)
        #expect(try world.positions() == [5])
        #expect(world.leave(joined[1].member) == [nil])
        #expect(world.commit(1, by: joined[1]) == .unknownMember)
        #expect(try world.positions() == [5])
    }

    @Test("sessions end by the broker's clock, without anybody asking")
    func sessions() throws {
        let world = try GroupWorld()
        _ = try world.settle(2)
        #expect(try world.describe()?.members.count == 2)
        world.bench.passSeconds(12)
        #expect(try world.list() == ["g classic Empty"])
    }
}

extension GroupWorld {
    /// Without letting the loop work, so that several come in one moment.
    func beginCommitQuietly(_ offset: Int64, partition: Int32) -> Once<[GroupError?]> {
        let answer = Once<[GroupError?]>()
        let commit = PositionCommit(
            group: GroupID("g"),
            parts: [
                PositionCommit.Part(
                    topic: .name("t"), partition: PartitionIndex(rawValue: partition), offset: Offset(rawValue: offset)
                )
            ]
        )
        self.broker.commitOffsets(commit, client: .embedded, on: self.bench.loop) { answer.put($0) }
        return answer
    }
}
