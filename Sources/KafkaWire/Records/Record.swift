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
}

/// Where the parts of one record lie in a blob of records. Found in one walk over the bytes, before any slice is made.
struct RecordLayout {
    var offsetDelta: Int32
    var timestampDelta: Int64
    /// nil for null.
    var key: Range<Int>?
    var value: Range<Int>?
    var headers: [(key: Range<Int>, value: Range<Int>?)] = []

    /// Reads the record at `position` and moves past it.
    init(from blob: UnsafeRawBufferPointer, at position: inout Int) throws(WireError.RecordFault) {
        guard let length = Varint.read(UInt32.self, from: blob, at: &position).map(Varint.signed),
            length >= 0, Int(length) <= blob.count - position
        else { throw .length }
        let end = position + Int(length)
        let body = UnsafeRawBufferPointer(rebasing: blob[..<end])
        // The attributes of a record have no meaning yet.
        guard position < end else { throw .length }
        position += 1
        guard let timestampDelta = Varint.read(UInt64.self, from: body, at: &position),
            let offsetDelta = Varint.read(UInt32.self, from: body, at: &position)
        else { throw .length }
        self.timestampDelta = Varint.signed(timestampDelta)
        self.offsetDelta = Varint.signed(offsetDelta)
        self.key = try Self.bytes(body, &position)
        self.value = try Self.bytes(body, &position)
        guard let count = Varint.read(UInt32.self, from: body, at: &position).map(Varint.signed) else { throw .length }
        if count != 0 { try self.readHeaders(count, body, &position) }
        guard position == end else { throw .length }
    }

    /// Bytes behind a length; nil for −1.
    @inline(__always)
    private static func bytes(
        _ body: UnsafeRawBufferPointer, _ position: inout Int
    ) throws(WireError.RecordFault) -> Range<Int>? {
        guard let length = Varint.read(UInt32.self, from: body, at: &position).map(Varint.signed) else { throw .length }
        guard length >= 0 else {
            guard length == -1 else { throw .negativeLength }
            return nil
        }
        guard Int(length) <= body.count - position else { throw .length }
        defer { position += Int(length) }
        return position..<position + Int(length)
    }

    private mutating func readHeaders(
        _ count: Int32, _ body: UnsafeRawBufferPointer, _ position: inout Int
    ) throws(WireError.RecordFault) {
        // A header takes two bytes at least, so the count is bounded by what was received.
        guard count > 0, Int(count) <= (body.count - position) / 2, Int(count) <= WireLimits.recordHeadersMax else {
            throw .headerCount
        }
        for _ in 0..<count {
            guard let key = try Self.bytes(body, &position) else { throw .negativeLength }
            self.headers.append((key, try Self.bytes(body, &position)))
        }
    }
}

extension Record {
    /// The record that `layout` found in `blob`, as slices of it.
    init(_ layout: RecordLayout, in blob: ByteBuffer, of header: RecordBatchHeader) {
        func slice(_ range: Range<Int>) -> ByteBuffer {
            // The layout lies within the blob; an empty slice could not occur.
            blob.getSlice(at: blob.readerIndex + range.lowerBound, length: range.count) ?? ByteBuffer()
        }
        self.offsetDelta = layout.offsetDelta
        self.offset = header.baseOffset + Int64(layout.offsetDelta)
        // Wraps as Java's `long` does: a timestamp is the producer's word, and never a reason to trap.
        self.timestamp =
            header.attributes.isLogAppendTime ? header.maxTimestamp : header.baseTimestamp &+ layout.timestampDelta
        self.key = layout.key.map(slice)
        self.value = layout.value.map(slice)
        self.headers = []
        if layout.headers.isEmpty { return }
        self.headers = layout.headers.map { Header(key: String(buffer: slice($0.key)), value: $0.value.map(slice)) }
    }
}
