import CApus
public import NIOCore

/// Collects records and makes one batch of them.
///
/// Records are encoded as they come, behind room for the header; `finish()` compresses, fills in the header and signs.
/// One builder makes one batch.
public struct RecordBatchBuilder: Sendable {
    private var buffer: ByteBuffer
    private var header: RecordBatchHeader
    private let codec: CompressionCodec

    /// Records so far.
    public var recordCount: Int { Int(self.header.recordCount) }
    /// Bytes so far, the header included, before compression.
    public var byteCount: Int { self.buffer.readableBytes }

    /// - Parameters:
    ///   - baseOffset: 0 from a producer; the broker gives the batch its place.
    ///   - producerID: −1 unless idempotent; then `producerEpoch` and `baseSequence` must be set too.
    ///   - byteCountHint: bytes to reserve.
    public init(
        codec: CompressionCodec = .none, baseOffset: Int64 = 0, leaderEpoch: Int32 = -1, producerID: Int64 = -1,
        producerEpoch: Int16 = -1, baseSequence: Int32 = -1, isTransactional: Bool = false, isControl: Bool = false,
        byteCountHint: Int = 1024
    ) {
        self.codec = codec
        self.header = RecordBatchHeader(
            baseOffset: baseOffset, partitionLeaderEpoch: leaderEpoch,
            attributes: .init(codec: codec, isTransactional: isTransactional, isControl: isControl),
            producerID: producerID, producerEpoch: producerEpoch, baseSequence: baseSequence
        )
        self.buffer = ByteBufferAllocator().buffer(capacity: max(byteCountHint, RecordBatchHeader.byteCount))
        self.buffer.writeRepeatingByte(0, count: RecordBatchHeader.byteCount)
    }

    /// Bytes that a record adds before compression, at most (the varints of its deltas are counted at their longest).
    public static func byteCountMax(key: ByteBuffer?, value: ByteBuffer?, headers: [Record.Header] = []) -> Int {
        var count = 5 + 1 + 10 + 5 + 5 + 5 + 5 + (key?.readableBytes ?? 0) + (value?.readableBytes ?? 0)
        for header in headers { count += 10 + header.key.utf8.count + (header.value?.readableBytes ?? 0) }
        return count
    }

    /// Adds a record at the next offset.
    /// - Parameter timestamp: milliseconds since 1970.
    public mutating func append(
        key: ByteBuffer?, value: ByteBuffer?, headers: [Record.Header] = [], timestamp: Int64
    ) {
        let offsetDelta = self.header.recordCount
        if offsetDelta == 0 {
            self.header.baseTimestamp = timestamp
            self.header.maxTimestamp = timestamp
        }
        self.header.maxTimestamp = max(self.header.maxTimestamp, timestamp)
        self.header.lastOffsetDelta = offsetDelta
        self.header.recordCount = offsetDelta + 1
        let timestampDelta = timestamp &- self.header.baseTimestamp

        var length = 1 + Varint.byteCount(Varint.zigZag(timestampDelta))
        length += Varint.byteCount(UInt64(Varint.zigZag(offsetDelta)))
        length += Self.varBytesCount(key?.readableBytes) + Self.varBytesCount(value?.readableBytes)
        length += Varint.byteCount(UInt64(Varint.zigZag(Int32(clamping: headers.count))))
        for header in headers {
            length += Self.varBytesCount(header.key.utf8.count) + Self.varBytesCount(header.value?.readableBytes)
        }
        precondition(length <= Int(Int32.max), "a record longer than a batch can be")

        // One closure for the whole record: each write through the buffer would check for exclusive access again.
        let total = Varint.byteCount(UInt64(Varint.zigZag(Int32(length)))) + length
        self.buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: total) { room in
            guard var place = room.baseAddress else { preconditionFailure("there is room for the record") }
            Self.write(Int32(length), to: &place)
            place.storeBytes(of: 0, as: UInt8.self)
            place += 1
            Varint.write(Varint.zigZag(timestampDelta), to: &place)
            Self.write(offsetDelta, to: &place)
            Self.write(key, to: &place)
            Self.write(value, to: &place)
            Self.write(Int32(headers.count), to: &place)
            for header in headers {
                var name = header.key
                name.withUTF8 { Self.write(UnsafeRawBufferPointer($0), to: &place) }
                Self.write(header.value, to: &place)
            }
            precondition(place == room.baseAddress.map { $0 + total }, "the record takes what was reserved")
            return total
        }
    }

    /// The batch, compressed and signed.
    /// - Precondition: it is not empty, and shorter than 2 GiB.
    public consuming func finish() -> ByteBuffer {
        precondition(self.header.recordCount > 0, "a batch needs a record")
        if self.codec != .none {
            guard
                let records = self.buffer.getSlice(
                    at: self.buffer.readerIndex + RecordBatchHeader.byteCount,
                    length: self.buffer.readableBytes - RecordBatchHeader.byteCount
                )
            else { preconditionFailure("the header's room is written in init") }
            var compressed = ByteBufferAllocator().buffer(capacity: RecordBatchHeader.byteCount + records.readableBytes)
            compressed.writeRepeatingByte(0, count: RecordBatchHeader.byteCount)
            self.codec.compress(records, into: &compressed)
            self.buffer = compressed
        }
        let length = self.buffer.readableBytes - RecordBatchHeader.lengthPrefixByteCount
        precondition(length <= Int(Int32.max), "a batch longer than its length field can say")
        self.header.batchLength = Int32(length)
        self.header.write(to: &self.buffer, at: self.buffer.readerIndex)
        let crc = self.buffer.withUnsafeReadableBytes { bytes in
            let covered = UnsafeRawBufferPointer(rebasing: bytes[RecordBatchHeader.crcCoverageStart...])
            return capus_crc32c(0, covered.baseAddress, covered.count)
        }
        self.buffer.setInteger(crc, at: self.buffer.readerIndex + 17)
        return self.buffer
    }

    private static func varBytesCount(_ count: Int?) -> Int {
        guard let count else { return 1 }
        return Varint.byteCount(UInt64(Varint.zigZag(Int32(clamping: count)))) + count
    }

    @inline(__always)
    private static func write(_ value: Int32, to place: inout UnsafeMutableRawPointer) {
        Varint.write(UInt64(Varint.zigZag(value)), to: &place)
    }

    private static func write(_ bytes: ByteBuffer?, to place: inout UnsafeMutableRawPointer) {
        guard let bytes else { return self.write(-1 as Int32, to: &place) }
        bytes.withUnsafeReadableBytes { self.write($0, to: &place) }
    }

    private static func write(_ bytes: UnsafeRawBufferPointer, to place: inout UnsafeMutableRawPointer) {
        self.write(Int32(bytes.count), to: &place)
        guard let base = bytes.baseAddress else { return }
        place.copyMemory(from: base, byteCount: bytes.count)
        place += bytes.count
    }
}
