import CApus
public import NIOCore

/// One record batch in bytes that somebody else owns: a checked header and a view of the rest.
///
/// Making one costs the header only. The CRC, decompression and the records are asked for one by one, because a broker
/// mostly needs none but the first (the record bytes stay opaque), and a consumer needs all of them once.
public struct RecordBatch: Sendable {
    public let header: RecordBatchHeader
    /// The batch, from its base offset to its last record; exactly `header.totalByteCount` readable bytes.
    public let bytes: ByteBuffer

    /// The batch at the start of the readable bytes; more may follow it.
    /// - Throws: `.truncated` when the batch is longer than the bytes, and what `RecordBatchHeader` throws.
    public init(from buffer: ByteBuffer) throws(WireError) {
        let header = try RecordBatchHeader(from: buffer)
        guard let bytes = buffer.getSlice(at: buffer.readerIndex, length: header.totalByteCount) else {
            throw .truncated(at: 0, needed: header.totalByteCount, remaining: buffer.readableBytes)
        }
        self.header = header
        self.bytes = bytes
    }

    /// Moves past the next batch and returns it; nil at the end, or when only a part of a batch is left
    /// (fetch answers may end in one).
    public static func read(from buffer: inout ByteBuffer) throws(WireError) -> RecordBatch? {
        guard buffer.readableBytes >= RecordBatchHeader.byteCount else { return nil }
        let header = try RecordBatchHeader(from: buffer)
        guard let bytes = buffer.readSlice(length: header.totalByteCount) else { return nil }
        return RecordBatch(header: header, bytes: bytes)
    }

    private init(header: RecordBatchHeader, bytes: ByteBuffer) {
        self.header = header
        self.bytes = bytes
    }

    /// The CRC-32C of the bytes as they are now: one pass over the batch.
    public var computedCRC: UInt32 {
        self.bytes.withUnsafeReadableBytes { bytes in
            let covered = UnsafeRawBufferPointer(rebasing: bytes[RecordBatchHeader.crcCoverageStart...])
            return capus_crc32c(0, covered.baseAddress, covered.count)
        }
    }

    /// - Throws: `.batchCRC` when the bytes are not those the producer signed.
    public func verifyCRC() throws(WireError) {
        let computed = self.computedCRC
        guard computed == self.header.crc else { throw .batchCRC(stored: self.header.crc, computed: computed) }
    }

    /// The records, decoded one by one as they are asked for.
    /// - Parameter decompressedBytesMax: most bytes a compressed batch may become; decompression stops there.
    public func records(
        decompressedBytesMax: Int = WireLimits.decompressedBytesMax
    ) throws(WireError) -> RecordIterator {
        guard let codec = self.header.attributes.codec else {
            throw .unknownCodec(UInt8(self.header.attributes.rawValue & 0x07))
        }
        var blob = self.bytes
        blob.moveReaderIndex(forwardBy: RecordBatchHeader.byteCount)
        if codec != .none {
            blob = try codec.decompress(blob, outputBytesMax: decompressedBytesMax)
        }
        guard Int(self.header.recordCount) <= blob.readableBytes / Record.byteCountMin else {
            throw .batchHeader(.recordCount(self.header.recordCount))
        }
        return RecordIterator(header: self.header, blob: blob)
    }
}

/// Walks the records of one batch. It ends with nil only when the batch held exactly as many records as it said.
public struct RecordIterator: Sendable {
    private let header: RecordBatchHeader
    private let blob: ByteBuffer
    /// Bytes of `blob` behind us.
    private var position = 0
    private var index = 0
    private var offsetDeltaLast: Int32 = -1

    init(header: RecordBatchHeader, blob: ByteBuffer) {
        self.header = header
        self.blob = blob
    }

    /// The next record, or nil after the last.
    ///
    /// Its key and value share the batch's storage (or that of its decompressed form).
    /// - Throws: `.record` with the index of the record; after that the iterator must not be used again.
    public mutating func next() throws(WireError) -> Record? {
        guard let layout = try self.nextLayout() else { return nil }
        return Record(layout, in: self.blob, of: self.header)
    }

    /// Walks over what is left without making records, to learn whether the batch is what it says.
    /// - Throws: what `next()` would.
    public mutating func validateRest() throws(WireError) {
        while try self.nextLayout() != nil {}
    }

    private mutating func nextLayout() throws(WireError) -> RecordLayout? {
        guard self.index < Int(self.header.recordCount) else {
            guard self.position == self.blob.readableBytes else { throw .record(index: self.index, .count) }
            return nil
        }
        var position = self.position
        let result = self.blob.withUnsafeReadableBytes { bytes in
            Result { () throws(WireError.RecordFault) in try RecordLayout(from: bytes, at: &position) }
        }
        switch result {
        case .failure(let fault): throw .record(index: self.index, fault)
        case .success(let layout):
            guard layout.offsetDelta > self.offsetDeltaLast, layout.offsetDelta <= self.header.lastOffsetDelta else {
                throw .record(index: self.index, .offsetDelta)
            }
            self.position = position
            self.offsetDeltaLast = layout.offsetDelta
            self.index += 1
            return layout
        }
    }
}
