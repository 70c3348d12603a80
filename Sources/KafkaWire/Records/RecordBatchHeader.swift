public import NIOCore

/// The first 61 bytes of a record batch, format 2 (KIP-98), big-endian:
///
///      0         8           12           16  17      21           23              27
///      ┌─────────┬───────────┬────────────┬───┬───────┬────────────┬───────────────┐
///      │ base    │ batch     │ partition  │ 2 │ CRC   │ attributes │ last offset   │
///      │ offset  │ length    │ leader     │   │       │            │ delta         │
///      │ Int64   │ Int32     │ epoch Int32│   │ UInt32│ Int16      │ Int32         │
///      └─────────┴───────────┴────────────┴───┴───────┴────────────┴───────────────┘
///      27          35          43          51         53         57         61
///      ┌───────────┬───────────┬───────────┬──────────┬──────────┬──────────┬────────
///      │ base      │ max       │ producer  │ producer │ base     │ record   │ records,
///      │ timestamp │ timestamp │ id        │ epoch    │ sequence │ count    │ as one blob
///      │ Int64     │ Int64     │ Int64     │ Int16    │ Int32    │ Int32    │ if compressed
///      └───────────┴───────────┴───────────┴──────────┴──────────┴──────────┴────────
///
/// `batchLength` counts the bytes after itself, so a batch takes 12 more. The CRC-32C covers bytes 21 to the end:
/// a broker gives a batch its offset and leader epoch without touching anything the producer signed.
public struct RecordBatchHeader: Hashable, Sendable {
    /// Bytes of the header.
    public static let byteCount = 61
    /// Bytes in front of what `batchLength` counts.
    public static let lengthPrefixByteCount = 12
    /// The first byte the CRC covers.
    public static let crcCoverageStart = 21
    /// The only format this module reads and writes.
    public static let magic: Int8 = 2

    /// Offset of the batch's first record slot. Producers send 0.
    public var baseOffset: Int64
    /// Bytes after this field: 49 or more.
    public var batchLength: Int32
    /// Epoch of the leader that appended the batch; −1 from producers.
    public var partitionLeaderEpoch: Int32
    /// CRC-32C of the bytes from `crcCoverageStart` to the end.
    public var crc: UInt32
    public var attributes: Attributes
    /// Last offset of the batch minus its base offset. Stays when compaction removes records.
    public var lastOffsetDelta: Int32
    /// Milliseconds since 1970 from which record timestamps count.
    public var baseTimestamp: Int64
    /// The largest timestamp of the batch; with log-append time the timestamp of every record.
    public var maxTimestamp: Int64
    /// −1 when the producer is not idempotent.
    public var producerID: Int64
    public var producerEpoch: Int16
    /// Sequence of the first record; the next batch of the producer starts where this one ends.
    public var baseSequence: Int32
    public var recordCount: Int32

    /// Offset of the batch's last record slot.
    public var lastOffset: Int64 { self.baseOffset + Int64(self.lastOffsetDelta) }
    /// The offset after the batch.
    public var nextOffset: Int64 { self.lastOffset + 1 }
    /// Sequence of the last record; wraps from the largest `Int32` to 0, as producers do.
    public var lastSequence: Int32 {
        guard self.baseSequence >= 0 else { return self.baseSequence }
        return (self.baseSequence &+ self.lastOffsetDelta) & Int32.max
    }
    /// Bytes of the whole batch, header included.
    public var totalByteCount: Int { Self.lengthPrefixByteCount + Int(self.batchLength) }

    /// Bits of the batch attributes.
    public struct Attributes: RawRepresentable, Hashable, Sendable {
        public var rawValue: Int16

        public init(rawValue: Int16) { self.rawValue = rawValue }

        public init(
            codec: CompressionCodec = .none, isLogAppendTime: Bool = false, isTransactional: Bool = false,
            isControl: Bool = false
        ) {
            self.rawValue = Int16(codec.rawValue)
            if isLogAppendTime { self.rawValue |= 0x08 }
            if isTransactional { self.rawValue |= 0x10 }
            if isControl { self.rawValue |= 0x20 }
        }

        /// nil when bits 0 to 2 name no codec.
        public var codec: CompressionCodec? { CompressionCodec(rawValue: UInt8(self.rawValue & 0x07)) }
        public var isLogAppendTime: Bool { self.rawValue & 0x08 != 0 }
        public var isTransactional: Bool { self.rawValue & 0x10 != 0 }
        /// The batch holds a transaction marker, not a client's records.
        public var isControl: Bool { self.rawValue & 0x20 != 0 }
        /// `baseTimestamp` is the time after which compaction may remove tombstones (KIP-534).
        public var hasDeleteHorizon: Bool { self.rawValue & 0x40 != 0 }
    }

    /// Reads the header at the start of the readable bytes. Needs 61 bytes, not the whole batch.
    ///
    /// What this establishes, and callers may rely on: magic is 2, `batchLength` ≥ 49, offsets are not negative and
    /// `nextOffset` does not overflow, `recordCount` ≥ 0. It says nothing about the CRC or the records.
    public init(from buffer: ByteBuffer) throws(WireError) {
        guard buffer.readableBytes >= Self.byteCount else {
            throw .truncated(at: 0, needed: Self.byteCount, remaining: buffer.readableBytes)
        }
        self = buffer.withUnsafeReadableBytes { Self(unchecked: $0) }
        let magic = buffer.getInteger(at: buffer.readerIndex + 16, as: Int8.self) ?? -1
        guard magic == Self.magic else { throw .unsupportedMagic(magic) }
        try self.check()
    }

    /// - Precondition: at least 61 bytes.
    private init(unchecked bytes: UnsafeRawBufferPointer) {
        func load<T: FixedWidthInteger>(_ offset: Int, _: T.Type = T.self) -> T {
            T(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: T.self))
        }
        self.baseOffset = load(0)
        self.batchLength = load(8)
        self.partitionLeaderEpoch = load(12)
        self.crc = load(17)
        self.attributes = Attributes(rawValue: load(21))
        self.lastOffsetDelta = load(23)
        self.baseTimestamp = load(27)
        self.maxTimestamp = load(35)
        self.producerID = load(43)
        self.producerEpoch = load(51)
        self.baseSequence = load(53)
        self.recordCount = load(57)
    }

    private func check() throws(WireError) {
        guard self.batchLength >= Int32(Self.byteCount - Self.lengthPrefixByteCount) else {
            throw .batchHeader(.lengthTooSmall(self.batchLength))
        }
        guard self.baseOffset >= 0, self.lastOffsetDelta >= 0,
            self.baseOffset < Int64.max - Int64(self.lastOffsetDelta)
        else { throw .batchHeader(.offsets) }
        guard self.recordCount >= 0 else { throw .batchHeader(.recordCount(self.recordCount)) }
    }

    /// A header to be filled in by the builder and by tests.
    public init(
        baseOffset: Int64 = 0, batchLength: Int32 = 49, partitionLeaderEpoch: Int32 = -1, crc: UInt32 = 0,
        attributes: Attributes = Attributes(), lastOffsetDelta: Int32 = 0, baseTimestamp: Int64 = -1,
        maxTimestamp: Int64 = -1, producerID: Int64 = -1, producerEpoch: Int16 = -1, baseSequence: Int32 = -1,
        recordCount: Int32 = 0
    ) {
        self.baseOffset = baseOffset
        self.batchLength = batchLength
        self.partitionLeaderEpoch = partitionLeaderEpoch
        self.crc = crc
        self.attributes = attributes
        self.lastOffsetDelta = lastOffsetDelta
        self.baseTimestamp = baseTimestamp
        self.maxTimestamp = maxTimestamp
        self.producerID = producerID
        self.producerEpoch = producerEpoch
        self.baseSequence = baseSequence
        self.recordCount = recordCount
    }

    /// Writes the 61 bytes at `index` of `buffer`, over what is there.
    public func write(to buffer: inout ByteBuffer, at index: Int) {
        var index = index
        func put<T: FixedWidthInteger>(_ value: T) { index += buffer.setInteger(value, at: index) }
        put(self.baseOffset)
        put(self.batchLength)
        put(self.partitionLeaderEpoch)
        put(Self.magic)
        put(self.crc)
        put(self.attributes.rawValue)
        put(self.lastOffsetDelta)
        put(self.baseTimestamp)
        put(self.maxTimestamp)
        put(self.producerID)
        put(self.producerEpoch)
        put(self.baseSequence)
        put(self.recordCount)
    }
}
