import ApusCore
import Testing

@testable import ApusGroups

@Suite("Large consumer groups")
struct GroupScaleTests {
    /// A client that does what it is told at once.
    private struct Client {
        let id: String
        var epoch: Int32 = 0
        var owned: PartitionSet = .empty
        var told: PartitionSet = .empty

        /// Says what it has when that changed.
        mutating func next() -> ConsumerGroupHeartbeat {
            guard self.epoch > 0 else { return GroupBench.joining(self.id) }
            let changed = self.told != self.owned
            self.owned = self.told
            return GroupBench.request(self.id, self.epoch) { $0.owned = changed ? self.owned : nil }
        }

        mutating func hear(_ reply: ConsumerGroupHeartbeatReply) {
            self.epoch = reply.epoch.rawValue
            if let assignment = reply.assignment { self.told = assignment }
        }
    }

    private struct Storm {
        var bench: GroupBench
        var clients: [Client]
        var targets = 0
        var records = 0

        /// Everybody speaks once, so many in each batch.
        mutating func round(batch size: Int) throws {
            for start in stride(from: 0, to: self.clients.count, by: size) {
                let range = start..<min(start + size, self.clients.count)
                var requests: [ConsumerGroupHeartbeat] = []
                for index in range { requests.append(self.clients[index].next()) }
                _ = self.bench.send(requests)
                for (index, reply) in zip(range, self.bench.lastDecision.replies) {
                    self.clients[index].hear(try reply.get())
                }
                for record in self.bench.lastDecision.records { if case .target = record { self.targets += 1 } }
                self.records += self.bench.lastDecision.records.count
            }
        }
    }

    @Test("1,000 members settle over 1,000 partitions in a few rounds, with one target for each batch of joins")
    func storm() throws {
        let started = ContinuousClock.now
        var storm = Storm(
            bench: GroupBench(["orders": 1000]), clients: (0..<1000).map { Client(id: "member-\($0)") }
        )
        var rounds = 0
        repeat {
            try storm.round(batch: 50)
            rounds += 1
        } while storm.bench.group.state != .stable && rounds < 20
        #expect(rounds <= 8)
        #expect(storm.targets <= 20)
        // One for each member of each target, and a few for each member on its way.
        #expect(storm.records <= 1000 * 20 / 2 + 1000 * 10)
        #expect(storm.clients.allSatisfy { $0.told.count == 1 })
        #expect(Set(storm.clients.flatMap { $0.told.elements }).count == 1000)
        try storm.bench.checkRecovery()

        // From here on nobody has anything to say, and it costs next to nothing.
        storm.records = 0
        storm.bench.pass(.seconds(4))
        for _ in 0..<20 { try storm.round(batch: 1) }
        #expect(storm.records == 0)
        // In a debug build on a busy machine; a few hundred milliseconds on an idle one.
        #expect(ContinuousClock.now - started < .seconds(120))
    }

    @Test("1,000 members that join one by one are not given 1,000 targets")
    func oneByOne() throws {
        var storm = Storm(
            bench: GroupBench(["orders": 1000], settings: { $0.assignmentPausePerMember = .microseconds(20) }),
            clients: (0..<1000).map { Client(id: "member-\($0)") }
        )
        // One joins each 100 µs.
        for index in storm.clients.indices {
            _ = storm.bench.send([storm.clients[index].next()])
            storm.clients[index].hear(try storm.bench.lastDecision.replies[0].get())
            for record in storm.bench.lastDecision.records { if case .target = record { storm.targets += 1 } }
            storm.bench.now = storm.bench.now.advanced(by: .microseconds(100))
        }
        #expect(storm.targets < 100)
        var rounds = 0
        repeat {
            storm.bench.now = storm.bench.now.advanced(by: .milliseconds(500))
            try storm.round(batch: 10)
            rounds += 1
        } while storm.bench.group.state != .stable && rounds < 20
        #expect(rounds <= 8)
        #expect(storm.clients.allSatisfy { $0.told.count == 1 })
    }

    @Test("members that want 1,000 topics each keep one list of them")
    func sharedLists() throws {
        var bench = GroupBench([:])
        let names = (0..<1000).map { "t\($0)" }
        for name in names { bench.topics.set(name, 1) }
        _ = bench.send((0..<200).map { GroupBench.joining("m\($0)", names) })
        #expect(bench.group.subscriptions.entries.count == 1)
        #expect(bench.group.members.values.allSatisfy { $0.current.assigned.count == 5 })
    }

    @Test("a group's lists of topics are bounded together")
    func manyNames() {
        var bench = GroupBench([:])
        var refused = 0
        for member in 0..<20 where refused == 0 {
            let names = (0..<Limits.topicNamesPerMemberMax).map { "\(member)-\($0)" }
            if bench.join("m\(member)", names) == "INVALID_REQUEST" { refused = member }
        }
        #expect(refused == Limits.topicNamesPerGroupMax / Limits.topicNamesPerMemberMax)
        #expect(bench.group.members.count == refused)
    }
}
