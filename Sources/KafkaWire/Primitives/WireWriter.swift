public import NIOCore

/// Writes the protocol's primitive values and makes a frame of them.
///
/// Small fields go into one growing buffer. Record bytes of `WireLimits.sharedChunkBytesMin` or more are not copied:
/// they are passed on as the buffers they came in, between slices of the small one. A fetch answer that carries ten
/// batches is then eleven small slices of one allocation and ten shared buffers, ready for one gathered write.
public struct WireWriter: Sendable {
    private var small: ByteBuffer
    /// Shared buffers, each with the place in `small` that it comes before.
    private var shared: [(at: Int, ByteBuffer)] = []
    private var sharedByteCount = 0

    /// Bytes of the length in front of a frame.
    static let lengthByteCount = 4

    /// - Parameter byteCountHint: bytes to reserve for everything but shared record bytes.
    public init(byteCountHint: Int = 256) {
        self.small = ByteBufferAllocator().buffer(capacity: byteCountHint)
        self.small.writeInteger(0 as Int32)
    }

    /// Bytes of the frame so far, its length field included.
    public var byteCount: Int { self.small.writerIndex + self.sharedByteCount }

    /// The frame, with its length in front, as buffers to be written one after another.
    /// - Precondition: the frame is shorter than 2 GiB.
    public consuming func finish() -> [ByteBuffer] {
        let length = self.byteCount - Self.lengthByteCount
        precondition(length <= Int(Int32.max), "a frame longer than its length field can say")
        self.small.setInteger(Int32(length), at: 0)
        return self.pieces()
    }

    private func pieces() -> [ByteBuffer] {
        if self.shared.isEmpty { return [self.small] }
        var pieces: [ByteBuffer] = []
        pieces.reserveCapacity(self.shared.count * 2 + 1)
        var start = 0
        for (at, chunk) in self.shared {
            if at > start, let piece = self.small.getSlice(at: start, length: at - start) { pieces.append(piece) }
            pieces.append(chunk)
            start = at
        }
        let end = self.small.writerIndex
        if end > start, let piece = self.small.getSlice(at: start, length: end - start) { pieces.append(piece) }
        return pieces
    }

    // MARK: Integers

    public mutating func writeInt8(_ value: Int8) { self.small.writeInteger(value) }
    public mutating func writeInt16(_ value: Int16) { self.small.writeInteger(value) }
    public mutating func writeUInt16(_ value: UInt16) { self.small.writeInteger(value) }
    public mutating func writeInt32(_ value: Int32) { self.small.writeInteger(value) }
    public mutating func writeInt64(_ value: Int64) { self.small.writeInteger(value) }
    public mutating func writeFloat64(_ value: Double) { self.small.writeInteger(value.bitPattern) }
    public mutating func writeBool(_ value: Bool) { self.small.writeInteger(value ? 1 : 0 as UInt8) }
    public mutating func writeError(_ value: KafkaErrorCode) { self.small.writeInteger(value.rawValue) }

    public mutating func writeUUID(_ value: WireUUID) {
        self.small.writeMultipleIntegers(value.high, value.low)
    }

    public mutating func writeUnsignedVarint(_ value: UInt32) { self.small.writeVarint(UInt64(value)) }

    // MARK: Lengths

    /// A length or count; nil for null.
    mutating func writeLength(_ length: Int?, _ isFlexible: Bool) {
        precondition((length ?? 0) < Int(Int32.max), "longer than its length field can say")
        if isFlexible {
            self.small.writeVarint(UInt64((length ?? -1) + 1))
        } else {
            self.small.writeInteger(Int32(length ?? -1))
        }
    }

    // MARK: Strings and bytes

    public mutating func writeString(_ value: String, _ isFlexible: Bool) {
        var value = value
        let length = value.withUTF8 { $0.count }
        if isFlexible {
            self.small.writeVarint(UInt64(length) + 1)
            self.small.writeString(value)
        } else if length <= Int(Int16.max) {
            self.small.writeInteger(Int16(length))
            self.small.writeString(value)
        } else {
            // No field of ours comes near 32 KiB; a peer's text that we repeat might. Cut it rather than trap.
            self.writeString(Self.cut(value, toBytes: Int(Int16.max)), false)
        }
    }

    private static func cut(_ value: String, toBytes count: Int) -> String {
        var rest = count
        return String(
            value.unicodeScalars.prefix { scalar in
                rest -= UTF8.width(scalar)
                return rest >= 0
            }
        )
    }

    public mutating func writeNullableString(_ value: String?, _ isFlexible: Bool) {
        guard let value else {
            if isFlexible { self.small.writeInteger(0 as UInt8) } else { self.small.writeInteger(-1 as Int16) }
            return
        }
        self.writeString(value, isFlexible)
    }

    public mutating func writeBytes(_ value: ByteBuffer, _ isFlexible: Bool) {
        self.writeLength(value.readableBytes, isFlexible)
        self.small.writeImmutableBuffer(value)
    }

    public mutating func writeNullableBytes(_ value: ByteBuffer?, _ isFlexible: Bool) {
        guard let value else { return self.writeLength(nil, isFlexible) }
        self.writeBytes(value, isFlexible)
    }

    /// Chunks of `WireLimits.sharedChunkBytesMin` or more are shared, others copied.
    public mutating func writeRecords(_ value: WireRecords, _ isFlexible: Bool) {
        self.writeLength(value.byteCount, isFlexible)
        value.forEachChunk { chunk in
            if chunk.readableBytes < WireLimits.sharedChunkBytesMin {
                self.small.writeImmutableBuffer(chunk)
            } else {
                self.shared.append((at: self.small.writerIndex, chunk))
                self.sharedByteCount += chunk.readableBytes
            }
        }
    }

    public mutating func writeNullableRecords(_ value: WireRecords?, _ isFlexible: Bool) {
        guard let value else { return self.writeLength(nil, isFlexible) }
        self.writeRecords(value, isFlexible)
    }

    // MARK: Tagged fields

    /// An empty section of tagged fields.
    public mutating func writeNoTaggedFields() { self.small.writeInteger(0 as UInt8) }

    mutating func writeTaggedFields(_ fields: TaggedFields) {
        self.writeUnsignedVarint(UInt32(fields.fields.count))
        for (tag, value) in fields.fields {
            self.writeUnsignedVarint(UInt32(tag))
            self.writeUnsignedVarint(UInt32(value.readableBytes))
            self.small.writeImmutableBuffer(value)
        }
    }

    /// The bytes so far without the frame's length; for a tagged field, whose own length stands in front of it.
    fileprivate consuming func value() -> ByteBuffer {
        precondition(self.shared.isEmpty, "no tagged field holds records")
        var value = self.small
        value.moveReaderIndex(forwardBy: Self.lengthByteCount)
        return value
    }
}

/// Tagged fields that are about to be written: only those that differ from their default, tags ascending.
struct TaggedFields {
    fileprivate var fields: [(tag: Int, value: ByteBuffer)] = []

    mutating func add(_ tag: Int, _ write: (inout WireWriter) -> Void) {
        precondition(tag > self.fields.last?.tag ?? -1, "tags ascend")
        var writer = WireWriter()
        write(&writer)
        self.fields.append((tag, writer.value()))
    }
}
