import ApusAccess
import ApusCore
import ApusFakes
import ApusSubscriptions
import Testing

@testable import ApusBroker

@Suite("Retention by reading")
struct ConsumedTests {
    private let owner = Principal.anonymous

    /// Ten records, each in a segment of its own, and groups that read them.
    private func world(
        groups: [String] = ["a", "b", "c"], floor: Int64 = 0, ceiling: Int64 = 86_400_000
    ) throws -> TestBroker {
        let world = try TestBroker()
        try world.create(
            "orders",
            [
                "retention.ms": "\(floor)", "apus.retention.ceiling.ms": "\(ceiling)", "segment.ms": "1000",
                "apus.retention.mode": "consumed",
            ])
        for group in groups { world.broker.subscriptions.groupSeen(group, owner: self.owner, topics: ["orders"]) }
        world.settle()
        for value in 0..<10 {
            try world.write("\(value)")
            world.passSeconds(2)
        }
        return world
    }

    @Test("the disk shrinks as the slowest of three groups advances")
    func shrinks() throws {
        let world = try self.world()
        world.passSeconds(70)
        #expect(try world.logStart() == 0)
        let whole = try world.bytesOnDisk()
        try world.commit("a", 9)
        try world.commit("b", 6)
        world.passSeconds(70)
        #expect(try world.logStart() == 0)
        try world.commit("c", 4)
        world.passSeconds(2)
        #expect(try world.logStart() == 4)
        #expect(try world.bytesOnDisk() < whole)
        let some = try world.bytesOnDisk()
        try world.commit("c", 8)
        world.passSeconds(2)
        #expect(try world.logStart() == 6)
        #expect(try world.bytesOnDisk() < some)
        // Who has read ahead reads on.
        #expect(try world.read(from: 6).error == nil)
        #expect(try world.read(from: 5).error != nil)
    }

    @Test("records without a timestamp wait for their readers, and for the floor")
    func timeless() throws {
        let world = try TestBroker()
        try world.create(
            "orders", ["retention.ms": "3600000", "segment.ms": "1000", "apus.retention.mode": "consumed"])
        world.broker.subscriptions.groupSeen("a", owner: self.owner, topics: ["orders"])
        world.settle()
        for value in 0..<4 {
            try world.write("\(value)", timestamp: Timestamp.none)
            world.passSeconds(2)
        }
        try world.commit("a", 2)
        world.passSeconds(70)
        #expect(try world.logStart() == 0)
        world.passHours(1)
        #expect(try world.logStart() == 2)
    }

    @Test("a large segment that all have read goes although it is the newest")
    func newest() throws {
        let world = try TestBroker()
        try world.create("orders", ["retention.ms": "0", "apus.retention.mode": "consumed"])
        world.broker.subscriptions.groupSeen("a", owner: self.owner, topics: ["orders"])
        world.settle()
        for _ in 0..<3 { try world.write(String(repeating: "x", count: 500_000)) }
        try world.commit("a", 3)
        world.passSeconds(130)
        #expect(try world.logStart() == 3)
        #expect(try world.bytesOnDisk() < 1000)
        try world.write("next")
        #expect(try world.read(from: 3).error == nil)
        try world.commit("a", 4)
        world.passSeconds(130)
        #expect(try world.logStart() == 4)
    }

    @Test("what all have read stays until it is older than the floor")
    func floor() throws {
        let world = try self.world(floor: 3_600_000)
        for group in ["a", "b", "c"] { try world.commit(group, 10) }
        world.passSeconds(70)
        #expect(try world.logStart() == 0)
        world.passHours(1)
        #expect(try world.logStart() > 0)
    }

    @Test("a dead reader can not pin the disk past the ceiling")
    func ceiling() throws {
        let world = try self.world()
        for group in ["a", "b"] { try world.commit(group, 10) }
        world.passHours(23)
        #expect(try world.logStart() == 0)
        world.passHours(2)
        #expect(try world.logStart() == 10)
    }

    @Test("a dead group stops mattering after its expiry")
    func expiry() throws {
        let world = try self.world(ceiling: -1)
        for group in ["a", "b"] { try world.commit(group, 10) }
        world.passHours(24 * 6)
        for group in ["a", "b"] {
            world.broker.subscriptions.groupSeen(group, owner: self.owner, topics: ["orders"])
        }
        world.passSeconds(2)
        #expect(try world.logStart() == 0)
        world.passHours(24)
        #expect(world.subscription("c") == nil)
        #expect(world.subscription("a") != nil)
        world.passSeconds(70)
        #expect(try world.logStart() == 10)
    }

    @Test("with nobody to read it, a topic keeps its floor")
    func nobody() throws {
        let world = try self.world(groups: [], floor: 3_600_000)
        #expect(try world.logStart() == 0)
        world.passHours(2)
        #expect(try world.logStart() > 0)
    }

    @Test("a reader that asks for a period waits no longer than that, one that does not waits for its records")
    func periods() throws {
        let world = try self.world(groups: ["a"])
        try world.subscribe("slow", period: TestBroker.hour)
        try world.commit("a", 10)
        world.passSeconds(70)
        #expect(try world.logStart() == 0)
        world.passHours(1)
        #expect(try world.logStart() > 0)
    }

    @Test("a shard that has not heard all coordinators since its start frees nothing by reading")
    func unheard() throws {
        let world = try self.world(groups: ["a"])
        // Groups keep their positions in a topic: whoever has not read all of it does not know who reads what.
        try world.create("__consumer_offsets", partitions: 2)
        try world.commit("a", 10)
        world.passSeconds(70)
        #expect(try world.logStart() == 0)
        world.broker.subscriptions.coordinatorLoaded(partition: .init(rawValue: 0), of: 2)
        world.passSeconds(70)
        #expect(try world.logStart() == 0)
        world.broker.subscriptions.coordinatorLoaded(partition: .init(rawValue: 1), of: 2)
        world.passSeconds(70)
        #expect(try world.logStart() == 10)
    }

    @Test("a restart forgets what was read until the coordinators tell it again")
    func restart() throws {
        let world = try self.world(groups: ["a", "b"])
        try world.commit("a", 10)
        try world.commit("b", 3)
        world.passSeconds(2)
        #expect(try world.logStart() == 3)
        try world.create("__consumer_offsets", partitions: 1)
        #expect(try world.close())
        let next = try TestBroker(
            disk: world.disk, store: world.store, catalogue: world.catalogue, clock: world.clock, incarnation: 2)
        #expect(try next.earliest() == 3)
        try next.commit("b", 8)
        next.passSeconds(70)
        #expect(try next.logStart() == 3)
        try next.commit("a", 10, isLoading: true)
        next.broker.subscriptions.coordinatorLoaded(partition: .init(rawValue: 0), of: 1)
        next.passSeconds(70)
        #expect(try next.logStart() == 8)
    }
}
