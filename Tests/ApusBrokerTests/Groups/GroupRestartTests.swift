import ApusCore
import ApusFakes
import ApusGroups
import NIOCore
import Testing

@testable import ApusBroker

@Suite("Groups over restarts of the broker")
struct GroupRestartTests {
    @Test("positions, members and their generation are there after a restart", arguments: [true, false])
    func restart(isClean: Bool) throws {
        let world = try GroupWorld()
        let members = try world.settle(3)
        for (place, member) in members.enumerated() {
            #expect(world.commit(Int64(place + 1), by: member, partition: Int32(place)) == nil)
        }
        try isClean ? world.restart() : world.crash()
        #expect(try world.positions("g", [0, 1, 2, 3]) == [1, 2, 3, nil])
        #expect(try world.list() == ["g classic Stable"])
        for member in members { #expect(world.heartbeat(member) == nil) }
        #expect(world.commit(9, by: members[0]) == nil)
        #expect(try world.positions() == [9])
    }

    @Test("while a coordinator reads its records it says so, and nothing else")
    func loading() throws {
        let world = try GroupWorld()
        #expect(world.commit(5) == nil)
        world.bench.queue.dropAll()
        world.disk.crash(seed: 3)
        let early = try TestBroker(
            disk: world.disk, store: world.store, clock: world.clock, incarnation: 9, wasClean: false
        )
        let answer = Once<[Result<[PositionAnswer], GroupError>]>()
        let query = PositionQuery(group: GroupID("g"), partitions: nil)
        early.broker.fetchOffsets([query], client: .embedded, on: early.loop) { answer.put($0) }
        early.tick()
        #expect(throws: GroupError.loading) { try #require(answer.value?.first).get() }
        early.settle()
        let later = Once<[Result<[PositionAnswer], GroupError>]>()
        early.broker.fetchOffsets([query], client: .embedded, on: early.loop) { later.put($0) }
        early.settle()
        #expect(try #require(later.value?.first).get().map(\.position?.offset) == [Offset(rawValue: 5)])
    }

    @Test("a group of the consumer protocol goes on after a crash where it was")
    func consumerGroup() throws {
        let world = try GroupWorld()
        let a = try world.heartbeat("a", 0)
        let b = try world.heartbeat("b", 0)
        var (first, second) = (a.assignment, b.assignment)
        var (epochA, epochB) = (a.epoch.rawValue, b.epoch.rawValue)
        for _ in 0..<6 {
            world.bench.passSeconds(1)
            let toA = try world.heartbeat("a", epochA, owned: first)
            let toB = try world.heartbeat("b", epochB, owned: second)
            (epochA, epochB) = (toA.epoch.rawValue, toB.epoch.rawValue)
            first = toA.assignment ?? first
            second = toB.assignment ?? second
        }
        #expect(first?.count == 3)
        #expect(second?.count == 3)
        #expect(try world.list() == ["c consumer Stable"])
        try world.crash()
        #expect(try world.list() == ["c consumer Stable"])
        let again = try world.heartbeat("a", epochA)
        #expect(again.epoch.rawValue == epochA)
        #expect(again.assignment == nil)
    }

    @Test("a stop sends away who waits for others, answers what is being written, and takes no more")
    func stop() throws {
        let world = try GroupWorld(delay: 500)
        let join = world.beginJoin(GroupWorld.request())
        let commit = world.beginCommit(5, group: "tool")
        world.broker.closeGroups()
        world.bench.tick()
        guard case .failure(let refusal) = try #require(join.value, "it does not wait") else {
            Issue.record("a generation was made")
            return
        }
        #expect(refusal.error == .notCoordinator)
        #expect(world.commit(6, group: "tool") == .notCoordinator)
        world.bench.settle()
        #expect(commit.value == [nil])
        try world.restart()
        #expect(try world.positions("tool") == [5])
    }

    @Test("a coordinator that could not read its records tries again")
    func readAgain() throws {
        let world = try GroupWorld()
        #expect(world.commit(5) == nil)
        #expect(world.commit(6, group: "other") == nil)
        for after in 0..<6 { world.disk.fail(SimulatedFault(.readError, after: after)) }
        try world.restart()
        world.disk.clearFaults()
        // The sweep closes a partition that could not be opened, then the coordinator asks for it again.
        world.bench.passSeconds(180)
        #expect(try world.positions() == [5])
        #expect(try world.positions("other") == [6])
    }

    @Test("a write that the disk refuses leaves the group as it was, in memory and after a restart")
    func fullDisk() throws {
        let world = try GroupWorld()
        #expect(world.commit(5) == nil)
        world.disk.fail(SimulatedFault(.writeFull(kept: 0)))
        #expect(world.commit(6) == .unavailable)
        #expect(try world.positions() == [5])
        world.disk.clearFaults()
        world.bench.passSeconds(5)
        #expect(try world.positions() == [5])
        #expect(world.commit(7) == nil)
        try world.restart()
        #expect(try world.positions() == [7])
    }

    @Test("below the reserve of free space groups go on, which is what it is there for")
    func reserve() throws {
        let world = try GroupWorld()
        let member = try world.settle(1)[0]
        world.disk.capacity -= Int(try world.disk.freeBytes().rawValue) - (32 << 10)
        world.bench.passSeconds(2)
        #expect(try world.bench.produce("t", Batch.of(["refused"])).error == .storageFull)
        #expect(world.commit(5, by: member) == nil)
        #expect(try world.positions() == [5])
        #expect(try world.heartbeat("a", 0).epoch.rawValue == 1)
        #expect(try world.heartbeat("b", 0).epoch.rawValue == 1)
        #expect(world.leave(member.member) == [nil])
        #expect(world.delete("g") == nil)
    }

    @Test("a wall clock that is set a month ahead takes no positions with it")
    func clock() throws {
        let world = try GroupWorld()
        #expect(world.commit(5) == nil)
        // Whoever has loaded looks for what expired in the meantime.
        try world.restart()
        world.clock.jump(to: world.clock.wallTime.later(by: .seconds(30 * 24 * 3600)))
        world.bench.passSeconds(700)
        #expect(try world.positions() == [5])
    }

    @Test("a consumer group whose write was refused is read again, and takes its members back")
    func fullDiskConsumer() throws {
        let world = try GroupWorld()
        var epoch = try world.heartbeat("a", 0).epoch.rawValue
        world.disk.fail(SimulatedFault(.writeFull(kept: 0)))
        #expect(throws: GroupError.self) { try world.heartbeat("b", 0) }
        world.disk.clearFaults()
        world.bench.passSeconds(10)
        // Nothing of b was ever there.
        #expect(try world.heartbeat("a", epoch).epoch.rawValue == epoch)
        #expect(throws: GroupError.unknownMember) { try world.heartbeat("b", epoch) }
        _ = try world.heartbeat("b", 0)
        for _ in 0..<4 {
            world.bench.passSeconds(1)
            epoch = try world.heartbeat("a", epoch, owned: .empty).epoch.rawValue
        }
        #expect(epoch > 1)
    }

    @Test("a group changes its protocol while it is empty, and only then, also over restarts")
    func protocols() throws {
        let world = try GroupWorld()
        let member = try world.settle(1, "c")[0]
        #expect(world.commit(4, by: member, group: "c") == nil)
        #expect(throws: GroupError.groupNotFound) { try world.heartbeat("a", 0) }
        #expect(world.leave(member.member, "c") == [nil])
        _ = try world.heartbeat("a", 0)
        #expect(try world.list() == ["c consumer Stable"])
        #expect(try world.positions("c") == [4])
        let refused = world.beginJoin(GroupWorld.request(), "c")
        world.bench.settle()
        #expect(throws: JoinRefusal(error: .wrongGroupType, member: .none)) { try #require(refused.value).get() }
        try world.crash()
        #expect(try world.list() == ["c consumer Stable"])
        _ = try world.heartbeat("a", -1)
        let back = try world.settle(1, "c")
        #expect(try world.list() == ["c classic Stable"])
        #expect(world.commit(8, by: back[0], group: "c") == nil)
        try world.crash(1)
        #expect(try world.list() == ["c classic Stable"])
        #expect(try world.positions("c") == [8])
    }

    @Test("what was committed and acknowledged survives any crash, and nothing older comes back", arguments: 0..<20)
    func commits(seed: UInt64) throws {
        let world = try GroupWorld(seed: seed)
        var random = SplitMix64(seed: seed)
        var issued: [[(offset: Int64, answer: Once<[GroupError?]>)]] = Array(repeating: [], count: 6)
        var floor: [Int64] = Array(repeating: -1, count: 6)
        for life in 0..<4 as Range<UInt64> {
            for step in 0..<60 {
                let partition = random.below(6)
                let offset = Int64(life) * 1000 + Int64(step) + 1
                let commit = world.beginCommit(offset, partition: Int32(partition))
                issued[partition].append((offset, commit))
                for _ in 0..<random.below(4) { _ = world.bench.queue.step() }
                world.bench.tick()
            }
            try world.crash(life)
            for partition in 0..<6 {
                let found = try world.positions("g", [Int32(partition)])[0] ?? -1
                let told = issued[partition].filter { $0.answer.value == [nil] }.map(\.offset).max() ?? -1
                #expect(found >= max(told, floor[partition]), "an acknowledged commit is gone")
                #expect(found == floor[partition] || issued[partition].contains { $0.offset == found })
                floor[partition] = found
                issued[partition] = []
            }
        }
    }
}
