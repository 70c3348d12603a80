import ApusCore
import ApusFakes
import KafkaWire
import NIOCore
import Testing

@testable import ApusBroker

@Suite("Fetch")
struct FetchTests {
    private func world(_ records: Int = 0, _ configuration: [String: String?] = [:]) throws -> TestBroker {
        let world = try TestBroker()
        try world.create("t", partitions: 4, configuration)
        for index in 0..<records { _ = try world.produce("t", Batch.of(["\(index)"])) }
        return world
    }

    @Test("a parked fetch is answered when something becomes durable")
    func woken() throws {
        let world = try self.world(1)
        let (answer, _) = world.beginFetch([("t", 0, 1)], wait: .seconds(5))
        world.settle()
        #expect(answer.value == nil)
        _ = world.beginProduce([("t", 0, Batch.of(["new"]))])
        #expect(answer.value == nil)
        world.settle()
        #expect(try Batch.values(in: try #require(answer.value?.first?.batches.first)) == ["new"])
    }

    @Test("a parked fetch is answered with nothing when its time is over")
    func timesOut() throws {
        let world = try self.world(1)
        let (answer, _) = world.beginFetch([("t", 0, 1)], wait: .milliseconds(200))
        world.pass(.milliseconds(190))
        #expect(answer.value == nil)
        world.pass(.milliseconds(30))
        let result = try #require(answer.value?.first)
        #expect(result.error == nil)
        #expect(result.batches.isEmpty)
        #expect(result.highWatermark == Offset(rawValue: 1))
    }

    @Test("a fetch waits for the bytes it asked for, over all its partitions together")
    func bytesMin() throws {
        let world = try self.world()
        let one = Batch.of(["x"]).readableBytes
        let (answer, _) = world.beginFetch(
            [("t", 0, 0), ("t", 1, 0), ("t", 2, 0)], bytesMin: 3 * one, wait: .seconds(5)
        )
        for partition in [Int32(0), 1] {
            _ = try world.produce("t", Batch.of(["x"]), partition: partition)
            #expect(answer.value == nil)
        }
        _ = try world.produce("t", Batch.of(["x"]), partition: 0)
        let results = try #require(answer.value)
        #expect(results.map { $0.byteCount.rawValue } == [2 * one, one, 0])
    }

    @Test("a fetch that finds some waits for the rest, and gives what there is in the end")
    func some() throws {
        let world = try self.world(2)
        let (answer, _) = world.beginFetch([("t", 0, 0)], bytesMin: 100_000, wait: .milliseconds(100))
        world.pass(.milliseconds(80))
        #expect(answer.value == nil)
        world.pass(.milliseconds(40))
        #expect(answer.value?.first?.batches.isEmpty == false)
    }

    @Test(
        "an answer goes on over the ends of segments, and every record comes once",
        arguments: 1...4 as ClosedRange<UInt64>)
    func overSegments(seed: UInt64) throws {
        let world = try TestBroker(seed: seed, tailCache: .bytes(1000))
        try world.create("t", ["segment.bytes": "\(Limits.segmentBytesMin.rawValue)"])
        let size = Limits.segmentBytesMin.rawValue / 4
        for index in 0..<10 {
            _ = try world.produce("t", Batch.of(["\(index)" + String(repeating: "x", count: size)]))
        }
        let whole = 16 * Limits.segmentBytesMin.rawValue
        let (answer, _) = world.beginFetch([("t", 0, 0)], bytesMax: whole) { $0.bytesMax = .bytes(whole) }
        world.settle()
        let found = try #require(answer.value?.first)
        #expect(found.error == nil)
        #expect(try found.batches.flatMap { try Batch.values(in: $0).map { $0.prefix(1) } } == (0..<10).map { "\($0)" })
        // In small pieces, as a reader gets them that goes on from what it has.
        var next: Int64 = 0
        while next < 10 {
            let piece = try world.fetch("t", from: next, bytesMax: 3 * size)
            let values = try piece.batches.flatMap { try Batch.values(in: $0, from: next) }
            try #require(piece.error == nil && !values.isEmpty)
            for value in values {
                #expect(value.prefix(1) == "\(next)")
                next += 1
            }
        }
    }

    @Test("errors are answered at once, whatever the others wait for")
    func errors() throws {
        let world = try self.world(1)
        let (unknown, _) = world.beginFetch([("t", 0, 1), ("nowhere", 0, 0)], wait: .seconds(5))
        world.settle()
        #expect(unknown.value?.map(\.error) == [nil, .unknownTopicOrPartition])
        for offset in [Int64(-1), 2, .max] {
            let (range, _) = world.beginFetch([("t", 0, offset)], wait: .seconds(5))
            world.settle()
            #expect(
                range.value?.first?.error == .offsetOutOfRange(logStart: .zero, logEnd: Offset(rawValue: 1)),
                "\(offset)"
            )
        }
    }

    @Test("an epoch older than ours is fenced, a newer one is unknown, none is not checked")
    func epochs() throws {
        let world = try self.world(1)
        for (epoch, error) in [(0, BrokerError.fencedLeaderEpoch), (2, .unknownLeaderEpoch), (1, nil), (-1, nil)] {
            let (answer, _) = world.beginFetch([("t", 0, 0)]) { $0.currentLeaderEpoch = Epoch(rawValue: Int32(epoch)) }
            world.settle()
            #expect(answer.value?.first?.error == error, "\(epoch)")
        }
    }

    @Test("a client whose last record is not ours is told where to go back to")
    func diverges() throws {
        let disk = SimulatedDisk()
        let store = FakeCoordinatorStore()
        let first = try TestBroker(disk: disk, store: store, incarnation: 1)
        try first.create("t")
        _ = try first.produce("t", Batch.of(["a", "b"]))
        #expect(try first.close())
        let second = try TestBroker(disk: disk, store: store, incarnation: 4)
        _ = try second.produce("t", Batch.of(["c"]))
        let (answer, _) = second.beginFetch([("t", 0, 3)]) { $0.lastFetchedEpoch = Epoch(rawValue: 2) }
        second.settle()
        #expect(
            answer.value?.first?.divergingEpoch == EpochEnd(epoch: Epoch(rawValue: 1), endOffset: Offset(rawValue: 2))
        )
    }

    @Test("the first batch comes whole even if it is larger than what was asked for, the others not")
    func large() throws {
        let world = try self.world()
        for partition in [Int32(0), 1] {
            _ = try world.produce("t", Batch.of([String(repeating: "x", count: 5000)]), partition: partition)
        }
        let (answer, _) = world.beginFetch([("t", 2, 0), ("t", 0, 0), ("t", 1, 0)], bytesMax: 100)
        world.settle()
        #expect(answer.value?.map(\.batches.count) == [0, 1, 0])
        let (entry, _) = world.beginFetch([("t", 0, 0), ("t", 1, 0)]) { $0.bytesMax = .bytes(10) }
        world.settle()
        #expect(entry.value?.map(\.batches.count) == [1, 0])
    }

    @Test("a cancelled fetch is not answered, and leaves nothing behind")
    func cancelled() throws {
        let world = try self.world(1)
        let (answer, ticket) = world.beginFetch([("t", 0, 1), ("t", 1, 0)], wait: .seconds(5))
        world.settle()
        ticket.cancel()
        _ = try world.produce("t", Batch.of(["new"]))
        world.pass(.milliseconds(100))
        #expect(answer.value == nil)
        let shard = world.broker.shards[0]
        #expect(shard.sweep.allSatisfy { $0.parked.isEmpty })
        #expect(shard.wheel.isEmpty)
    }

    @Test("deleting the topic answers a parked fetch")
    func deleted() throws {
        let world = try self.world(1)
        let (answer, _) = world.beginFetch([("t", 0, 1)], wait: .seconds(5))
        world.settle()
        #expect(world.delete(["t"]).count == 1)
        #expect(answer.value?.first?.error == .unknownTopicOrPartition)
    }

    @Test("what left the tail cache comes from the disk, the same")
    func cold() throws {
        let world = try TestBroker(tailCache: .bytes(1000))
        try world.create("t")
        let values = (0..<50).map { "value \($0)" }
        for value in values { _ = try world.produce("t", Batch.of([value])) }
        #expect(try world.values("t") == values)
        #expect(try world.values("t", from: 20) == Array(values[20...]))
    }

    @Test("what is read from the disk gives way, what is written does not")
    func givesWay() throws {
        let world = try TestBroker(tailCache: .bytes(500))
        try world.create("t")
        for index in 0..<50 { _ = try world.produce("t", Batch.of(["value \(index)"])) }
        let (found, _) = world.beginFetch([("t", 0, 20)])
        #expect(world.queue.lanesWaiting.map(\.givesWay) == [true])
        let written = world.beginProduce([("t", 0, Batch.of(["one more"]))])
        #expect(world.queue.lanesWaiting.map(\.givesWay).sorted { !$0 && $1 } == [false, true])
        world.settle()
        #expect(written.value?.first?.error == nil)
        #expect(found.value?.first?.batches.isEmpty == false)
    }

    @Test("a damaged record is never served, and the partition says so by name")
    func damaged() throws {
        let world = try TestBroker(tailCache: .bytes(500))
        try world.create("t")
        for index in 0..<20 { _ = try world.produce("t", Batch.of(["value \(index)"])) }
        let segment = try #require(world.disk.files.first { $0.path.rawValue.hasSuffix(".segment") }).path
        world.disk.damage(segment, at: 64 + 8 + 65) { $0 ^= 1 }
        let result = try world.fetch("t", from: 0)
        guard case .storage(let reason) = result.error else { return #expect(Bool(false), "\(result)") }
        #expect(reason.contains("batch"))
        #expect(result.batches.isEmpty)
        #expect(try world.values("t", from: 19) == ["value 19"])
    }

    @Test("many small batches come as one buffer")
    func joined() throws {
        let world = try self.world(40)
        #expect(try world.fetch("t", from: 0).batches.count == 1)
        #expect(try world.values("t", from: 3) == (3..<40).map(String.init))
    }

    @Test("a thousand readers of one partition are all woken by one record")
    func readers() throws {
        let world = try self.world(1)
        let answers = (0..<1000).map { _ in world.beginFetch([("t", 0, 1)], wait: .seconds(30)).answer }
        world.settle()
        _ = try world.produce("t", Batch.of(["new"]))
        #expect(answers.allSatisfy { $0.value?.first?.batches.count == 1 })
        #expect(world.broker.shards[0].wheel.isEmpty)
    }
}

@Suite("Offsets")
struct OffsetTests {
    @Test("earliest, latest, by time and by the largest time")
    func positions() throws {
        let world = try TestBroker()
        try world.create("t")
        #expect(try world.offset("t", .latest).offset == .zero)
        #expect(try world.offset("t", .largestTimestamp) == .nothing)
        let now = world.clock.wallTime.rawValue
        for (value, time) in [("a", now - 500), ("b", now - 100), ("c", now - 300)] {
            _ = try world.produce("t", Batch.of([value], timestamp: time))
        }
        #expect(try world.offset("t", .earliest).offset == .zero)
        #expect(try world.offset("t", .latest).offset == Offset(rawValue: 3))
        #expect(try world.offset("t", .latest).leaderEpoch == Epoch(rawValue: 1))
        let found = try world.offset("t", .time(Timestamp(rawValue: now - 400)))
        #expect(found.offset == Offset(rawValue: 1))
        #expect(found.timestamp == Timestamp(rawValue: now - 100))
        #expect(try world.offset("t", .time(Timestamp(rawValue: now))) == .nothing)
        #expect(try world.offset("t", .largestTimestamp).offset == Offset(rawValue: 1))
        #expect(try world.offset("t", .latestTiered) == .nothing)
    }

    @Test("deleted records are gone for good, and the answer comes when the disk knows")
    func deleteRecords() throws {
        let disk = SimulatedDisk()
        let store = FakeCoordinatorStore()
        let world = try TestBroker(disk: disk, store: store)
        try world.create("t")
        for index in 0..<10 { _ = try world.produce("t", Batch.of(["\(index)"])) }
        func delete(_ before: Int64?) -> Once<[Result<Offset, BrokerError>]> {
            let answer = Once<[Result<Offset, BrokerError>]>()
            let deletion = RecordDeletion(
                topic: .name("t"), partition: PartitionIndex(rawValue: 0), before: before.map { Offset(rawValue: $0) }
            )
            world.broker.deleteRecords([deletion], timeout: .seconds(5), client: .embedded, on: world.loop) {
                answer.put($0)
            }
            world.tick()
            return answer
        }
        let answer = delete(4)
        #expect(answer.value == nil)
        world.settle()
        #expect(answer.value == [.success(Offset(rawValue: 4))])
        #expect(try world.values("t", from: 4) == (4..<10).map(String.init))
        #expect(try world.fetch("t", from: 3).error != nil)
        let beyond = delete(11)
        world.settle()
        #expect(
            beyond.value == [.failure(.offsetOutOfRange(logStart: Offset(rawValue: 4), logEnd: Offset(rawValue: 10)))]
        )
        world.disk.crash(seed: 3)
        let after = try TestBroker(disk: disk, store: store, incarnation: 2, wasClean: false)
        #expect(try after.offset("t", .earliest).offset == Offset(rawValue: 4))
    }

    @Test("where an epoch ends")
    func epochEnds() throws {
        let disk = SimulatedDisk()
        let store = FakeCoordinatorStore()
        let first = try TestBroker(disk: disk, store: store, incarnation: 1)
        try first.create("t")
        _ = try first.produce("t", Batch.of(["a", "b"]))
        #expect(try first.close())
        let world = try TestBroker(disk: disk, store: store, incarnation: 3)
        _ = try world.produce("t", Batch.of(["c"]))
        for (epoch, expected) in [(1, (1, 2)), (2, (1, 2)), (3, (3, 3)), (4, (-1, -1))] as [(Int32, (Int32, Int64))] {
            let answer = Once<[Result<EpochEnd, BrokerError>]>()
            let query = EpochQuery(
                topic: .name("t"), partition: PartitionIndex(rawValue: 0), leaderEpoch: Epoch(rawValue: epoch)
            )
            world.broker.epochEnds([query], client: .embedded, on: world.loop) { answer.put($0) }
            world.settle()
            let end = EpochEnd(epoch: Epoch(rawValue: expected.0), endOffset: Offset(rawValue: expected.1))
            #expect(answer.value == [.success(end)], "\(epoch)")
        }
    }
}
