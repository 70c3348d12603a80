import NIOCore
import Testing

@testable import KafkaWire

@Suite("Record batches")
struct RecordBatchTests {
    static func builder(_ codec: CompressionCodec, records: Int) -> RecordBatchBuilder {
        var builder = RecordBatchBuilder(codec: codec, producerID: 7, producerEpoch: 1, baseSequence: 40)
        for index in 0..<records {
            builder.append(
                key: index % 3 == 0 ? nil : ByteBuffer(string: "key \(index)"),
                value: index % 5 == 4 ? nil : ByteBuffer(string: "value of record \(index), and more of the same"),
                headers: index % 2 == 0 ? [] : [.init(key: "h", value: nil), .init(key: "h", value: ByteBuffer())],
                timestamp: 1_700_000_000_000 - Int64(index)
            )
        }
        return builder
    }

    @Test("records come back as they went in, with every codec", arguments: CompressionCodec.allCases)
    func roundTrip(codec: CompressionCodec) throws {
        for count in [1, 2, 7, 3000] {
            var bytes = Self.builder(codec, records: count).finish()
            bytes.writeString("bytes of the next batch")
            let batch = try RecordBatch(from: bytes)
            try batch.verifyCRC()
            #expect(batch.header.attributes.codec == codec)
            #expect(batch.header.recordCount == Int32(count))
            #expect(batch.header.lastOffset == Int64(count - 1))
            #expect(batch.header.maxTimestamp == 1_700_000_000_000)
            #expect(batch.header.lastSequence == 40 + Int32(count) - 1)
            var records = try batch.records()
            for index in 0..<count {
                let record = try #require(try records.next())
                #expect(record.offset == Int64(index))
                #expect(record.timestamp == 1_700_000_000_000 - Int64(index))
                #expect(record.key.map { String(buffer: $0) } == (index % 3 == 0 ? nil : "key \(index)"))
                #expect((record.value == nil) == (index % 5 == 4))
                #expect(record.headers.count == (index % 2 == 0 ? 0 : 2))
            }
            #expect(try records.next() == nil)
        }
    }

    @Test("a batch is patched where it lies, and its CRC still holds")
    func patch() throws {
        var frame = ByteBuffer(string: "in front")
        frame.writeImmutableBuffer(Self.builder(.none, records: 3).finish())
        let slice = try #require(frame.getSlice(at: 8, length: frame.readableBytes - 8))
        RecordBatchHeader.patch(slice, baseOffset: 5_000_000_000, leaderEpoch: 9)
        let batch = try RecordBatch(from: slice)
        #expect(batch.header.baseOffset == 5_000_000_000)
        #expect(batch.header.partitionLeaderEpoch == 9)
        try batch.verifyCRC()
        // The slice shares the frame's storage: what was patched is seen through the frame too.
        #expect(frame.getInteger(at: 8, as: Int64.self) == 5_000_000_000)

        RecordBatchHeader.patch(slice, logAppendTime: 1234)
        let stamped = try RecordBatch(from: slice)
        try stamped.verifyCRC()
        #expect(stamped.header.attributes.isLogAppendTime)
        var records = try stamped.records()
        #expect(try records.next()?.timestamp == 1234)
    }

    @Test("a flipped bit anywhere under the CRC is found")
    func flippedBits() throws {
        let bytes = Self.builder(.none, records: 2).finish()
        for index in 16..<bytes.readableBytes {
            for bit in 0..<8 {
                var damaged = bytes
                let byte = try #require(damaged.getInteger(at: index, as: UInt8.self))
                damaged.setInteger(byte ^ (1 << bit), at: index)
                #expect(throws: WireError.self) { try RecordBatch(from: damaged).verifyCRC() }
            }
        }
    }

    @Test("a header that contradicts itself is refused by name")
    func headers() throws {
        let good = Self.builder(.none, records: 3).finish()
        func error(at index: Int, _ value: some FixedWidthInteger) -> WireError? {
            var bytes = good
            bytes.setInteger(value, at: index)
            do throws(WireError) { _ = try RecordBatch(from: bytes) } catch { return error }
            return nil
        }
        #expect(error(at: 8, Int32(48)) == .batchHeader(.lengthTooSmall(48)))
        #expect(error(at: 8, Int32(-1)) == .batchHeader(.lengthTooSmall(-1)))
        #expect(
            error(at: 8, Int32.max)
                == .truncated(at: 0, needed: Int(Int32.max) + 12, remaining: good.readableBytes)
        )
        #expect(error(at: 16, Int8(1)) == .unsupportedMagic(1))
        #expect(error(at: 0, Int64(-1)) == .batchHeader(.offsets))
        #expect(error(at: 0, Int64.max) == .batchHeader(.offsets))
        #expect(error(at: 0, Int64.max - 2) == .batchHeader(.offsets))
        #expect(error(at: 0, Int64.max - 3) == nil)
        #expect(error(at: 23, Int32(-1)) == .batchHeader(.offsets))
        #expect(error(at: 57, Int32(-1)) == .batchHeader(.recordCount(-1)))
    }

    @Test("a record count that lies is refused", arguments: CompressionCodec.allCases)
    func lyingCounts(codec: CompressionCodec) throws {
        let good = Self.builder(codec, records: 3).finish()
        for count in [0, 1, 2, 4, 5, 1000, Int32.max] {
            var bytes = good
            bytes.setInteger(count, at: 57)
            bytes.setInteger(Int32.max, at: 23)
            #expect(throws: WireError.self) {
                var records = try RecordBatch(from: bytes).records()
                while try records.next() != nil {}
            }
        }
    }

    @Test("a part of a batch at the end of a fetch is left alone")
    func partialBatch() throws {
        let one = Self.builder(.none, records: 3).finish()
        for length in 0..<one.readableBytes {
            var bytes = one
            bytes.writeImmutableBuffer(try #require(one.getSlice(at: 0, length: length)))
            #expect(try RecordBatch.read(from: &bytes)?.header.recordCount == 3)
            #expect(try RecordBatch.read(from: &bytes) == nil)
            #expect(bytes.readableBytes == length)
        }
    }
}
