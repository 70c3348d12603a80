import ApusCore
import ApusFakes
import KafkaWire
import NIOCore
import Testing

@testable import ApusBroker

@Suite("Produce")
struct ProduceTests {
    @Test("records get the next offsets and are read back as they came")
    func roundTrip() throws {
        let world = try TestBroker()
        try world.create("t")
        #expect(try world.produce("t", Batch.of(["a", "b"])).baseOffset == Offset(rawValue: 0))
        #expect(try world.produce("t", Batch.of(["c"])).baseOffset == Offset(rawValue: 2))
        #expect(try world.values("t") == ["a", "b", "c"])
        #expect(try world.values("t", from: 1) == ["b", "c"])
        let result = try world.fetch("t", from: 0)
        #expect(result.highWatermark == Offset(rawValue: 3))
        let first = try RecordBatchHeader(from: try #require(result.batches.first))
        #expect(first.partitionLeaderEpoch == 1)
    }

    @Test("every codec is stored untouched", arguments: CompressionCodec.allCases)
    func codecs(_ codec: CompressionCodec) throws {
        let world = try TestBroker()
        try world.create("t")
        let batch = Batch.of(["one", "two", "three"], codec: codec)
        let crc = try RecordBatchHeader(from: batch).crc
        #expect(try world.produce("t", batch).error == nil)
        #expect(try world.values("t") == ["one", "two", "three"])
        #expect(try RecordBatchHeader(from: try #require(try world.fetch("t", from: 0).batches.first)).crc == crc)
    }

    @Test("acks=all is answered after the sync and not before")
    func durable() throws {
        let world = try TestBroker()
        try world.create("t")
        _ = try world.produce("t", Batch.of(["first"]))
        let answer = world.beginProduce([("t", 0, Batch.of(["second"]))])
        #expect(answer.value == nil)
        #expect(try world.fetch("t", from: 0).highWatermark >= Offset(rawValue: 1))
        world.settle()
        #expect(answer.value?.first?.baseOffset == Offset(rawValue: 1))
    }

    @Test("what is not durable yet is not readable")
    func invisible() throws {
        let world = try TestBroker()
        try world.create("t")
        _ = try world.produce("t", Batch.of(["first"]))
        _ = world.beginProduce([("t", 0, Batch.of(["second"]))])
        let (early, _) = world.beginFetch([("t", 0, 0)])
        #expect(early.value?.first?.highWatermark == Offset(rawValue: 1))
        #expect(try Batch.values(in: try #require(early.value?.first?.batches.first)) == ["first"])
        world.settle()
        #expect(try world.values("t") == ["first", "second"])
    }

    @Test("one request writes many partitions, each with its own result in its place")
    func many() throws {
        let world = try TestBroker()
        try world.create("t", partitions: 100)
        var entries = (0..<100).map { ("t", Int32($0), Batch.of(["v\($0)"])) }
        entries[40].2 = ByteBuffer(string: "nonsense")
        entries.append(("nowhere", 0, Batch.of(["x"])))
        entries.append(("t", 100, Batch.of(["x"])))
        let answer = world.beginProduce(entries)
        world.settle()
        let results = try #require(answer.value)
        #expect(results.count == 102)
        #expect(results[101].error == .unknownTopicOrPartition)
        #expect(results[100].error == .unknownTopicOrPartition)
        for (index, result) in results.prefix(100).enumerated() {
            #expect((result.error == nil) == (index != 40))
        }
        #expect(try world.values("t", partition: 77) == ["v77"])
        #expect(try world.values("t", partition: 40) == [])
    }

    @Test("requests that come in one tick go to the disk together")
    func batches() throws {
        let world = try TestBroker()
        try world.create("t")
        _ = try world.produce("t", Batch.of(["0"]))
        let before = world.disk.operations
        let answers = (1...50).map { _ in world.beginProduce([("t", 0, Batch.of(["x"]))]) }
        world.settle()
        #expect(answers.allSatisfy { $0.value?.first?.error == nil })
        // A write and a sync for the first, the same for all the others.
        #expect(world.disk.operations - before <= 4)
    }

    @Test("a produce that is not durable in time says so, and may still land")
    func timesOut() throws {
        let world = try TestBroker()
        try world.create("t")
        _ = try world.produce("t", Batch.of(["0"]))
        let answer = world.beginProduce([("t", 0, Batch.of(["late"]))], timeout: .milliseconds(100))
        world.pass(.milliseconds(90), settling: false)
        #expect(answer.value == nil)
        world.pass(.milliseconds(40), settling: false)
        #expect(answer.value?.first?.error == .timedOut)
        world.settle()
        #expect(try world.values("t") == ["0", "late"])
    }

    @Test("with page-cache durability a write is enough")
    func pageCache() throws {
        let world = try TestBroker()
        try world.create("t", ["durability": "page-cache"])
        #expect(try world.produce("t", Batch.of(["a"])).error == nil)
        #expect(try world.values("t") == ["a"])
    }

    @Test("the broker's clock stamps records when the topic says so")
    func logAppendTime() throws {
        let world = try TestBroker()
        try world.create("t", ["message.timestamp.type": "LogAppendTime"])
        let result = try world.produce("t", Batch.of(["a"], timestamp: 5))
        #expect(result.logAppendTime == world.clock.wallTime)
        let batch = try RecordBatch(from: try #require(try world.fetch("t", from: 0).batches.first))
        try batch.verifyCRC()
        #expect(batch.header.attributes.isLogAppendTime)
        var records = try batch.records()
        #expect(try records.next()?.timestamp == world.clock.wallTime.rawValue)
    }

    @Test("batches are rewritten to the topic's codec", arguments: ["uncompressed", "gzip", "snappy", "lz4", "zstd"])
    func recompresses(_ name: String) throws {
        let world = try TestBroker()
        try world.create("t", ["compression.type": name])
        for codec in CompressionCodec.allCases {
            #expect(try world.produce("t", Batch.of(["abc", codec.name], codec: codec)).error == nil)
        }
        #expect(try world.values("t") == CompressionCodec.allCases.flatMap { ["abc", $0.name] })
        for var buffer in try world.fetch("t", from: 0).batches {
            while let batch = try RecordBatch.read(from: &buffer) {
                #expect(batch.header.attributes.codec?.name == (name == "uncompressed" ? "none" : name))
            }
        }
    }

    @Test("a request that an answer brings does not overtake those that came before it")
    func order() throws {
        let world = try TestBroker()
        try world.create("t")
        let third = Once<[ProduceResult]>()
        let (broker, loop) = (world.broker, world.loop)
        let bad = ProduceEntry(topic: .name("t"), partition: PartitionIndex(rawValue: 0), records: ByteBuffer())
        // The partition is not open yet: both wait. The first is refused, and its answer brings the third.
        broker.produce([bad], acks: .all, timeout: .seconds(5), client: .embedded, on: loop) { _ in
            let entry = ProduceEntry(
                topic: .name("t"), partition: PartitionIndex(rawValue: 0), records: Batch.of(["third"])
            )
            broker.produce([entry], acks: .all, timeout: .seconds(5), client: .embedded, on: loop) {
                third.put($0)
            }
        }
        let second = world.beginProduce([("t", 0, Batch.of(["second"]))])
        world.settle()
        #expect(second.value?.first?.baseOffset == .zero)
        #expect(third.value?.first?.baseOffset == Offset(rawValue: 1))
    }

    @Test("min.insync.replicas above one refuses acks=all and leaves nothing behind")
    func notEnoughReplicas() throws {
        let world = try TestBroker()
        try world.create("t", ["min.insync.replicas": "2"])
        #expect(try world.produce("t", Batch.of(["a"])).error == .notEnoughReplicas)
        #expect(try world.produce("t", Batch.of(["b"]), acks: .leader).baseOffset == .zero)
        #expect(try world.values("t") == ["b"])
    }
}

@Suite("What a produced batch must be")
struct BatchRuleTests {
    private func error(
        _ batch: ByteBuffer, _ configuration: [String: String?] = [:]
    ) throws -> BrokerError? {
        let world = try TestBroker()
        try world.create("t", configuration)
        let result = try world.produce("t", batch)
        #expect((result.baseOffset == Offset(rawValue: -1)) == (result.error != nil))
        #expect(try world.fetch("t", from: 0).batches.isEmpty == (result.error != nil))
        return result.error
    }

    private func isInvalidRecord(_ error: BrokerError?) -> Bool {
        if case .invalidRecord = error { true } else { false }
    }

    private func isCorrupt(_ error: BrokerError?) -> Bool {
        if case .corruptBatch = error { true } else { false }
    }

    @Test("exactly one batch")
    func one() throws {
        #expect(self.isInvalidRecord(try self.error(ByteBuffer())))
        var two = Batch.of(["a"])
        two.writeImmutableBuffer(Batch.of(["b"]))
        #expect(self.isInvalidRecord(try self.error(two)))
    }

    @Test("a batch that is cut off anywhere is corrupt")
    func cut() throws {
        let whole = Batch.of(["a", "b"])
        let world = try TestBroker()
        try world.create("t")
        for length in 1..<whole.readableBytes {
            let part = try #require(whole.getSlice(at: 0, length: length))
            #expect(self.isCorrupt(try world.produce("t", part).error), "\(length) bytes")
        }
    }

    @Test("one flipped bit anywhere is refused, or changes only what the broker fills in")
    func flipped() throws {
        let whole = Batch.of(["abcdefgh"])
        let world = try TestBroker()
        try world.create("t")
        for index in 0..<whole.readableBytes {
            var copy = ByteBuffer(bytes: whole.readableBytesView)
            let byte = try #require(copy.getInteger(at: index, as: UInt8.self))
            copy.setInteger(byte ^ 0x10, at: index)
            let error = try world.produce("t", copy).error
            #expect((error == nil) == (12..<16).contains(index), "byte \(index)")
        }
    }

    @Test("magic 2 only", arguments: [0, 1, 3, -1] as [Int8])
    func magic(_ magic: Int8) throws {
        var batch = Batch.of(["a"])
        batch.setInteger(magic, at: 16)
        #expect(self.isInvalidRecord(try self.error(batch)))
    }

    @Test("base offset 0")
    func baseOffset() throws {
        #expect(self.isInvalidRecord(try self.error(try Batch.forged(["a"]) { $0.baseOffset = 1 })))
    }

    @Test("a count that the offsets contradict", arguments: [0, 1, 3, Int32.max])
    func count(_ count: Int32) throws {
        #expect(self.isInvalidRecord(try self.error(try Batch.forged(["a", "b"]) { $0.recordCount = count })))
    }

    @Test("a count that the records contradict")
    func lyingCount() throws {
        let batch = try Batch.forged(["a", "b"]) {
            $0.recordCount = 3
            $0.lastOffsetDelta = 2
        }
        #expect(self.isInvalidRecord(try self.error(batch)))
        let less = try Batch.forged(["a", "b"]) {
            $0.recordCount = 1
            $0.lastOffsetDelta = 0
        }
        #expect(self.isInvalidRecord(try self.error(less)))
    }

    @Test("an offset delta out of order is told with the record's index")
    func deltas() throws {
        let world = try TestBroker()
        try world.create("t")
        var batch = Batch.of(["a", "b"])
        // The second record: 61 + the first (8 bytes), then length, attributes, timestamp delta, offset delta.
        #expect(batch.getInteger(at: 61 + 8 + 3, as: UInt8.self) == 2)
        batch.setInteger(UInt8(6), at: 61 + 8 + 3)
        var header = try RecordBatchHeader(from: batch)
        header.crc = try RecordBatch(from: batch).computedCRC
        header.write(to: &batch, at: 0)
        let result = try world.produce("t", batch)
        #expect(self.isInvalidRecord(result.error))
        #expect(result.recordErrors.map(\.index) == [1])
    }

    @Test("no control batch, no open transaction, no producer without sequence or epoch")
    func producers() throws {
        #expect(self.isInvalidRecord(try self.error(Batch.of(["a"], producer: (1, 0, 0), isControl: true))))
        #expect(self.isInvalidRecord(try self.error(Batch.of(["a"], producer: (1, 0, -1)))))
        #expect(self.isInvalidRecord(try self.error(Batch.of(["a"], producer: (1, -1, 0)))))
        let error = try self.error(Batch.of(["a"], producer: (1, 0, 0), isTransactional: true))
        guard case .invalidTransactionState = error else { return #expect(Bool(false), "\(String(describing: error))") }
    }

    @Test("not larger than max.message.bytes, nor than a segment")
    func size() throws {
        let batch = Batch.of([String(repeating: "x", count: 20_000)])
        let bytes = ByteCount.bytes(batch.readableBytes)
        #expect(
            try self.error(batch, ["max.message.bytes": "20000"]) == .batchTooLarge(bytes, limit: .bytes(20_000))
        )
        #expect(
            try self.error(Batch.of([String(repeating: "x", count: 20_000)]), ["segment.bytes": "16384"])
                == .batchLargerThanSegment(bytes, limit: .bytes(16_384))
        )
    }

    @Test("a timestamp within what the topic allows")
    func times() throws {
        let now = SimulatedClock().wallTime.rawValue
        let limits = ["message.timestamp.before.max.ms": "1000", "message.timestamp.after.max.ms": "2000"]
        for (offset, isAllowed) in [(-1001, false), (-1000, true), (0, true), (2000, true), (2001, false)] {
            let error = try self.error(Batch.of(["a"], timestamp: now + Int64(offset)), limits)
            #expect((error == nil) == isAllowed, "\(offset)")
            if let error {
                guard case .invalidTimestamp = error else { return #expect(Bool(false), "\(error)") }
            }
        }
        #expect(try self.error(Batch.of(["a"], timestamp: -1), limits) == nil)
        #expect(try self.error(Batch.of(["a"], timestamp: .max), limits) != nil)
        #expect(try self.error(Batch.of(["a"], timestamp: .min), limits) != nil)
    }

    @Test("a codec that exists")
    func codec() throws {
        let error = try self.error(try Batch.forged(["a"]) { $0.attributes = .init(rawValue: 5) })
        guard case .unsupportedCompression = error else { return #expect(Bool(false), "\(String(describing: error))") }
    }

    @Test("random bytes never trap", arguments: 0..<50 as Range<UInt64>)
    func random(_ seed: UInt64) throws {
        let world = try TestBroker()
        try world.create("t")
        var random = SplitMix64(seed: seed)
        for _ in 0..<40 {
            var batch = Batch.of(["one", "two"])
            for _ in 0..<random.below(6) {
                batch.setInteger(
                    UInt8(truncatingIfNeeded: random.next()), at: 21 + random.below(batch.readableBytes - 21))
            }
            guard var header = try? RecordBatchHeader(from: batch), header.totalByteCount == batch.readableBytes
            else { continue }
            header.crc = try RecordBatch(from: batch).computedCRC
            header.write(to: &batch, at: 0)
            _ = try world.produce("t", batch)
        }
    }
}
