import ApusCore
import ApusFakes
import NIOCore
import Testing

@testable import ApusBroker

@Suite("When the disk fails")
struct StorageTests {
    @Test("a failed sync fails its partition by name, and no other")
    func syncError() throws {
        let world = try TestBroker()
        let topic = try world.create("t", partitions: 2)
        for partition in [Int32(0), 1] { _ = try world.produce("t", Batch.of(["kept"]), partition: partition) }
        world.disk.fail(SimulatedFault(.syncError, on: "\(topic.id)/0/00000000000000000000.segment"))
        let bad = world.beginProduce([("t", 0, Batch.of(["lost"])), ("t", 1, Batch.of(["good"]))])
        world.settle()
        let results = try #require(bad.value)
        guard case .storageUnknown(let reason) = results[0].error else {
            return #expect(Bool(false), "\(results)")
        }
        #expect(reason.contains("\(topic.id)/0"))
        #expect(results[1].error == nil)
        guard case .storage = try world.produce("t", Batch.of(["again"])).error else { return #expect(Bool(false)) }
        #expect(try world.values("t") == ["kept"])
        #expect(try world.values("t", partition: 1) == ["kept", "good"])
        #expect(try world.close() == false)
    }

    @Test("what the disk had when the log failed may come back, what it never got is refused for good")
    func definite() throws {
        let disk = SimulatedDisk()
        let store = FakeCoordinatorStore()
        let world = try TestBroker(disk: disk, store: store)
        try world.create("t")
        _ = try world.produce("t", Batch.of(["kept"]))
        disk.fail(SimulatedFault(.syncError, on: ".segment"))
        let handed = world.beginProduce([("t", 0, Batch.of(["handed"]))])
        let waiting = world.beginProduce([("t", 0, Batch.of(["waiting"]))])
        world.settle()
        guard case .storageUnknown = try #require(handed.value)[0].error else {
            return #expect(Bool(false), "\(String(describing: handed.value))")
        }
        guard case .storage = try #require(waiting.value)[0].error else {
            return #expect(Bool(false), "\(String(describing: waiting.value))")
        }
        // The kernel had written the pages behind our back before it told of the error.
        disk.restart()
        let after = try TestBroker(disk: disk, store: store, incarnation: 2, wasClean: false)
        #expect(try after.values("t") == ["kept", "handed"])
        #expect(try after.produce("t", Batch.of(["next"])).baseOffset == Offset(rawValue: 2))
    }

    @Test("an idempotent producer that asks again for a batch of unknown fate is not told that it is not there")
    func askedAgain() throws {
        let world = try TestBroker()
        try world.create("t")
        _ = try world.produce("t", Batch.of(["kept"]))
        let first = Batch.of(["handed"], producer: (5, 0, 0))
        let second = Batch.of(["waiting"], producer: (6, 0, 0))
        world.disk.fail(SimulatedFault(.syncError, on: ".segment"))
        _ = world.beginProduce([("t", 0, first)])
        _ = world.beginProduce([("t", 0, second)])
        world.settle()
        guard case .storageUnknown = try world.produce("t", first).error else { return #expect(Bool(false)) }
        guard case .storage = try world.produce("t", second).error else { return #expect(Bool(false)) }
    }

    @Test("a failed partition stays failed until the broker starts again, however idle it is")
    func staysFailed() throws {
        let world = try TestBroker()
        try world.create("t")
        _ = try world.produce("t", Batch.of(["kept"]))
        world.disk.fail(SimulatedFault(.syncError, on: ".segment"))
        #expect(try world.produce("t", Batch.of(["lost"])).error != nil)
        world.passSeconds(400)
        guard case .storage = try world.produce("t", Batch.of(["again"])).error else { return #expect(Bool(false)) }
    }

    @Test("a partition that can not be opened says so, and is tried again later")
    func unopenable() throws {
        let disk = SimulatedDisk()
        let store = FakeCoordinatorStore()
        let first = try TestBroker(disk: disk, store: store)
        try first.create("t")
        _ = try first.produce("t", Batch.of(["kept"]))
        #expect(try first.close())
        let world = try TestBroker(disk: disk, store: store, incarnation: 2)
        disk.fail(SimulatedFault(.readError, on: ".segment"))
        guard case .storage = try world.fetch("t", from: 0).error else { return #expect(Bool(false)) }
        world.passSeconds(2)
        #expect(try world.values("t") == ["kept"])
    }

    @Test("a full disk refuses produce by name, fetch goes on, and produce does too once there is room")
    func full() throws {
        let world = try TestBroker()
        try world.create("t")
        _ = try world.produce("t", Batch.of(["kept"]))
        world.disk.fail(SimulatedFault(.writeFull(kept: 10), on: ".segment"))
        #expect(try world.produce("t", Batch.of(["refused"])).error == .storageFull)
        #expect(try world.values("t") == ["kept"])
        #expect(try world.produce("t", Batch.of(["next"])).baseOffset == Offset(rawValue: 1))
        #expect(try world.values("t") == ["kept", "next"])
    }

    @Test("below the reserve of free space produce is refused before it is begun, and resumes by itself")
    func reserve() throws {
        let world = try TestBroker()
        try world.create("t")
        _ = try world.produce("t", Batch.of(["kept"]))
        world.disk.capacity = 32 << 10
        world.passSeconds(2)
        #expect(try world.produce("t", Batch.of(["refused"])).error == .storageFull)
        #expect(try world.values("t") == ["kept"])
        world.disk.capacity = 1 << 30
        world.passSeconds(2)
        #expect(try world.produce("t", Batch.of(["next"])).error == nil)
    }

    @Test(
        "what was acknowledged survives a crash, in order, whatever else was under way",
        arguments: 0..<60 as Range<UInt64>)
    func crash(_ seed: UInt64) throws {
        let disk = SimulatedDisk()
        let store = FakeCoordinatorStore()
        let world = try TestBroker(disk: disk, store: store, seed: seed)
        try world.create("t", partitions: 3)
        var random = SplitMix64(seed: seed)
        var pending: [(Int32, String, Once<[ProduceResult]>)] = []
        for index in 0..<60 {
            let partition = Int32(random.below(3))
            pending.append((partition, "v\(index)", world.beginProduce([("t", partition, Batch.of(["v\(index)"]))])))
            for _ in 0..<random.below(3) {
                world.queue.step()
                world.tick()
            }
        }
        world.queue.dropAll()
        disk.crash(seed: seed)
        let after = try TestBroker(disk: disk, store: store, incarnation: 2, wasClean: false)
        for partition in 0..<3 as Range<Int32> {
            let values = try after.values("t", partition: partition)
            let sent = pending.filter { $0.0 == partition }
            #expect(values == sent.prefix(values.count).map(\.1))
            for (place, entry) in sent.enumerated() {
                guard let result = entry.2.value?.first, result.error == nil else { continue }
                #expect(result.baseOffset == Offset(rawValue: Int64(place)))
                #expect(place < values.count, "acknowledged and lost")
            }
        }
    }

    @Test("a clean close is clean, is answered after all is on the disk, and refuses what comes after")
    func close() throws {
        let disk = SimulatedDisk()
        let store = FakeCoordinatorStore()
        let world = try TestBroker(disk: disk, store: store)
        try world.create("t")
        _ = try world.produce("t", Batch.of(["a"]))
        let last = world.beginProduce([("t", 0, Batch.of(["b"]))])
        let (parked, _) = world.beginFetch([("t", 0, 2)], wait: .seconds(30))
        #expect(try world.close())
        #expect(last.value?.first?.error == nil)
        #expect(parked.value != nil)
        #expect(try world.produce("t", Batch.of(["c"])).error == .shuttingDown)
        let after = try TestBroker(disk: disk, store: store, incarnation: 2)
        #expect(try after.values("t") == ["a", "b"])
    }

    @Test("after a crash the directory is called clean only when every log was looked at")
    func vouches() throws {
        let disk = SimulatedDisk()
        let store = FakeCoordinatorStore()
        let world = try TestBroker(disk: disk, store: store)
        for index in 0..<5 {
            try world.create("t\(index)")
            _ = try world.produce("t\(index)", Batch.of(["a"]))
        }
        disk.crash(seed: 1)
        let hasty = try TestBroker(disk: disk, store: store, incarnation: 2, wasClean: false)
        #expect(try hasty.close() == false)
        let patient = try TestBroker(disk: disk, store: store, incarnation: 3, wasClean: false)
        patient.passSeconds(3)
        #expect(try patient.close())
    }
}

@Suite("Retention")
struct RetentionTests {
    private func fill(_ world: TestBroker, _ configuration: [String: String?]) throws {
        var all = configuration
        all["segment.bytes"] = "16384"
        try world.create("t", all)
        for _ in 0..<10 {
            let now = world.clock.wallTime.rawValue
            let result = try world.produce("t", Batch.of([String(repeating: "x", count: 10_000)], timestamp: now))
            #expect(result.error == nil)
        }
    }

    @Test("old segments go by age, in open partitions and in those that nobody uses")
    func age() throws {
        let disk = SimulatedDisk()
        let store = FakeCoordinatorStore()
        let clock = SimulatedClock()
        let world = try TestBroker(disk: disk, store: store, clock: clock)
        try self.fill(world, ["retention.ms": "60000"])
        world.passSeconds(30)
        #expect(try world.offset("t", .earliest).offset == .zero)
        world.passSeconds(120)
        #expect(try world.offset("t", .earliest).offset == Offset(rawValue: 10))
        #expect(try world.produce("t", Batch.of(["next"])).baseOffset == Offset(rawValue: 10))
    }

    @Test("a partition that nobody opens loses its old records all the same")
    func unused() throws {
        let disk = SimulatedDisk()
        let store = FakeCoordinatorStore()
        let clock = SimulatedClock()
        let world = try TestBroker(disk: disk, store: store, clock: clock)
        try self.fill(world, ["retention.ms": "60000"])
        #expect(try world.close())
        clock.advance(by: .seconds(600))
        let before = disk.files.count
        let after = try TestBroker(disk: disk, store: store, clock: clock, incarnation: 2)
        after.passSeconds(3700)
        #expect(disk.files.count < before)
    }

    @Test("old segments go by size")
    func size() throws {
        let world = try TestBroker()
        try self.fill(world, ["retention.bytes": "50000"])
        world.passSeconds(70)
        let start = try world.offset("t", .earliest).offset
        #expect(start > .zero)
        #expect(start < Offset(rawValue: 7))
        #expect(try world.fetch("t", from: start.rawValue).error == nil)
    }

    @Test("a wall clock that jumps a year ahead deletes nothing")
    func jump() throws {
        let world = try TestBroker()
        try self.fill(world, ["retention.ms": "86400000"])
        world.clock.jump(to: Timestamp(rawValue: world.clock.wallTime.rawValue + 365 * 86_400_000))
        world.passSeconds(200)
        #expect(try world.offset("t", .earliest).offset == .zero)
    }

    @Test("the retention clock follows time that passed, and believes a jump back")
    func clock() {
        let start = Instant(nanoseconds: 0)
        var clock = RetentionClock(wall: Timestamp(rawValue: 1000), now: start)
        func read(_ wall: Int64, after milliseconds: Int64) -> Int64 {
            clock.read(
                wall: Timestamp(rawValue: wall), now: start.advanced(by: .milliseconds(milliseconds))
            ).rawValue
        }
        #expect(read(1500, after: 500) == 1500)
        #expect(read(999_999, after: 600) == 1600)
        #expect(read(999_999, after: 700) == 1700)
        #expect(read(1200, after: 800) == 1200)
        #expect(read(1300, after: 900) == 1300)
        #expect(read(.max, after: 900) == 1300)
    }
}
