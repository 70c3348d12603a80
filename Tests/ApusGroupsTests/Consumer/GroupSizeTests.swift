import ApusCore
import Testing

@testable import ApusGroups

/// What a batch of `__consumer_offsets` can not hold must not be decided: it would be refused for ever.
@Suite("Records of consumer groups that get long")
struct GroupSizeTests {
    @Test("what many members say at once is written in parts that a batch holds, and answered behind the last")
    func parts() throws {
        let stage = GroupStage()
        stage.holdsWrites = true
        let names = (0..<200).map { String(repeating: "x", count: 240) + String($0 + 100) }
        var heartbeats: [(request: ConsumerGroupHeartbeat, token: RequestToken)] = []
        for member in 0..<60 {
            let joining = GroupBench.joining("m\(member)", names.map { "\($0)-\(member)" }, pattern: nil)
            heartbeats.append((joining, stage.token()))
        }
        stage.act { $0.heartbeats(heartbeats, topics: FakeTopics(), at: $1, into: &$2) }
        let sizes = stage.held.map { write in write.records.reduce(0) { $0 + $1.byteCount } }
        #expect(sizes.reduce(0, +) > 2 * Limits.groupBatchBytes.rawValue)
        #expect(sizes.allSatisfy { $0 <= Limits.groupBatchBytes.rawValue })
        stage.release(sizes.count - 1)
        #expect(heartbeats.allSatisfy { stage.isOpen($0.token) })
        stage.release()
        for (_, token) in heartbeats {
            guard case .consumer(.success) = stage.replies[token] else { throw GroupStage.Wrong() }
        }
        let before = stage.coordinator.consumers[GroupBench.name]
        try stage.restart()
        #expect(DurableGroup(stage.coordinator.consumers[GroupBench.name]) == DurableGroup(before))
    }

    @Test("a member whose part would be more than a record holds is told so, and two may share it")
    func largeTarget() throws {
        var bench = GroupBench(["orders": 60], settings: { $0.recordBytesMax = .bytes(300) })
        #expect(bench.join("a") == "INVALID_REQUEST")
        #expect(bench.lastDecision.records.allSatisfy { $0.byteCountMax <= 300 })
        #expect(bench.group.targets.isEmpty)
        try bench.checkRecovery()
        #expect(bench.join("b").hasPrefix("b@2 [orders/"))
        #expect(bench.join("a").hasPrefix("a@2 [orders/"))
        #expect(bench.group.state == .stable)
        // More partitions than the two can be given: what they have they keep.
        bench.change("orders", 200)
        #expect(bench.beat("a", 2).hasPrefix("a@2"))
        #expect(bench.beat("b", 2).hasPrefix("b@2"))
        #expect(bench.group.state == .assigning)
        #expect(bench.group.owners.count == 60)
        try bench.checkRecovery()
    }

    @Test("a member that can be given nothing is out when its session ends, however often it asks")
    func largeTargetOfOne() {
        var bench = GroupBench(["orders": 60], settings: { $0.recordBytesMax = .bytes(300) })
        bench.join("a")
        bench.pass(.seconds(40))
        #expect(bench.join("a") == "INVALID_REQUEST")
        bench.pass(.seconds(6))
        #expect(bench.group.isEmpty)
    }

    @Test("a pattern that matches more than a record holds stands for nothing, until it matches less")
    func largePattern() throws {
        var bench = GroupBench([:], settings: { $0.recordBytesMax = .bytes(600) })
        for number in 100..<200 { bench.topics.set("t\(number)", 1) }
        #expect(bench.join("a", nil, pattern: "t.*") == "INVALID_REGULAR_EXPRESSION")
        #expect(bench.group.topicNames.isEmpty)
        #expect(bench.group.topicsTold == nil, "whose positions count as read cannot be told")
        #expect(bench.lastDecision.records.allSatisfy { $0.byteCountMax <= 600 })
        try bench.restart()
        #expect(bench.join("a", nil, pattern: "t.*") == "INVALID_REGULAR_EXPRESSION")
        for number in 110..<200 { bench.change("t\(number)", nil) }
        #expect(bench.join("a", nil, pattern: "t.*").hasSuffix("t109/0]"))
        #expect(bench.group.topicsTold?.count == 10)
        // What it has it keeps when there are too many again.
        for number in 200..<300 { bench.change("t\(number)", 1) }
        let epoch = try #require(bench.group.members[MemberID("a")]).current.epoch.rawValue
        #expect(bench.beat("a", epoch).hasPrefix("a@"))
        #expect(bench.group.topicsTold == nil)
        #expect(bench.group.owners.count == 10)
        try bench.checkRecovery()
    }
}
