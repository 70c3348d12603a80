import ApusCore
import ApusFakes
import KafkaWire
import NIOCore
import NIOEmbedded
import Testing

@testable import ApusBroker

@Suite("Compacted topics")
struct CompactionTests {
    private static let policy: [String: String?] = [
        "cleanup.policy": "compact", "segment.bytes": "16384", "min.cleanable.dirty.ratio": "0.01",
    ]

    private func batch(_ records: [(String?, String?)], codec: CompressionCodec = .none) -> ByteBuffer {
        var builder = RecordBatchBuilder(codec: codec)
        for (key, value) in records {
            builder.append(
                key: key.map { ByteBuffer(string: $0) }, value: value.map { ByteBuffer(string: $0) },
                timestamp: 1_750_000_000_000)
        }
        return builder.finish()
    }

    /// Updates of some keys, in batches that fill several segments.
    private func fill(_ world: TestBroker, _ topic: String = "t", rounds: Int = 40, keys: Int = 10) throws {
        for round in 0..<rounds {
            let value = "\(round)-" + String(repeating: "v", count: 200)
            let result = try world.produce(topic, self.batch((0..<keys).map { ("k\($0)", value) }))
            #expect(result.error == nil)
        }
    }

    /// What a reader finds from an offset on to the end: offset and key of every record.
    private func keys(_ world: TestBroker, _ topic: String = "t", from: Int64 = 0) throws -> [(Int64, String)] {
        var found: [(Int64, String)] = []
        var next = from
        while true {
            let result = try world.fetch(topic, from: next, bytesMax: 5000)
            #expect(result.error == nil)
            guard !result.batches.isEmpty else {
                #expect(result.highWatermark.rawValue == next)
                return found
            }
            for var buffer in result.batches {
                while let batch = try RecordBatch.read(from: &buffer) {
                    next = batch.header.nextOffset
                    var records = try batch.records()
                    while let record = try records.next() {
                        guard record.offset >= from, let key = record.key else { continue }
                        found.append((record.offset, String(buffer: key)))
                    }
                }
            }
        }
    }

    private func isCompacted(_ world: TestBroker) -> Bool {
        world.disk.files.contains { $0.path.name.hasSuffix(".compacted") }
    }

    @Test(
        "the broker compacts by itself, while it serves, and after a restart all is as before",
        arguments: [true, false])
    func compacts(isCached: Bool) throws {
        let (disk, store) = (SimulatedDisk(), FakeCoordinatorStore())
        let world = try TestBroker(disk: disk, store: store, tailCache: isCached ? .mebibytes(4) : .zero)
        try world.create("t", Self.policy)
        try self.fill(world)
        #expect(try self.keys(world).count == 400)
        world.passSeconds(180)
        #expect(self.isCompacted(world))
        let left = try self.keys(world)
        #expect(left.count < 120)
        #expect(Set(left.suffix(10).map(\.1)) == Set((0..<10).map { "k\($0)" }))
        #expect(left.last?.0 == 399)
        for from in stride(from: Int64(0), to: 400, by: 37) {
            #expect(try self.keys(world, from: from).map(\.0) == left.map(\.0).filter { $0 >= from })
        }
        #expect(try world.offset("t", .earliest).offset == .zero)
        #expect(try world.offset("t", .time(Timestamp(rawValue: 0))).offset.rawValue == left[0].0)
        #expect(try world.close())
        let after = try TestBroker(disk: disk, store: store, incarnation: 2)
        #expect(try self.keys(after).map(\.0) == left.map(\.0))
    }

    @Test(
        "a record without a key is refused, in every codec, and the answer names it",
        arguments: CompressionCodec.allCases)
    func needsKeys(codec: CompressionCodec) throws {
        let world = try TestBroker()
        try world.create("t", Self.policy)
        try world.create("plain")
        let bad = self.batch([("a", "1"), (nil, "2"), ("c", "3")], codec: codec)
        let refused = try world.produce("t", bad)
        guard case .invalidRecord(let message) = refused.error else { return #expect(Bool(false), "\(refused)") }
        #expect(message.contains("key"))
        #expect(refused.recordErrors.map(\.index) == [1])
        #expect(try world.produce("t", self.batch([("a", nil), ("", "x")], codec: codec)).error == nil)
        #expect(try world.produce("plain", bad).error == nil)
        // It holds from the moment the topic is compacted.
        let resource = ConfigurationResource.topic("plain")
        self.alter(world, resource, "cleanup.policy", "compact,delete")
        guard case .invalidRecord = try world.produce("plain", bad).error else { return #expect(Bool(false)) }
        var noise = self.batch([("a", "1")], codec: codec)
        noise.setInteger(0xFFFF_FFFF as UInt32, at: RecordBatchHeader.byteCount)
        var header = try RecordBatchHeader(from: noise)
        header.crc = try RecordBatch(from: noise).computedCRC
        header.write(to: &noise, at: 0)
        #expect(try world.produce("t", noise).error != nil)
    }

    private func alter(_ world: TestBroker, _ resource: ConfigurationResource, _ name: String, _ value: String) {
        let answer = Once<[BrokerError?]>()
        let alteration = ConfigurationAlteration.change([.set(name: name, value: value)])
        world.broker.alterConfigurations([(resource, alteration)], client: .embedded, on: world.loop) { answer.put($0) }
        world.settle()
        #expect(answer.value == [nil])
    }

    @Test("the shortest and the longest time that a record waits must not contradict one another")
    func lags() throws {
        let world = try TestBroker()
        let wish = TopicSpecification(
            name: "t",
            configuration: ["cleanup.policy": "compact", "min.compaction.lag.ms": "10", "max.compaction.lag.ms": "9"])
        guard case .failure(.invalidConfiguration(let message)) = world.createAll([wish])[0] else {
            return #expect(Bool(false))
        }
        #expect(message.contains("max.compaction.lag.ms"))
    }

    @Test(
        "a pass that is under way does not keep the broker from closing, or a topic from being deleted",
        arguments: 0..<12)
    func ends(seconds: Int) throws {
        let (disk, store) = (SimulatedDisk(), FakeCoordinatorStore())
        let world = try TestBroker(disk: disk, store: store, seed: UInt64(seconds))
        try world.create("t", Self.policy)
        try self.fill(world, rounds: 60)
        // Somewhere in the pass: a few pieces of disk work, and no more.
        world.clock.advance(by: .seconds(1))
        for _ in 0..<3 {
            world.loop.advanceTime(by: .seconds(1))
            for _ in 0..<seconds { if world.queue.step() { world.loop.run() } }
        }
        if seconds % 2 == 0 {
            #expect(try world.close())
            let after = try TestBroker(disk: disk, store: store, incarnation: 2)
            let left = try self.keys(after)
            #expect(Set(left.map(\.1)).count == 10 && left.last?.0 == 599)
        } else {
            #expect(world.delete(["t"]).allSatisfy { (try? $0.get()) != nil })
            world.passSeconds(5)
            #expect(world.disk.files.allSatisfy { !$0.path.rawValue.hasPrefix("topics/") })
            #expect(try world.close())
        }
    }

    @Test("damage ends compaction there, and the rest of the topic goes on")
    func damage() throws {
        let world = try TestBroker(tailCache: .zero)
        try world.create("t", Self.policy)
        try self.fill(world)
        let segments = world.disk.files.map(\.path).filter { $0.name.hasSuffix(".segment") }.sorted()
        try #require(segments.count > 3)
        world.disk.damage(segments[2], at: 500) { $0 ^= 1 }
        world.passSeconds(180)
        #expect(world.disk.contents(of: segments[2]) != nil)
        #expect(self.isCompacted(world))
        try self.fill(world, rounds: 10)
        world.passSeconds(180)
        #expect(world.disk.contents(of: segments[2]) != nil)
        #expect(try self.keys(world, from: 400).count == 100)
    }

    @Test("compact,delete does both: old segments go, and what is left is compacted")
    func both() throws {
        let world = try TestBroker(tailCache: .zero)
        var policy = Self.policy
        policy["cleanup.policy"] = "compact,delete"
        policy["retention.bytes"] = "40000"
        try world.create("t", policy)
        for keys in [200, 10] {
            for round in 0..<30 {
                let records = (0..<10).map { ("k\((round * 10 + $0) % keys)", String(repeating: "v", count: 200)) }
                _ = try world.produce("t", self.batch(records))
            }
            world.passSeconds(120)
        }
        #expect(self.isCompacted(world))
        #expect(try world.offset("t", .earliest).offset > .zero)
        let left = try self.keys(world, from: try world.offset("t", .earliest).offset.rawValue)
        #expect(left.last?.0 == 599 && Set(left.suffix(10).map(\.1)).count == 10)
    }
}
