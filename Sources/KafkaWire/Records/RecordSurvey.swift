import CApus
public import NIOCore

/// The records of one batch in plain form: looked at one by one, and written again without some of them.
///
/// What compaction needs and nobody else: the batch keeps its base offset, its last offset delta, its producer and its
/// sequence, and the records that stay keep their offset deltas, keys, values and headers byte for byte. So no offset
/// changes, and an idempotent producer's last sequence can still be read off the batch.
public struct RecordSurvey: Sendable {
    /// What is seen of one record.
    public struct Sighting: Sendable {
        /// Its place among the records of the batch, from 0.
        public var index: Int
        public var offset: Int64
        /// Nil for null.
        public var key: ByteBuffer?
        /// Its value is null: in a compacted topic it says that its key is gone.
        public var isTombstone: Bool
    }

    public let header: RecordBatchHeader
    private let blob: ByteBuffer

    /// - Parameter decompressedBytesMax: most bytes a compressed batch may become.
    /// - Throws: when the batch does not decompress.
    public init(
        _ batch: RecordBatch, decompressedBytesMax: Int = WireLimits.decompressedBytesMax
    ) throws(WireError) {
        guard let codec = batch.header.attributes.codec else {
            throw .unknownCodec(UInt8(batch.header.attributes.rawValue & 0x07))
        }
        var blob = batch.bytes
        blob.moveReaderIndex(forwardBy: RecordBatchHeader.byteCount)
        if codec != .none { blob = try codec.decompress(blob, outputBytesMax: decompressedBytesMax) }
        guard Int(batch.header.recordCount) <= blob.readableBytes / Record.byteCountMin else {
            throw .batchHeader(.recordCount(batch.header.recordCount))
        }
        self.header = batch.header
        self.blob = blob
    }

    /// Calls `body` with each record in order. Ends well only if the batch held exactly what it said.
    public func forEach(_ body: (Sighting) -> Void) throws(WireError) {
        try self.walk { index, _, layout in
            let key = layout.key.flatMap {
                self.blob.getSlice(at: self.blob.readerIndex + $0.lowerBound, length: $0.count)
            }
            body(
                Sighting(
                    index: index, offset: self.header.baseOffset + Int64(layout.offsetDelta), key: key,
                    isTombstone: layout.value == nil))
        }
    }

    /// The batch with some of its records only, in the codec it had.
    ///
    /// - Parameters:
    ///   - keeps: for each record, by index, whether it stays. At least one does.
    ///   - deleteHorizon: when set, the moment (ms since 1970) after which its tombstones may go (KIP-534). The
    ///     records' own timestamps stay what they were.
    /// - Returns: nil when the batch would be longer than a batch can say.
    public func rewritten(keeping keeps: [Bool], deleteHorizon: Int64?) throws(WireError) -> ByteBuffer? {
        precondition(keeps.count == Int(self.header.recordCount))
        var header = self.header
        if let deleteHorizon {
            header.baseTimestamp = deleteHorizon
            header.attributes.rawValue |= RecordBatchHeader.Attributes.deleteHorizonBit
        }
        var plain = ByteBufferAllocator().buffer(capacity: self.blob.readableBytes + RecordBatchHeader.byteCount)
        let codec = header.attributes.codec ?? .none
        if codec == .none { plain.writeRepeatingByte(0, count: RecordBatchHeader.byteCount) }
        var count: Int32 = 0
        var newest = Int64.min
        try self.walk { index, range, layout in
            guard keeps[index] else { return }
            count += 1
            let timestamp = self.header.baseTimestamp &+ layout.timestampDelta
            newest = max(newest, timestamp)
            self.write(range, timestampDelta: timestamp &- header.baseTimestamp, old: layout, to: &plain)
        }
        header.recordCount = count
        if !header.attributes.isLogAppendTime, count > 0 { header.maxTimestamp = newest }
        guard codec != .none else { return header.sealed(plain) }
        var packed = ByteBufferAllocator().buffer(capacity: RecordBatchHeader.byteCount + plain.readableBytes / 2)
        packed.writeRepeatingByte(0, count: RecordBatchHeader.byteCount)
        codec.compress(plain, into: &packed)
        return header.sealed(packed)
    }

    /// Copies a record; with another timestamp delta, all of it but the length in front and that delta.
    private func write(_ range: Range<Int>, timestampDelta: Int64, old: RecordLayout, to output: inout ByteBuffer) {
        let start = self.blob.readerIndex
        if timestampDelta == old.timestampDelta {
            if let bytes = self.blob.getSlice(at: start + range.lowerBound, length: range.count) {
                output.writeImmutableBuffer(bytes)
            }
            return
        }
        var body = range.lowerBound
        var rest = range.lowerBound
        self.blob.withUnsafeReadableBytes { bytes in
            _ = Varint.read(UInt32.self, from: bytes, at: &rest)
            body = rest
            rest += 1
            _ = Varint.read(UInt64.self, from: bytes, at: &rest)
        }
        guard let attributes = self.blob.getInteger(at: start + body, as: UInt8.self),
            let tail = self.blob.getSlice(at: start + rest, length: range.upperBound - rest)
        else { return }
        let delta = Varint.zigZag(timestampDelta)
        let length = 1 + Varint.byteCount(delta) + tail.readableBytes
        // A varint takes at most ten bytes.
        output.writeWithUnsafeMutableBytes(minimumWritableBytes: 21) { room in
            guard let first = room.baseAddress else { preconditionFailure("there is room for two numbers") }
            var place = first
            Varint.write(UInt64(Varint.zigZag(Int32(clamping: length))), to: &place)
            place.storeBytes(of: attributes, as: UInt8.self)
            place += 1
            Varint.write(delta, to: &place)
            return place - first
        }
        output.writeImmutableBuffer(tail)
    }

    /// Unsafe: one closure over borrowed bytes, which the layouts are read from with every index checked.
    private func walk(_ body: (Int, Range<Int>, RecordLayout) -> Void) throws(WireError) {
        let result = self.blob.withUnsafeReadableBytes { bytes -> Result<Void, WireError> in
            var position = 0
            var last: Int32 = -1
            for index in 0..<Int(self.header.recordCount) {
                let start = position
                do throws(WireError.RecordFault) {
                    let layout = try RecordLayout(from: bytes, at: &position)
                    guard layout.offsetDelta > last, layout.offsetDelta <= self.header.lastOffsetDelta else {
                        return .failure(.record(index: index, .offsetDelta))
                    }
                    last = layout.offsetDelta
                    body(index, start..<position, layout)
                } catch {
                    return .failure(.record(index: index, error))
                }
            }
            guard position == bytes.count else {
                return .failure(.record(index: Int(self.header.recordCount), .count))
            }
            return .success(())
        }
        try result.get()
    }
}

extension RecordBatchHeader {
    /// A batch without any record that stands for this one: it has its offsets, producer, epoch and sequence.
    public func emptied() -> ByteBuffer {
        var header = self
        header.attributes.rawValue &= ~(0x07 | Attributes.deleteHorizonBit)
        header.baseTimestamp = header.maxTimestamp
        header.recordCount = 0
        var bytes = ByteBufferAllocator().buffer(capacity: Self.byteCount)
        bytes.writeRepeatingByte(0, count: Self.byteCount)
        // Of 61 bytes: it can say its length.
        return header.sealed(bytes) ?? bytes
    }

    /// Writes this header over the first 61 of `bytes`, with the length and the checksum of what follows.
    fileprivate func sealed(_ bytes: ByteBuffer) -> ByteBuffer? {
        var (header, bytes) = (self, bytes)
        guard let length = Int32(exactly: bytes.readableBytes - Self.lengthPrefixByteCount) else { return nil }
        header.batchLength = length
        header.write(to: &bytes, at: bytes.readerIndex)
        header.crc = bytes.withUnsafeReadableBytes { whole in
            let covered = UnsafeRawBufferPointer(rebasing: whole[Self.crcCoverageStart...])
            return capus_crc32c(0, covered.baseAddress, covered.count)
        }
        header.write(to: &bytes, at: bytes.readerIndex)
        return bytes
    }
}

extension RecordBatchHeader.Attributes {
    /// See ``hasDeleteHorizon``.
    static let deleteHorizonBit: Int16 = 0x40
}
