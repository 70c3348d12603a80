import ApusCore
import Glibc
import NIOCore
import Testing

@testable import ApusGroups

@Suite("Classic groups under seeds")
struct ClassicSeedTests {
    @Test(
        "one owner of a partition in a generation, no commit of an old one, an answer to everybody, whatever happens",
        arguments: 0..<1000 as Range<UInt64>
    )
    func anything(seed: UInt64) throws {
        let world = ClassicWorld(seed: seed)
        for _ in 0..<200 { try world.step() }
        try world.checkRecovery()
        world.heal()
        try world.checkRecovery()
        world.checkAnswers()
    }

    @Test("the seeds reach what they are there for")
    func reach() throws {
        var generations = Generation.zero
        var (committed, refused) = (0, 0)
        for seed in 0..<100 as Range<UInt64> {
            let world = ClassicWorld(seed: seed)
            for _ in 0..<200 { try world.step() }
            generations = max(generations, world.newest)
            committed += world.committed
            refused += world.refused
        }
        #expect(generations.rawValue > 10)
        #expect(committed > 300)
        #expect(refused > 20)
    }

    // MARK: Many

    /// What this thread has computed so far: what others do on a busy machine does not count.
    private static var computed: Duration {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
    }

    /// Everybody joins at once; the computing until the group is stable.
    private func storm(_ count: Int, isStatic: Bool) throws -> Duration {
        let stage = GroupStage(delay: .seconds(3))
        let requests = (0..<count).map { stage.request(instance: isStatic ? "i\($0)" : nil) }
        let start = Self.computed
        let tokens = requests.map { stage.join($0) }
        stage.wait(.seconds(6))
        let joined = try tokens.map { try stage.joined($0) }
        #expect(joined.filter { !$0.members.isEmpty }.map(\.members.count) == [count])
        let assignments = Dictionary(uniqueKeysWithValues: joined.map { ($0.member, "a") })
        var syncs: [RequestToken] = []
        for one in joined.reversed() {
            syncs.append(stage.sync(one.member, 1, one.member == one.leader ? assignments : [:]))
        }
        for sync in syncs { #expect(!stage.isOpen(sync)) }
        for one in joined { #expect(stage.heartbeat(one.member, 1) == nil) }
        #expect(stage.state == "Stable")
        return Self.computed - start
    }

    @Test("ten thousand joins at once cost about ten times a thousand", arguments: [false, true])
    func manyJoins(isStatic: Bool) throws {
        let few = try (0..<3).map { _ in try self.storm(1000, isStatic: isStatic) }.min() ?? .zero
        let many = try self.storm(10_000, isStatic: isStatic)
        #expect(many < few * 40, "quadratic would be a hundred: \(few) and \(many)")
    }

    @Test("names that are asked for and never used are bounded, and so is what is kept of them")
    func manyNames() {
        let stage = GroupStage { $0.membersMax = 500 }
        var refused = 0
        for _ in 0..<2000 {
            let request = stage.request(session: .seconds(1800), mustReturn: true)
            if stage.joinError(stage.join(request)) == .groupFull { refused += 1 }
        }
        #expect(refused == 1500)
        stage.wait(.seconds(1800))
        #expect(stage.coordinator.classic.isEmpty)
    }
}

@Suite("Deadlines")
struct DeadlineQueueTests {
    private func at(_ seconds: UInt64) -> Instant { Instant(nanoseconds: seconds * 1_000_000_000) }

    @Test("what is due comes out, the earliest first, and nothing else")
    func order() {
        var queue = DeadlineQueue<String>()
        #expect(queue.earliest == nil)
        queue.set("c", self.at(3))
        queue.set("a", self.at(1))
        queue.set("b", self.at(2))
        #expect(queue.earliest == self.at(1))
        #expect(queue.popDue(self.at(0)) == nil)
        #expect(queue.popDue(self.at(2)) == "a")
        #expect(queue.popDue(self.at(2)) == "b")
        #expect(queue.popDue(self.at(2)) == nil)
        #expect(queue["c"] == self.at(3))
        queue.remove("c")
        #expect(queue.popDue(self.at(9)) == nil)
        #expect(queue.isEmpty && queue.earliest == nil)
    }

    @Test("a deadline may be put off and brought forward, and is never told early")
    func moved() {
        var queue = DeadlineQueue<String>()
        queue.set("a", self.at(1))
        queue.set("a", self.at(5))
        #expect(queue.popDue(self.at(4)) == nil)
        queue.set("a", self.at(2))
        queue.set("a", self.at(3))
        #expect(queue.popDue(self.at(2)) == nil)
        #expect(queue.popDue(self.at(3)) == "a")
        #expect(queue.popDue(self.at(9)) == nil, "once")
    }

    @Test("any moves give what a plain table would", arguments: 0..<50 as Range<UInt64>)
    func model(seed: UInt64) {
        var generator = SplitMix(seed: seed)
        var queue = DeadlineQueue<Int>()
        var table: [Int: Instant] = [:]
        var now: UInt64 = 0
        for _ in 0..<500 {
            let key = Int.random(in: 0..<12, using: &generator)
            switch Int.random(in: 0..<10, using: &generator) {
            case 0..<6:
                let deadline = self.at(now + UInt64.random(in: 0...20, using: &generator))
                queue.set(key, deadline)
                table[key] = deadline
            case 6..<8:
                queue.remove(key)
                table[key] = nil
            default:
                now += UInt64.random(in: 0...5, using: &generator)
                var due: Set<Int> = []
                while let key = queue.popDue(self.at(now)) { due.insert(key) }
                #expect(due == Set(table.filter { $0.value <= self.at(now) }.keys))
                for key in due { table[key] = nil }
            }
            #expect(queue[key] == table[key])
            if let earliest = table.values.min() { #expect(queue.earliest.map { $0 <= earliest } == true) }
        }
    }
}
