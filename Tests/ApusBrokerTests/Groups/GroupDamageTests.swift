import ApusCore
import ApusFakes
import ApusGroups
import ApusLog
import NIOCore
import Testing

@testable import ApusBroker

/// Damage in a partition of `__consumer_offsets`: refused with the way out, and the way out works.
@Suite("Damaged records of groups")
struct GroupDamageTests {
    /// Names of groups that one coordinator has.
    private static let names: [String] = {
        let place = OffsetsTopic.partition(of: GroupID("g0"), count: Limits.offsetsTopicPartitions)
        return (0..<2000).map { "g\($0)" }.filter {
            OffsetsTopic.partition(of: GroupID($0), count: Limits.offsetsTopicPartitions) == place
        }
    }()
    private static var place: PartitionIndex {
        OffsetsTopic.partition(of: GroupID("g0"), count: Limits.offsetsTopicPartitions)
    }

    private func log(_ world: GroupWorld) throws -> LogIdentity {
        let topic = try #require(world.broker.topics.topic(named: OffsetsTopic.name))
        return LogIdentity(TopicPartition(topic: topic.id, partition: Self.place))
    }

    /// A batch each: two commits of the first group, one of the second that is damaged then, one of the third.
    private func damaged(
        clean: Bool = true, isAuditing: Bool = false
    ) throws -> (world: GroupWorld, log: LogIdentity) {
        let world = try GroupWorld(isAuditing: isAuditing)
        #expect(world.commit(4, group: Self.names[0]) == nil)
        #expect(world.commit(5, group: Self.names[0]) == nil)
        #expect(world.commit(7, group: Self.names[1], metadata: "the damaged one") == nil)
        #expect(world.commit(9, group: Self.names[2]) == nil)
        let log = try self.log(world)
        let happens = { try self.damage("the damaged one", in: log, world) }
        try clean ? world.restart(happens) : world.crash(0, happens)
        return (world, log)
    }

    /// Flips a bit of a record.
    private func damage(_ text: String, in log: LogIdentity, _ world: GroupWorld) throws {
        let files = world.disk.files.map(\.path).filter { $0.rawValue.hasPrefix(log.directory.rawValue + "/") }
        for file in files where file.name.hasSuffix(".segment") {
            var bytes = try #require(world.disk.contents(of: file))
            let place = bytes.readableBytesView.firstRange(of: Array(text.utf8))
            guard let place = place?.lowerBound else { continue }
            let byte = try #require(bytes.getInteger(at: place, as: UInt8.self))
            bytes.setInteger(byte ^ 1, at: place)
            return world.disk.replace(file, with: bytes)
        }
        Issue.record("no record says \(text)")
    }

    private func positions(_ world: GroupWorld) throws -> [Int64?] {
        try (0..<3).map { try world.positions(Self.names[$0])[0] }
    }

    @Test("the groups are refused, and the error says what to do", arguments: [true, false])
    func refused(isClean: Bool) throws {
        let (world, log) = try self.damaged(clean: isClean)
        world.bench.passSeconds(100)
        for name in Self.names.prefix(3) {
            #expect(throws: GroupError.loading) { try world.positions(name) }
            #expect(world.commit(1, group: name) == .loading)
        }
        let told = world.logbook.lines.filter { $0.contains("groups can not be loaded") }
        #expect(told.count > 2)
        let line = try #require(told.last)
        #expect(line.hasPrefix("error") && line.contains("\(log.directory)/00000000000000000000.segment"))
        #expect(line.contains("offsets 2..<3") && line.contains("from a copy"))
        #expect(line.contains("make an empty file /data/\(log.directory)/accept-damage"))
        // Groups of other coordinators do not notice.
        let other = try #require((0..<100).map { "other\($0)" }.first { OffsetsTopic.place($0) != Self.place })
        #expect(world.commit(3, group: other) == nil)
    }

    @Test("with the file made, what is whole is served within half a minute, for good, and the file is gone")
    func accepted() throws {
        let (world, log) = try self.damaged()
        #expect(throws: GroupError.loading) { try world.positions(Self.names[0]) }
        world.disk.replace(log.acceptedDamage, with: ByteBuffer())
        world.bench.passSeconds(31)
        #expect(try self.positions(world) == [5, nil, 9])
        #expect(world.disk.contents(of: log.acceptedDamage) == nil)
        let told = try #require(world.logbook.lines.first { $0.contains("as was accepted") })
        #expect(told.contains("offsets 2..<3") && told.contains("kept=2"))
        for number in 0..<3 {
            #expect(world.commit(20 + Int64(number), group: Self.names[number]) == nil)
        }
        let lines = world.logbook.lines.count
        try world.restart()
        #expect(try self.positions(world) == [20, 21, 22])
        try world.crash()
        #expect(try self.positions(world) == [20, 21, 22])
        #expect(world.logbook.lines.dropFirst(lines).allSatisfy { !$0.contains("damaged") })
    }

    @Test("the audit log says what was accepted at the machine, also when there was nothing to accept")
    func audited() throws {
        let (world, log) = try self.damaged(isAuditing: true)
        world.disk.replace(log.acceptedDamage, with: ByteBuffer())
        #expect(throws: GroupError.loading) { try world.positions(Self.names[0]) }
        world.bench.passSeconds(31)
        #expect(try self.positions(world) == [5, nil, 9])
        let label = "__consumer_offsets-\(Self.place)"
        var lines = try world.bench.values(InternalTopic.audit)
        #expect(lines.count == 1)
        let line = try #require(lines.last)
        #expect(line.contains(#""principal":"Machine:operator","address":"","client":"","action":"damage.accept""#))
        #expect(line.contains(#""resource":"\#(label): 2 records kept, without "#) && line.contains("offsets 2..<3"))
        try world.restart { world.disk.replace(log.acceptedDamage, with: ByteBuffer()) }
        #expect(try self.positions(world) == [5, nil, 9])
        world.bench.settle()
        lines = try world.bench.values(InternalTopic.audit)
        #expect(lines.count == 2)
        #expect(lines.last?.contains(#""resource":"\#(label): nothing is damaged","outcome":"ok""#) == true)
    }

    @Test("damage that comes later is not taken for what was accepted")
    func again() throws {
        let (world, log) = try self.damaged()
        world.disk.replace(log.acceptedDamage, with: ByteBuffer())
        world.bench.passSeconds(31)
        #expect(world.commit(8, group: Self.names[1], metadata: "the next one") == nil)
        #expect(world.commit(6, group: Self.names[0]) == nil)
        try world.restart { try self.damage("the next one", in: log, world) }
        world.bench.passSeconds(31)
        #expect(throws: GroupError.loading) { try world.positions(Self.names[0]) }
        world.disk.replace(log.acceptedDamage, with: ByteBuffer())
        world.bench.passSeconds(31)
        #expect(try self.positions(world) == [6, nil, 9])
    }

    @Test("two damaged places are accepted together, and members of whole groups go on where they were")
    func members() throws {
        let world = try GroupWorld()
        #expect(world.commit(1, group: Self.names[0], metadata: "first loss") == nil)
        let classic = try world.settle(2, Self.names[3])
        let a = try world.heartbeat("a", 0, group: Self.names[4])
        #expect(world.commit(2, group: Self.names[1], metadata: "second loss") == nil)
        #expect(world.commit(3, group: Self.names[2]) == nil)
        let log = try self.log(world)
        try world.restart {
            try self.damage("first loss", in: log, world)
            try self.damage("second loss", in: log, world)
        }
        #expect(throws: GroupError.loading) { try world.positions(Self.names[2]) }
        world.disk.replace(log.acceptedDamage, with: ByteBuffer())
        world.bench.passSeconds(3)
        #expect(try self.positions(world) == [nil, nil, 3])
        for member in classic { #expect(world.heartbeat(member, Self.names[3]) == nil) }
        let again = try world.heartbeat("a", a.epoch.rawValue, group: Self.names[4])
        #expect(again.epoch == a.epoch)
    }

    @Test("killed at any moment of it, the groups are as they were, or as they will be", arguments: 0..<40)
    func killed(steps: Int) throws {
        let (world, log) = try self.damaged()
        world.bench.passSeconds(1)
        world.disk.replace(log.acceptedDamage, with: ByteBuffer())
        world.bench.pass(.seconds(31), settling: false)
        for _ in 0..<steps {
            _ = world.bench.queue.step()
            world.bench.tick()
        }
        try world.crash(UInt64(steps))
        world.bench.passSeconds(31)
        #expect(try self.positions(world) == [5, nil, 9])
        try world.crash()
        #expect(try self.positions(world) == [5, nil, 9])
    }

    @Test("a full disk keeps it from being done, says so, and it is done when there is room")
    func full() throws {
        let (world, log) = try self.damaged()
        world.bench.passSeconds(1)
        for after in 0..<8 { world.disk.fail(SimulatedFault(.writeFull(kept: 0), on: ".segment", after: after)) }
        world.disk.replace(log.acceptedDamage, with: ByteBuffer())
        world.bench.passSeconds(20)
        #expect(world.logbook.lines.contains { $0.contains("can not be written behind the damage") })
        world.disk.clearFaults()
        world.bench.passSeconds(61)
        #expect(try self.positions(world) == [5, nil, 9])
    }

    @Test("where nothing is damaged the file goes, so that it says nothing about later damage")
    func needless() throws {
        let world = try GroupWorld()
        #expect(world.commit(5, group: Self.names[0], metadata: "the next one") == nil)
        #expect(world.commit(6, group: Self.names[1]) == nil)
        let log = try self.log(world)
        try world.restart { world.disk.replace(log.acceptedDamage, with: ByteBuffer()) }
        #expect(try world.positions(Self.names[0]) == [5])
        #expect(world.disk.contents(of: log.acceptedDamage) == nil)
        try world.restart { try self.damage("the next one", in: log, world) }
        #expect(throws: GroupError.loading) { try world.positions(Self.names[0]) }
    }
}

extension OffsetsTopic {
    fileprivate static func place(_ group: String) -> PartitionIndex {
        Self.partition(of: GroupID(group), count: Limits.offsetsTopicPartitions)
    }
}
