import ApusCore
import ApusFakes
import ApusGroups
import Testing

@testable import ApusBroker

@Suite("Coordinators whose records were compacted")
struct GroupCompactionTests {
    /// All that can be asked of groups that have no members of the consumer protocol.
    private struct Image: Hashable {
        var list: [String]
        var positions: [String: [PositionAnswer]]
        var descriptions: [String: ClassicDescription?]
    }

    private static let groups = (0..<4).map { "tool-\($0)" } + ["classic"]

    private func image(of world: GroupWorld) throws -> Image {
        var image = Image(list: try world.list().sorted(), positions: [:], descriptions: [:])
        for group in Self.groups {
            image.positions[group] = try world.answers(group, nil).sorted { $0.partition < $1.partition }
            image.descriptions[group] = try world.describe(group)
        }
        return image
    }

    /// Small segments, and a pass as soon as there is anything to do.
    private func world(seed: UInt64) throws -> GroupWorld {
        let world = try GroupWorld(seed: seed, options: ["log.retention.check.interval.ms": "1000"])
        var settings = ["segment.bytes": "16384", "min.cleanable.dirty.ratio": "0.01"]
        // Without a tombstone what it removed must not come back, either.
        if seed.isMultiple(of: 2) { settings["delete.retention.ms"] = "0" }
        let alteration = ConfigurationAlteration.change(
            settings.sorted { $0.key < $1.key }.map { .set(name: $0.key, value: $0.value) })
        let answer = Once<[BrokerError?]>()
        world.broker.alterConfigurations(
            [(.topic(OffsetsTopic.name), alteration)], client: .embedded, on: world.bench.loop
        ) { answer.put($0) }
        world.bench.settle()
        #expect(answer.value == [nil])
        return world
    }

    private func compactedFiles(_ world: GroupWorld) -> Set<DiskPath> {
        Set(world.disk.files.map(\.path).filter { $0.name.hasSuffix(".compacted") })
    }

    /// Commits of groups without members, groups that are deleted, generations that come and go.
    private func work(_ world: GroupWorld, _ random: inout SplitMix64, round: Int) throws {
        for step in 0..<40 {
            let group = "tool-\(random.below(4))"
            let words = "\(round).\(step) " + String(repeating: "w", count: 1500)
            let offset = Int64(round * 100 + step)
            #expect(world.commit(offset, partition: Int32(random.below(6)), group: group, metadata: words) == nil)
        }
        // A group that was not there answers so, too; it is the records that count.
        if random.isOne(in: 2) { _ = world.delete("tool-\(random.below(4))") }
        let members = try world.settle(2, "classic")
        #expect(world.commit(Int64(round), by: members[0], group: "classic") == nil)
        for member in members { #expect(world.leave(member.member, "classic") == [nil]) }
    }

    @Test("loaded again from compacted records, after a stop or a crash, all groups stand as before", arguments: 0..<4)
    func reloaded(seed: UInt64) throws {
        let world = try self.world(seed: seed)
        var random = SplitMix64(seed: seed)
        for life in 0..<2 as Range<UInt64> {
            let before = self.compactedFiles(world)
            for round in 0..<5 {
                try self.work(world, &random, round: round)
                world.bench.passSeconds(8)
            }
            #expect(!self.compactedFiles(world).subtracting(before).isEmpty, "a test of compaction without any")
            let members = try world.settle(2, "classic")
            #expect(world.commit(77, by: members[1], partition: 3, group: "classic") == nil)
            let stood = try self.image(of: world)
            #expect(stood.positions.values.contains { !$0.isEmpty })
            try seed % 4 < 2 ? world.crash(life) : world.restart()
            #expect(try self.image(of: world) == stood)
            // They are still members of the generation that they were in.
            for member in members { #expect(world.heartbeat(member, "classic") == nil) }
            #expect(world.commit(78, by: members[1], partition: 3, group: "classic") == nil)
            for member in members { #expect(world.leave(member.member, "classic") == [nil]) }
        }
    }

    @Test("a crash in the middle of a pass loses nothing that was committed", arguments: 0..<12)
    func crashes(seed: UInt64) throws {
        let world = try self.world(seed: seed)
        var random = SplitMix64(seed: seed)
        for life in 0..<3 as Range<UInt64> {
            for round in 0..<3 { try self.work(world, &random, round: round) }
            let stood = try self.image(of: world)
            // The second in which passes begin, and then some pieces of their work and no more.
            world.bench.pass(.seconds(1), settling: false)
            for _ in 0..<random.below(120) {
                if world.bench.queue.step() { world.bench.tick() }
                if random.isOne(in: 8) { world.bench.pass(.milliseconds(20), settling: false) }
            }
            try world.crash(life)
            #expect(try self.image(of: world) == stood)
        }
    }

    @Test("a group of the consumer protocol goes on where it was, from compacted records", arguments: [true, false])
    func consumerGroup(isClean: Bool) throws {
        let world = try self.world(seed: isClean ? 1 : 2)
        var (epoch, owned) = (Int32(0), PartitionSet?.none)
        // Each name that comes and goes is a new epoch, a new target and tombstones.
        for name in 0..<60 {
            let reply = try world.heartbeat("stays", epoch, owned: owned)
            (epoch, owned) = (reply.epoch.rawValue, reply.assignment ?? owned)
            _ = try world.heartbeat("guest-\(name)-" + String(repeating: "g", count: 200), 0)
            _ = try world.heartbeat("guest-\(name)-" + String(repeating: "g", count: 200), -1)
            world.bench.passSeconds(1)
        }
        #expect(!self.compactedFiles(world).isEmpty, "a test of compaction without any")
        for _ in 0..<4 {
            world.bench.passSeconds(1)
            let reply = try world.heartbeat("stays", epoch, owned: owned)
            (epoch, owned) = (reply.epoch.rawValue, reply.assignment ?? owned)
        }
        #expect(owned?.count == 6)
        let list = try world.list()
        try isClean ? world.restart() : world.crash()
        #expect(try world.list() == list)
        let again = try world.heartbeat("stays", epoch, owned: owned)
        #expect(again.epoch.rawValue == epoch && again.assignment == nil)
    }
}
