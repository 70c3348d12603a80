import ApusCore
import NIOCore
import Testing

@testable import ApusGroups

/// What groups may take of the memory, and how it is counted.
@Suite("The memory of groups")
struct GroupMemoryTests {
    private func part(_ partition: Int32, _ metadata: String? = nil) -> Positions.Commit {
        Positions.Commit(
            topic: "t", topicID: .none, partition: PartitionIndex(rawValue: partition), offset: .zero,
            leaderEpoch: .none, metadata: metadata
        )
    }

    private func beat(
        _ stage: GroupStage, _ request: ConsumerGroupHeartbeat
    ) throws -> Result<ConsumerGroupHeartbeatReply, GroupError> {
        let token = stage.token()
        stage.act { $0.heartbeats([(request, token)], topics: FakeTopics(["orders": 4]), at: $1, into: &$2) }
        guard case .consumer(let result) = try #require(stage.replies[token]) else { throw GroupStage.Wrong() }
        return result
    }

    @Test("positions are refused beyond the room there is, those that are there can be moved")
    func positions() {
        let stage = GroupStage()
        stage.coordinator.room = .bytes(5 * Limits.positionMemory.rawValue + 10)
        let many = (0..<7 as Range<Int32>).map { self.part($0) }
        #expect(stage.committed(stage.commit(many)) == [nil, nil, nil, nil, nil, .tooManyGroups, .tooManyGroups])
        stage.coordinator.room = .zero
        #expect(stage.committed(stage.commit([self.part(0), self.part(6)])) == [nil, .tooManyGroups])
        #expect(stage.committed(stage.commit([self.part(0, "more")])) == [.tooManyGroups])
        stage.coordinator.room = .bytes(4)
        #expect(stage.committed(stage.commit([self.part(0, "more"), self.part(1, "x")])) == [nil, .tooManyGroups])
        stage.coordinator.room = .zero
        #expect(stage.committed(stage.commit([self.part(0, "less")])) == [nil])
        let gone = stage.delete()
        #expect(stage.replies[gone] == .deleted(nil))
        #expect(stage.coordinator.bytesHeld == .zero)
    }

    @Test("what is being written counts, and no more when it was refused")
    func underWay() {
        let stage = GroupStage()
        stage.holdsWrites = true
        _ = stage.commit([self.part(0, "12345")])
        #expect(stage.coordinator.bytesHeld.rawValue == Limits.positionMemory.rawValue + 5)
        stage.failOne()
        #expect(stage.coordinator.bytesHeld == .zero)
    }

    @Test("without room no member comes, and those that are there go on")
    func members() throws {
        let stage = GroupStage()
        let request = stage.request()
        let id = try stage.settle([request])[0].member
        let epoch = try self.beat(stage, self.inOther(GroupBench.joining("a"))).get().epoch.rawValue
        stage.coordinator.room = .zero
        let next = stage.request()
        #expect(stage.joinError(stage.join(next)) == .tooManyGroups)
        #expect(stage.joinError(stage.join(next, GroupID("new"))) == .tooManyGroups)
        #expect(stage.coordinator.classic.count == 1)
        #expect(stage.heartbeat(id, 1) == nil)
        #expect(stage.isOpen(stage.join(stage.request(id))) == false, "who comes again with the same is let in")
        #expect(try self.beat(stage, self.inOther(GroupBench.joining("b"))) == .failure(.tooManyGroups))
        #expect(throws: Never.self) { try self.beat(stage, self.inOther(GroupBench.request("a", epoch))).get() }
        let more = GroupBench.request("a", epoch) { $0.topicNames = ["orders", "others"] }
        #expect(try self.beat(stage, self.inOther(more)) == .failure(.tooManyGroups))
    }

    private func inOther(_ request: ConsumerGroupHeartbeat) -> ConsumerGroupHeartbeat {
        var request = request
        request.group = GroupID("other")
        return request
    }

    @Test("the next coordinator counts the same, and nothing when everything is gone", arguments: 0..<20)
    func recovery(seed: UInt64) throws {
        var generator = SplitMix(seed: seed)
        let stage = GroupStage()
        let joined = try stage.settle([stage.request(), stage.request()])
        var epochs: [String: Int32] = [:]
        for step in 0..<60 as Range<Int64> {
            let name = "m\(Int.random(in: 0..<4, using: &generator))"
            switch Int.random(in: 0..<4, using: &generator) {
            case 0:
                let metadata = String(repeating: "m", count: Int.random(in: 0..<9, using: &generator))
                let partition = Int32.random(in: 0..<5, using: &generator)
                _ = stage.commit(
                    step, joined[0].member, joined[0].generation.rawValue, partition: partition, metadata: metadata)
            case 1:
                let topics = Int.random(in: 1...3, using: &generator)
                let names = (0..<topics).map { "orders\($0 == 0 ? "" : String($0))" }
                let pattern = Bool.random(using: &generator) ? "o.*" : nil
                let reply = try self.beat(stage, self.inOther(GroupBench.joining(name, names, pattern: pattern)))
                epochs[name] = try reply.get().epoch.rawValue
            case 2:
                guard epochs.removeValue(forKey: name) != nil else { continue }
                _ = try self.beat(stage, self.inOther(GroupBench.request(name, -1)))
            default:
                guard let epoch = epochs[name] else { continue }
                let reply = try self.beat(stage, self.inOther(GroupBench.request(name, epoch)))
                epochs[name] = try reply.get().epoch.rawValue
            }
        }
        let held = stage.coordinator.bytesHeld
        #expect(held > .zero)
        try stage.restart()
        #expect(stage.coordinator.bytesHeld == held)
        for name in epochs.keys { _ = try self.beat(stage, self.inOther(GroupBench.request(name, -1))) }
        for member in joined { _ = stage.leave(MemberIdentity(member: member.member)) }
        let gone = stage.delete()
        #expect(stage.replies[gone] == .deleted(nil))
        _ = stage.delete(GroupID("other"))
        #expect(stage.coordinator.bytesHeld == .zero)
    }
}
