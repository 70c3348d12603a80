import ApusAccess
import ApusCore
import ApusFakes
import ApusSubscriptions
import Testing

@testable import ApusBroker

@Suite("Windows and retention")
struct WindowTests {
    /// A record an hour, each in a segment of its own.
    private func world(
        hours: Int, floor: Int64 = 1_800_000, _ more: [String: String?] = [:], _ before: (TestBroker) throws -> Void
    ) throws -> TestBroker {
        let world = try TestBroker()
        var configuration: [String: String?] = ["retention.ms": "\(floor)", "segment.ms": "60000"]
        configuration.merge(more) { $1 }
        try world.create("orders", configuration)
        try before(world)
        for hour in 0..<hours {
            try world.write("\(hour)")
            world.passHours(1)
        }
        return world
    }

    @Test("records without a timestamp stay and are read by when they came")
    func timeless() throws {
        let world = try self.world(hours: 0) { world in
            try world.subscribe("hourly", owner: "User:alice", period: TestBroker.hour * 3)
        }
        for hour in 0..<6 {
            try world.write("\(hour)", timestamp: Timestamp.none)
            world.passSeconds(62)
            #expect(try world.earliest(for: "hourly") <= hour)
            world.passHours(1)
        }
        // Two hours and more, and three hours and more ago.
        #expect(try world.logStart() == 4)
        #expect(try world.earliest(for: "hourly") == 4)
        #expect(try world.read(from: 4, for: "hourly").error == nil)
    }

    @Test("one hour and one day on one topic: what each reads, what stays, before and after one is removed")
    func twoPeriods() throws {
        let world = try self.world(hours: 30) { world in
            try world.subscribe("hourly", owner: "User:alice", period: TestBroker.hour * 2)
            try world.subscribe("daily", owner: "User:bob", period: TestBroker.hour * 24)
        }
        // The last record, 29, is an hour and a minute old, 28 two hours and two minutes.
        #expect(try world.earliest(for: "hourly") == 29)
        #expect(try world.earliest(for: "daily") == 7)
        // Nobody may read the older ones, so they are gone for all.
        #expect(try world.logStart() == 7)
        #expect(try world.earliest() == 7)
        let late = try world.read(from: 28, for: "hourly")
        #expect(late.error == .offsetOutOfRange(logStart: Offset(rawValue: 29), logEnd: Offset(rawValue: 30)))
        #expect(late.batches.isEmpty)
        let fresh = try world.read(from: 29, for: "hourly")
        #expect(fresh.error == nil)
        #expect(fresh.logStartOffset == Offset(rawValue: 29))
        #expect(try fresh.batches.flatMap { try Batch.values(in: $0) } == ["29"])
        #expect(try world.read(from: 28, for: "daily").error == nil)
        #expect(try world.read(from: 6, for: "daily").error != nil)
        // A Kafka fetch names no subscription: the principal's widest counts; who has none is not restricted.
        #expect(try world.earliest(as: world.reader("alice")) == 29)
        #expect(try world.earliest(as: world.reader("bob")) == 7)
        #expect(try world.earliest(as: world.reader("carol")) == 7)
        #expect(try world.read(from: 28, as: world.reader("alice")).error != nil)
        #expect(try world.read(from: 28, as: world.reader("carol")).error == nil)
        // Asking by time does not look past the window either.
        let start = OffsetQuery.Position.time(Timestamp(rawValue: 0))
        #expect(try world.earliest(for: "hourly", start) == 29)
        #expect(try world.earliest(for: "daily", start) == 7)
        try world.unsubscribe("daily")
        world.passSeconds(62)
        #expect(try world.logStart() == 29)
        #expect(try world.earliest(as: world.reader("bob")) == 29)
    }

    @Test("a subscription made later restricts from its first fetch on; a longer period gives back what is there")
    func changes() throws {
        let world = try self.world(hours: 6) { try $0.subscribe("keeper", owner: "User:bob", period: .seconds(90_000)) }
        let alice = try world.reader("alice")
        #expect(try world.read(from: 0, as: alice).error == nil)
        try world.subscribe("short", period: TestBroker.hour * 2)
        #expect(try world.read(from: 0, as: alice).error != nil)
        #expect(try world.earliest(as: alice) == 5)
        try world.subscribe("short", period: TestBroker.hour * 5)
        #expect(try world.earliest(as: alice) == 2)
        try world.unsubscribe("short")
        #expect(try world.earliest(as: alice) == 0)
    }

    @Test("a group that states no period reads what the floor keeps while somebody holds more, and else all there is")
    func unstated() throws {
        let world = try self.world(hours: 3) { _ in }
        world.broker.subscriptions.groupSeen("g", owner: try #require(Principal(user: "dora")), topics: ["orders"])
        world.settle()
        let dora = try world.reader("dora")
        // Everything closed went with the floor; the newest segment goes when it is closed.
        let start = try world.logStart()
        #expect(try world.earliest(as: dora) == start)
        try world.subscribe("keeper", owner: "User:bob", period: TestBroker.hour * 24)
        for hour in 0..<3 {
            try world.write("\(hour)")
            world.passHours(1)
        }
        try world.write("new")
        let end = try world.earliest(as: dora, .latest)
        #expect(try world.logStart() < end - 1)
        #expect(try world.earliest(as: dora) == end - 1)
        #expect(try world.earliest(for: "keeper") == world.logStart())
    }

    @Test("a window's start never goes back, whatever the clock does")
    func clockJumps() throws {
        let world = try self.world(hours: 6) { try $0.subscribe("keeper", period: TestBroker.hour * 3) }
        let before = try world.earliest(for: "keeper")
        #expect(before == 4)
        world.clock.jump(to: Timestamp(rawValue: world.clock.wallTime.rawValue - 5 * 3_600_000))
        world.passSeconds(70)
        #expect(try world.earliest(for: "keeper") == before)
        // A jump ahead moves nothing either: time did not pass.
        world.clock.jump(to: Timestamp(rawValue: world.clock.wallTime.rawValue + 500 * 3_600_000))
        world.passSeconds(70)
        #expect(try world.earliest(for: "keeper") == before)
    }

    @Test("the ceiling frees what a longer period asked for, and a longer floor is not shortened by it")
    func ceiling() throws {
        let world = try self.world(hours: 12, ["apus.retention.ceiling.ms": "21600000"]) {
            try $0.subscribe("greedy", period: TestBroker.hour * 240)
        }
        #expect(try world.logStart() == 7)
        #expect(try world.earliest(for: "greedy") == 7)
    }

    @Test("records that nobody asks to keep go also from partitions that nobody uses")
    func patrolled() throws {
        let world = try self.world(hours: 4) { try $0.subscribe("keeper", period: TestBroker.hour * 24) }
        #expect(try world.logStart() == 0)
        world.passSeconds(400)
        try world.unsubscribe("keeper")
        let topic = try #require(world.broker.topics.topic(named: "orders"))
        let directory = DiskPath("topics/\(topic.id)/0")
        let before = try world.disk.list(directory).count
        world.passSeconds(4000)
        #expect(try world.disk.list(directory).count < before)
        #expect(try world.earliest() == 4)
    }

    @Test("a catalogue that can not be read at the start frees nothing that a subscription may hold")
    func unread() throws {
        let world = try self.world(hours: 4) { try $0.subscribe("keeper", period: TestBroker.hour * 24) }
        #expect(try world.logStart() == 0)
        #expect(try world.close())
        world.catalogue.failure = .corrupt("page 7")
        let next = try TestBroker(
            disk: world.disk, store: world.store, catalogue: world.catalogue, clock: world.clock, incarnation: 2)
        #expect(try next.earliest() == 0)
        next.passHours(1)
        #expect(try next.logStart() == 0)
        // Produce and fetch go on, and nobody is told a wrong window.
        try next.write("more")
        #expect(try next.read(from: 0).error == nil)
        next.catalogue.failure = nil
        next.passSeconds(70)
        #expect(try next.earliest(for: "keeper") == 0)
        try next.unsubscribe("keeper")
        next.passSeconds(70)
        #expect(try next.logStart() > 0)
    }

    @Test("a wait for more records ends in the window, however long it was")
    func parked() throws {
        let world = try self.world(hours: 2) { try $0.subscribe("keeper", period: TestBroker.hour * 24) }
        let answer = Once<[FetchResult]>()
        let entry = FetchEntry(
            topic: .name("orders"), partition: .init(rawValue: 0), offset: Offset(rawValue: 2), bytesMax: .mebibytes(1))
        world.broker.fetch(
            [entry], limits: FetchLimits(bytesMin: .bytes(1), bytesMax: .mebibytes(1), waitMax: .seconds(20)),
            client: .embedded, for: SubscriptionName("keeper"), on: world.loop
        ) { answer.put($0) }
        world.passSeconds(3)
        #expect(answer.value == nil)
        try world.write("late")
        #expect(try answer.value?.first?.batches.flatMap { try Batch.values(in: $0) } == ["late"])
    }

    @Test("options: periods of the ceiling and modes that do not exist are refused")
    func options() throws {
        let world = try TestBroker()
        #expect(throws: BrokerError.self) { try world.create("a", ["apus.retention.mode": "sometimes"]) }
        #expect(throws: BrokerError.self) { try world.create("b", ["apus.retention.ceiling.ms": "-2"]) }
        let topic = try world.create("c", ["apus.retention.mode": "consumed", "apus.retention.ceiling.ms": "-1"])
        #expect(topic.configuration.retentionPolicy.mode == .consumed)
        #expect(topic.configuration.retentionPolicy.ceiling == nil)
        #expect(try world.create("d").configuration.retentionPolicy.ceiling == .seconds(30 * 24 * 3600))
    }

    @Test("plain fetches are uses: what is read without a name does not expire, and does when nobody reads")
    func fetched() throws {
        let world = try TestBroker()
        try world.create("orders")
        try world.subscribe("plain", period: TestBroker.hour, expiry: .seconds(300))
        try world.subscribe("short", period: TestBroker.hour, expiry: .seconds(20))
        try world.subscribe("others", owner: "User:bob", period: TestBroker.hour, expiry: .seconds(300))
        let alice = try world.reader("alice")
        for _ in 0..<250 {
            world.passSeconds(4)
            #expect(try world.read(from: 0, as: alice).error == nil)
        }
        #expect(world.subscription("plain") != nil && world.subscription("short") != nil)
        #expect(world.subscription("others") == nil)
        world.passSeconds(400)
        #expect(world.subscription("plain") == nil)
    }

    /// Somebody may read two of six hours; the broker has just begun, so that nothing is known of where they begin.
    private func restarted() throws -> TestBroker {
        let world = try self.world(hours: 6) { world in
            try world.subscribe("keeper", owner: "User:bob", period: TestBroker.hour * 24)
            try world.subscribe("short", period: TestBroker.hour * 2)
        }
        #expect(try world.earliest(as: world.reader("alice")) == 5)
        #expect(try world.close())
        return try TestBroker(
            disk: world.disk, store: world.store, catalogue: world.catalogue, clock: world.clock, incarnation: 2)
    }

    private func segment(_ base: Int, _ world: TestBroker) throws -> DiskPath {
        let topic = try #require(world.broker.topics.topic(named: "orders"))
        let digits = String(base)
        let name = String(repeating: "0", count: 20 - digits.count) + digits
        return DiskPath("topics/\(topic.id)/0/\(name).segment")
    }

    @Test("a window whose beginning the disk does not tell is not open: the error is answered, and the next asks again")
    func diskError() throws {
        let world = try self.restarted()
        let alice = try world.reader("alice")
        // Opened by somebody whom nothing restricts.
        #expect(try world.read(from: 0).error == nil)
        world.disk.fail(SimulatedFault(.readError, on: "5.segment"))
        let refused = try world.read(from: 0, as: alice)
        guard case .storage = refused.error else { return #expect(Bool(false), "\(refused)") }
        #expect(refused.batches.isEmpty)
        #expect(world.disk.pendingFaults.isEmpty)
        #expect(try world.earliest(as: alice) == 5)
        let late = try world.read(from: 0, as: alice)
        #expect(late.error == .offsetOutOfRange(logStart: Offset(rawValue: 5), logEnd: Offset(rawValue: 6)))
    }

    @Test("a window that begins in damage begins behind it, and nobody reads what is too old")
    func damaged() throws {
        let world = try self.restarted()
        let alice = try world.reader("alice")
        #expect(try world.read(from: 0).error == nil)
        try world.write("6")
        world.disk.damage(try self.segment(5, world), at: 64 + 8 + 65) { $0 ^= 1 }
        #expect(try world.earliest(as: alice) == 6)
        #expect(try world.read(from: 0, as: alice).batches.isEmpty)
        #expect(try world.read(from: 6, as: alice).error == nil)
        // Retention knows only that what comes before is older.
        let topic = try #require(world.broker.topics.topic(named: "orders"))
        let slot = try #require(
            world.broker.shards[0].slots[TopicPartition(topic: topic.id, partition: .init(rawValue: 0))])
        #expect(slot.windows.last(TestBroker.hour * 2) == Offset(rawValue: 5))
    }

    @Test("a window that begins in a file that is lost begins behind it")
    func lost() throws {
        let world = try self.restarted()
        let alice = try world.reader("alice")
        #expect(try world.read(from: 0).error == nil)
        try world.write("6")
        world.passSeconds(70)
        try world.write("7")
        world.disk.erase(try self.segment(5, world))
        #expect(try world.earliest(as: alice) == 6)
        #expect(try world.read(from: 0, as: alice).batches.isEmpty)
    }
}
