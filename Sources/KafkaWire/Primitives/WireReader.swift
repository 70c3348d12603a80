public import NIOCore

/// Reads the protocol's primitive values from the bytes of one frame.
///
/// It is total: no bytes make it trap, and none make it reserve more than a small multiple of what was received. A
/// count is believed only after it was held against the bytes that are left; lengths of strings and blobs likewise;
/// tagged fields that nobody asked for are skipped, never kept. How deep messages nest is fixed by the schema.
///
/// The two ways to write a length: before flexible versions a signed Int16 (strings) or Int32 (the rest) with −1 for
/// null; in flexible versions an unsigned varint of the length plus one, with 0 for null.
///
/// `@unchecked Sendable` because of the pointer: nothing writes to the bytes it points to while `buffer` shares them.
public struct WireReader: @unchecked Sendable {
    /// Keeps the bytes alive, and gives slices of them.
    private let buffer: ByteBuffer
    /// The readable bytes of `buffer`. Its storage is a heap block that neither moves nor changes while a `ByteBuffer`
    /// shares it, so the pointer holds as long as `buffer` does. Reading through it halves the time of a decode: each
    /// `readInteger` of a `ByteBuffer` checks for exclusive access to the storage.
    private let bytes: UnsafeRawBufferPointer
    /// Bytes read so far.
    public private(set) var position = 0

    /// Reads the readable bytes of `buffer`; slices that come out share its storage.
    public init(_ buffer: ByteBuffer) {
        self.buffer = buffer
        self.bytes = buffer.withUnsafeReadableBytes { $0 }
    }

    /// Bytes left.
    public var remaining: Int { self.bytes.count - self.position }

    /// - Throws: `.trailingBytes` unless everything was read.
    public func finish() throws(WireError) {
        guard self.remaining == 0 else { throw .trailingBytes(at: self.position, count: self.remaining) }
    }

    // MARK: Integers

    public mutating func readInt8() throws(WireError) -> Int8 { try self.readInteger() }
    public mutating func readInt16() throws(WireError) -> Int16 { try self.readInteger() }
    public mutating func readUInt16() throws(WireError) -> UInt16 { try self.readInteger() }
    public mutating func readInt32() throws(WireError) -> Int32 { try self.readInteger() }
    public mutating func readInt64() throws(WireError) -> Int64 { try self.readInteger() }
    public mutating func readFloat64() throws(WireError) -> Double {
        Double(bitPattern: try self.readInteger(as: UInt64.self))
    }

    /// Any byte but 0 is true.
    public mutating func readBool() throws(WireError) -> Bool { try self.readInteger(as: UInt8.self) != 0 }

    public mutating func readError() throws(WireError) -> KafkaErrorCode {
        KafkaErrorCode(rawValue: try self.readInteger())
    }

    public mutating func readUUID() throws(WireError) -> WireUUID {
        let high = try self.readInteger(as: UInt64.self)
        return WireUUID(high: high, low: try self.readInteger())
    }

    @inline(__always)
    private mutating func readInteger<T: FixedWidthInteger & BitwiseCopyable>(
        as _: T.Type = T.self
    ) throws(WireError) -> T {
        guard self.remaining >= MemoryLayout<T>.size else { throw self.truncated(needed: MemoryLayout<T>.size) }
        let value = self.bytes.loadUnaligned(fromByteOffset: self.position, as: T.self)
        self.position += MemoryLayout<T>.size
        return T(bigEndian: value)
    }

    /// An unsigned varint of at most five bytes.
    public mutating func readUnsignedVarint() throws(WireError) -> UInt32 {
        guard let value = Varint.read(UInt32.self, from: self.bytes, at: &self.position) else {
            throw self.remaining < 5
                ? self.truncated(needed: self.remaining + 1) : .varintTooLong(at: self.position)
        }
        return value
    }

    private func truncated(needed: Int) -> WireError {
        .truncated(at: self.position, needed: needed, remaining: self.remaining)
    }

    // MARK: Lengths

    /// A length or count; nil for null. Not yet held against anything.
    private mutating func readLength(_ isFlexible: Bool) throws(WireError) -> Int? {
        if isFlexible {
            let length = try self.readUnsignedVarint()
            return length == 0 ? nil : Int(length) - 1
        }
        let at = self.position
        let length = try self.readInt32()
        if length >= 0 { return Int(length) }
        guard length == -1 else { throw .negativeLength(at: at, length: Int(length)) }
        return nil
    }

    private mutating func readStringLength(_ isFlexible: Bool) throws(WireError) -> Int? {
        if isFlexible { return try self.readLength(true) }
        let at = self.position
        let length = try self.readInt16()
        if length >= 0 { return Int(length) }
        guard length == -1 else { throw .negativeLength(at: at, length: Int(length)) }
        return nil
    }

    /// A count of elements, held against the bytes that are left; nil for null.
    package mutating func readCount(_ isFlexible: Bool, elementBytesMin: Int) throws(WireError) -> Int? {
        let at = self.position
        guard let count = try self.readLength(isFlexible) else { return nil }
        guard count <= self.remaining / elementBytesMin else {
            throw .countTooLarge(at: at, count: count, remaining: self.remaining)
        }
        return count
    }

    // MARK: Strings and bytes

    public mutating func readNullableString(_ isFlexible: Bool) throws(WireError) -> String? {
        guard let length = try self.readStringLength(isFlexible) else { return nil }
        if length == 0 { return "" }
        guard length <= self.remaining else { throw self.truncated(needed: length) }
        let utf8 = UnsafeRawBufferPointer(rebasing: self.bytes[self.position..<self.position + length])
        guard let text = Self.text(utf8) else { throw .invalidUTF8(at: self.position) }
        self.position += length
        return text
    }

    private static func text(_ utf8: UnsafeRawBufferPointer) -> String? {
        // Names are nearly always ASCII, which needs no validation; the general way costs ten times as much.
        var bits: UInt8 = 0
        for byte in utf8 { bits |= byte }
        if bits < 0x80 { return String(decoding: utf8, as: UTF8.self) }
        return String(validating: utf8, as: UTF8.self)
    }

    public mutating func readString(_ isFlexible: Bool) throws(WireError) -> String {
        let at = self.position
        guard let text = try self.readNullableString(isFlexible) else { throw .unexpectedNull(at: at) }
        return text
    }

    public mutating func readNullableBytes(_ isFlexible: Bool) throws(WireError) -> ByteBuffer? {
        guard let length = try self.readLength(isFlexible) else { return nil }
        let start = self.buffer.readerIndex + self.position
        guard length <= self.remaining, let slice = self.buffer.getSlice(at: start, length: length) else {
            throw self.truncated(needed: length)
        }
        self.position += length
        return slice
    }

    public mutating func readBytes(_ isFlexible: Bool) throws(WireError) -> ByteBuffer {
        let at = self.position
        guard let bytes = try self.readNullableBytes(isFlexible) else { throw .unexpectedNull(at: at) }
        return bytes
    }

    public mutating func readNullableRecords(_ isFlexible: Bool) throws(WireError) -> WireRecords? {
        guard let bytes = try self.readNullableBytes(isFlexible) else { return nil }
        return WireRecords(bytes)
    }

    public mutating func readRecords(_ isFlexible: Bool) throws(WireError) -> WireRecords {
        WireRecords(try self.readBytes(isFlexible))
    }

    // MARK: Tagged fields

    /// Reads a section of tagged fields. `readField` reads the field with that tag and says true, or says false without
    /// reading, and the field is skipped.
    @inline(__always)
    package mutating func readTaggedFields(
        _ readField: (_ tag: Int, inout WireReader) throws(WireError) -> Bool
    ) throws(WireError) {
        let count = try self.readUnsignedVarint()
        if count == 0 { return }
        guard count <= WireLimits.taggedFieldsMax else {
            throw .tooManyTaggedFields(at: self.position, count: Int(count))
        }
        var last = -1
        for _ in 0..<count {
            let tag = Int(try self.readUnsignedVarint())
            guard tag > last else { throw .taggedFieldsOutOfOrder(at: self.position, tag: tag) }
            last = tag
            let length = Int(try self.readUnsignedVarint())
            guard length <= self.remaining else { throw self.truncated(needed: length) }
            let end = self.position + length
            if try readField(tag, &self) {
                guard self.position == end else { throw .taggedFieldLength(at: self.position, tag: tag) }
            } else {
                self.position = end
            }
        }
    }

    /// Skips a section of tagged fields, none of which is known.
    public mutating func skipTaggedFields() throws(WireError) {
        try self.readTaggedFields { _, _ throws(WireError) in false }
    }
}
