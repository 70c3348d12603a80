import ApusCore
import NIOCore
import Testing

@testable import ApusGroups

@Suite("Positions")
struct PositionTests {
    private static func consumer(_ topics: [String]) -> [GroupProtocol] {
        // A subscription of version 0: topics, and no user data.
        var bytes = ByteBuffer(integer: 0 as Int16)
        bytes.writeInteger(Int32(topics.count))
        for topic in topics {
            bytes.writeInteger(Int16(topic.utf8.count))
            bytes.writeString(topic)
        }
        bytes.writeInteger(-1 as Int32)
        return [GroupProtocol(name: "range", metadata: bytes)]
    }

    // MARK: Who may commit

    @Test("a simple consumer commits to a group that nobody is in, and what it says comes back")
    func simpleConsumer() throws {
        let stage = GroupStage()
        #expect(stage.position() == nil, "a group that is not there has no positions")
        #expect(stage.committed(stage.commit(42, metadata: "é")) == [nil])
        let position = try #require(stage.position())
        #expect(position.offset == Offset(rawValue: 42))
        #expect(position.metadata == "é")
        #expect(position.leaderEpoch == Epoch(rawValue: 3))
        #expect(position.committedAt == stage.now.wall)
        #expect(try stage.coordinator.describe(GroupStage.group)?.state == "Empty")
        #expect(try stage.coordinator.list().map(\.group) == [GroupStage.group])
    }

    @Test("nobody is told that a position is committed, nor sees it, before it is written")
    func waitsForWrite() {
        let stage = GroupStage()
        stage.holdsWrites = true
        let first = stage.commit(1)
        let second = stage.commit(2)
        #expect(stage.isOpen(first) && stage.isOpen(second))
        #expect(stage.position() == nil)
        stage.release(1)
        #expect(stage.committed(first) == [nil])
        #expect(stage.position()?.offset.rawValue == 1)
        stage.failOne()
        #expect(stage.committed(second) == [.unavailable])
        #expect(stage.position()?.offset.rawValue == 1, "what failed changed nothing")
    }

    @Test("a claim to a generation of a group that is not there is refused")
    func unknownGroup() {
        let stage = GroupStage()
        #expect(stage.committed(stage.commit(1, MemberID("m"), 1)) == [.groupNotFound])
        #expect(stage.committed(stage.commit(1, MemberID("m"), 0)) == [.groupNotFound])
        #expect(stage.log.isEmpty)
    }

    @Test("members commit in their generation, others not while there are members")
    func members() throws {
        let stage = GroupStage()
        let request = stage.request(instance: "i")
        let joined = try stage.settle([request])[0]
        let id = joined.member
        #expect(stage.committed(stage.commit(5, id, 1, instance: "i")) == [nil])
        #expect(stage.committed(stage.commit(6, id, 1)) == [nil])
        #expect(stage.committed(stage.commit(7)) == [.unknownMember])
        #expect(stage.committed(stage.commit(7, id, -1)) == [.illegalGeneration])
        #expect(stage.committed(stage.commit(7, id, 0)) == [.illegalGeneration])
        #expect(stage.committed(stage.commit(7, id, 2)) == [.illegalGeneration])
        #expect(stage.committed(stage.commit(7, MemberID("x"), 1)) == [.unknownMember])
        #expect(stage.committed(stage.commit(7, MemberID("x"), 1, instance: "i")) == [.fencedInstance])
        #expect(stage.committed(stage.commit(7, id, 1, instance: "j")) == [.unknownMember])
        #expect(stage.position()?.offset.rawValue == 6)
    }

    @Test("a member commits while others join, and not between its join and its assignment")
    func duringRebalance() throws {
        let stage = GroupStage()
        let request = stage.request()
        let id = try stage.settle([request])[0].member
        let other = stage.request()
        let waiting = stage.join(other)
        #expect(stage.committed(stage.commit(5, id, 1)) == [nil], "preparing: what it read still counts")
        let again = stage.request(id)
        _ = stage.join(again)
        #expect(!stage.isOpen(waiting))
        #expect(stage.committed(stage.commit(6, id, 1)) == [.illegalGeneration])
        #expect(stage.committed(stage.commit(6, id, 2)) == [.rebalanceInProgress])
        #expect(stage.position()?.offset.rawValue == 5)
    }

    @Test("a commit keeps the session of its member")
    func keepsSession() throws {
        let stage = GroupStage()
        let request = stage.request(session: .seconds(10))
        let id = try stage.settle([request])[0].member
        for offset in 0..<5 {
            stage.wait(.seconds(9))
            #expect(stage.committed(stage.commit(Int64(offset), id, 1)) == [nil])
        }
    }

    // MARK: What may be committed

    @Test("metadata has a limit in bytes, and each partition its own answer")
    func metadata() {
        let stage = GroupStage()
        func part(_ partition: Int32, _ offset: Int64, _ metadata: String?) -> Positions.Commit {
            Positions.Commit(
                topic: "t", topicID: .none, partition: PartitionIndex(rawValue: partition),
                offset: Offset(rawValue: offset), leaderEpoch: .none, metadata: metadata
            )
        }
        let token = stage.commit([
            part(0, 1, String(repeating: "é", count: 2048)), part(1, 1, String(repeating: "é", count: 2048) + "x"),
            part(2, -1, nil), part(3, .min, nil), part(4, .max, nil),
        ])
        let errors = stage.committed(token) ?? []
        #expect(errors.count == 5)
        #expect(errors[0] == nil && errors[4] == nil)
        #expect(errors[1] == .metadataTooLarge)
        #expect(errors[2] == .invalidRequest("a position below 0"))
        #expect(errors[3] == errors[2])
        #expect(stage.position(0)?.metadata.utf8.count == 4096)
        #expect(stage.position(4)?.offset.rawValue == .max)
        #expect([1, 2, 3].allSatisfy { stage.position($0) == nil })
        #expect(stage.log.count == 2)
    }

    @Test("a group has as many positions as it may, those that are there can be moved")
    func manyPositions() {
        let stage = GroupStage { $0.positionsMax = 3 }
        for partition in 0..<3 as Range<Int32> {
            #expect(stage.committed(stage.commit(1, partition: partition)) == [nil])
        }
        #expect(stage.committed(stage.commit(1, partition: 3)) == [.tooManyGroups])
        #expect(stage.committed(stage.commit(2, partition: 2)) == [nil])
        let many = (0...Int32(Limits.positionsPerCommitMax)).map {
            Positions.Commit(
                topic: "t", topicID: .none, partition: PartitionIndex(rawValue: $0), offset: .zero,
                leaderEpoch: .none, metadata: nil
            )
        }
        guard case .invalidRequest = stage.committed(stage.commit(many))?.first ?? nil else {
            Issue.record("10,001 positions at once were taken")
            return
        }
    }

    @Test("a new topic of an old name does not inherit positions")
    func topicIDs() throws {
        let stage = GroupStage()
        _ = stage.commit(9)
        let key = PositionKey(group: GroupStage.group, topic: "t", partition: PartitionIndex(rawValue: 0))
        let positions = stage.coordinator.positions
        #expect(positions.position(key, topic: TopicID(high: 1, low: 1))?.offset.rawValue == 9)
        #expect(positions.position(key, topic: TopicID(high: 2, low: 2)) == nil)
        stage.act { coordinator, _, actions in
            coordinator.topicDeleted("t", TopicID(high: 2, low: 2), into: &actions)
        }
        #expect(stage.position() != nil, "another topic of this name is gone")
        stage.act { coordinator, _, actions in
            coordinator.topicDeleted("t", TopicID(high: 1, low: 1), into: &actions)
        }
        #expect(stage.position() == nil)
        try stage.restart()
        #expect(stage.position() == nil)
    }

    // MARK: Deleting

    @Test("a group is deleted when nobody is in it, with its positions, and for good")
    func deleteGroup() throws {
        let stage = GroupStage()
        func deleted(_ token: RequestToken) -> GroupReply? { stage.replies[token] }
        #expect(deleted(stage.delete()) == .deleted(.groupNotFound))
        let request = stage.request()
        let id = try stage.settle([request])[0].member
        for partition in 0..<2500 as Range<Int32> { _ = stage.commit(1, id, 1, partition: partition) }
        #expect(deleted(stage.delete()) == .deleted(.groupNotEmpty))
        _ = stage.leave(MemberIdentity(member: id))
        stage.holdsWrites = true
        let token = stage.delete()
        #expect(stage.held.map(\.facts.count) == [1000, 1000, 501])
        #expect(stage.isOpen(token))
        #expect(deleted(stage.delete()) == .deleted(.unavailable))
        let early = stage.request()
        #expect(stage.joinError(stage.join(early)) == .unavailable, "it is being deleted")
        stage.release()
        #expect(deleted(token) == .deleted(nil))
        #expect(stage.coordinator.positions.count == 0)
        stage.holdsWrites = false
        for _ in 0..<2 {
            #expect(try stage.coordinator.describe(GroupStage.group) == nil)
            #expect(try stage.coordinator.list().isEmpty)
            try stage.restart()
        }
        let next = stage.request()
        #expect(try stage.joined(stage.join(next)).generation.rawValue == 1)
    }

    @Test("a deletion of which one write fails has failed", arguments: [0, 1, 2])
    func failedDeletion(which: Int) throws {
        let stage = GroupStage()
        let request = stage.request()
        let id = try stage.settle([request])[0].member
        for partition in 0..<2500 as Range<Int32> { _ = stage.commit(1, id, 1, partition: partition) }
        _ = stage.leave(MemberIdentity(member: id))
        stage.holdsWrites = true
        let token = stage.delete()
        stage.release(which)
        stage.failOne()
        stage.release()
        #expect(stage.replies[token] == .deleted(.unavailable))
        #expect(stage.coordinator.positions.count == (which == 2 ? 500 : 1000))
        let again = stage.delete()
        stage.release()
        #expect(stage.replies[again] == .deleted(nil))
        #expect(stage.coordinator.positions.count == 0)
    }

    @Test("positions in topics that members are subscribed to can not be deleted, others can")
    func deletePositions() throws {
        let stage = GroupStage()
        let zero = PartitionIndex(rawValue: 0)
        func delete(_ topics: [String]) throws -> GroupReply? {
            let token = stage.token()
            var failure: (any Error)?
            stage.act { coordinator, now, actions in
                do {
                    try coordinator.deletePositions(
                        GroupStage.group, topics.map { ($0, zero) }, token, at: now, into: &actions
                    )
                } catch { failure = error }
            }
            if let failure { throw failure }
            return stage.replies[token]
        }
        #expect(throws: GroupError.groupNotFound) { try delete(["t"]) }
        let request = stage.request(protocols: Self.consumer(["a", "b"]))
        let id = try stage.settle([request])[0].member
        for topic in ["a", "c"] { _ = stage.commit(1, id, 1, topic: topic) }
        #expect(
            try delete(["a", "b", "c", "d"]) == .positionsDeleted([.subscribedToTopic, .subscribedToTopic, nil, nil]))
        #expect(stage.position(topic: "a") != nil && stage.position(topic: "c") == nil)
        _ = stage.leave(MemberIdentity(member: id))
        #expect(try delete(["a"]) == .positionsDeleted([nil]))
        #expect(stage.position(topic: "a") == nil)
        // Members that the broker can not read: of another type, or with bytes that are no subscription.
        let connect = stage.request(type: "connect")
        let worker = try stage.settle([connect])[0].member
        #expect(throws: GroupError.groupNotEmpty) { try delete(["a"]) }
        _ = stage.leave(MemberIdentity(member: worker))
        let garbled = stage.request(protocols: GroupStage.protocols(["range"], "?"))
        _ = try stage.settle([garbled])
        #expect(try delete(["z"]) == .positionsDeleted([.subscribedToTopic]))
    }

    // MARK: Expiry

    private static let day = Duration.seconds(24 * 3600)

    @Test("positions of a simple consumer expire by their commits, and the group with the last")
    func simpleExpiry() throws {
        let stage = GroupStage { $0.offsetsRetention = Self.day }
        _ = stage.commit(1, partition: 0)
        stage.wait(Self.day / 2)
        _ = stage.commit(1, partition: 1)
        stage.wait(Self.day / 2 + .seconds(601))
        #expect(stage.position(0) == nil)
        #expect(stage.position(1) != nil)
        stage.wait(Self.day / 2)
        #expect(try stage.coordinator.list().isEmpty)
        try stage.restart()
        #expect(stage.coordinator.positions.count == 0)
    }

    @Test("positions of a group live as long as it has members, and then for the whole retention")
    func groupExpiry() throws {
        let stage = GroupStage { $0.offsetsRetention = Self.day }
        let request = stage.request(session: .seconds(1800), protocols: Self.consumer(["t"]))
        let id = try stage.settle([request])[0].member
        _ = stage.commit(1, id, 1)
        _ = stage.commit(1, id, 1, topic: "left")
        for _ in 0..<100 {
            stage.wait(.seconds(1750))
            #expect(stage.heartbeat(id, 1) == nil)
        }
        #expect(stage.position() != nil, "subscribed")
        #expect(stage.position(topic: "left") == nil, "no longer subscribed: by its commit")
        _ = stage.leave(MemberIdentity(member: id))
        try stage.restart()
        stage.wait(Self.day - .seconds(1))
        #expect(stage.position() != nil)
        stage.wait(.seconds(602))
        #expect(stage.position() == nil)
        #expect(try stage.coordinator.describe(GroupStage.group) == nil, "nobody needs the group any more")
        try stage.restart()
        #expect(try stage.coordinator.list().isEmpty)
    }

    @Test("a client of old says itself how long its positions are kept")
    func ownRetention() {
        let stage = GroupStage()
        _ = stage.commit(1, retention: .seconds(3600))
        stage.wait(.seconds(3599))
        #expect(stage.position() != nil)
        stage.wait(.seconds(602))
        #expect(stage.position() == nil)
    }

    @Test("ever so many positions expire in writes that a batch can hold")
    func manyExpire() {
        let stage = GroupStage { $0.offsetsRetention = Self.day }
        for partition in 0..<3500 as Range<Int32> { _ = stage.commit(1, partition: partition) }
        stage.wait(Self.day + .seconds(700))
        #expect(stage.coordinator.positions.count == 0)
        #expect(stage.log.count == 7000)
    }

    @Test("a group without positions is forgotten after its last member")
    func groupWithoutPositions() throws {
        let stage = GroupStage()
        let request = stage.request()
        let id = try stage.settle([request])[0].member
        _ = stage.leave(MemberIdentity(member: id))
        stage.wait(.seconds(601))
        #expect(stage.coordinator.classic.isEmpty)
        #expect(stage.log.last?.value == nil)
    }
}
