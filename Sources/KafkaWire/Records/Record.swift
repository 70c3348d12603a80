public import NIOCore

/// One record of a batch. Encoded, with zig-zag varints:
///
///     length │ attributes Int8 │ timestamp delta │ offset delta │ key length, key │ value length, value │
///     header count │ { key length, key, value length, value } …
///
/// A length of −1 is null. The two deltas count from the batch's base timestamp and base offset.
public struct Record: Hashable, Sendable {
    /// The shortest record: no key, no value, no header.
    static let byteCountMin = 7

    public var offset: Int64
    /// `offset` minus the batch's base offset.
    public var offsetDelta: Int32
    /// Milliseconds since 1970; −1 when the producer gave none.
    public var timestamp: Int64
    public var key: ByteBuffer?
    /// nil marks a deletion in a compacted topic.
    public var value: ByteBuffer?
    public var headers: [Header]

    /// A name and a value beside a record. Names may repeat; order is kept.
    public struct Header: Hashable, Sendable {
        public var key: String
        public var value: ByteBuffer?

        public init(key: String, value: ByteBuffer?) {
            self.key = key
            self.value = value
        }
    }

    /// Reads one record and moves past it.
    init(
        from blob: inout ByteBuffer, in header: RecordBatchHeader, after offsetDeltaLast: Int32
    ) throws(WireError.RecordFault) {
        guard let length = blob.readZigZag32(), length >= 0, var body = blob.readSlice(length: Int(length)),
            body.readInteger(as: Int8.self) != nil, let timestampDelta = body.readZigZag64()
        else { throw .length }
        guard let offsetDelta = body.readZigZag32() else { throw .length }
        guard offsetDelta > offsetDeltaLast, offsetDelta <= header.lastOffsetDelta else { throw .offsetDelta }
        self.offsetDelta = offsetDelta
        self.offset = header.baseOffset + Int64(offsetDelta)
        // Wraps as Java's `long` does: a timestamp is the producer's word, and never a reason to trap.
        self.timestamp =
            header.attributes.isLogAppendTime ? header.maxTimestamp : header.baseTimestamp &+ timestampDelta
        self.key = try body.readVarBytes()
        self.value = try body.readVarBytes()
        self.headers = try body.readRecordHeaders()
        guard body.readableBytes == 0 else { throw .length }
    }
}

extension ByteBuffer {
    /// Bytes behind a zig-zag length; nil for −1.
    fileprivate mutating func readVarBytes() throws(WireError.RecordFault) -> ByteBuffer? {
        guard let length = self.readZigZag32() else { throw .length }
        guard length >= 0 else {
            guard length == -1 else { throw .negativeLength }
            return nil
        }
        guard let bytes = self.readSlice(length: Int(length)) else { throw .length }
        return bytes
    }

    fileprivate mutating func readRecordHeaders() throws(WireError.RecordFault) -> [Record.Header] {
        guard let count = self.readZigZag32() else { throw .length }
        guard count != 0 else { return [] }
        // A header takes two bytes at least, so the count is bounded by what was received.
        guard count > 0, Int(count) <= self.readableBytes / 2, Int(count) <= WireLimits.recordHeadersMax else {
            throw .headerCount
        }
        var headers: [Record.Header] = []
        for _ in 0..<count {
            guard let key = try self.readVarBytes() else { throw .negativeLength }
            headers.append(Record.Header(key: String(buffer: key), value: try self.readVarBytes()))
        }
        return headers
    }
}
