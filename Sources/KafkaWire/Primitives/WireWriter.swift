public import NIOCore

/// Writes the protocol's primitive values and makes a frame of them.
///
/// Small fields go into one growing block. Record bytes of `WireLimits.sharedChunkBytesMin` or more are not copied:
/// they are passed on as the buffers they came in, between slices of the small block. A fetch answer that carries ten
/// batches is then eleven small slices of one allocation and ten shared buffers, ready for one gathered write.
///
/// The block is plain memory with one owner, not a `ByteBuffer`: a response is some thirty integers, and each would ask
/// whether the buffer is shared. That is most of the cost of encoding; `finish()` copies the block once instead.
public struct WireWriter: ~Copyable {
    private var bytes: UnsafeMutableRawPointer
    private var capacity: Int
    private var count: Int
    /// Shared buffers, each with the place in the block that it comes before.
    private var shared: [(at: Int, ByteBuffer)] = []
    private var sharedByteCount = 0
    /// More was written than a frame may have; what came since begins anew and goes nowhere.
    private var isOverlong = false

    /// Bytes of the length in front of a frame.
    private static let lengthByteCount = Frame.lengthByteCount

    /// - Parameter byteCountHint: bytes to reserve for everything but shared record bytes.
    public init(byteCountHint: Int = 256) {
        self.capacity = max(byteCountHint, 64)
        self.bytes = .allocate(byteCount: self.capacity, alignment: 16)
        self.count = 0
        self.writeInt32(0)
    }

    deinit { self.bytes.deallocate() }

    /// Bytes of the frame so far, its length field included.
    public var byteCount: Int { self.count + self.sharedByteCount }

    /// The frame, with its length in front, as buffers to be written one after another; none if it would be longer
    /// than ``WireLimits/frameBytesWrittenMax``, which nobody would read.
    public consuming func finish() -> [ByteBuffer] {
        let length = self.byteCount - Self.lengthByteCount
        guard !self.isOverlong, length <= WireLimits.frameBytesWrittenMax else { return [] }
        self.bytes.storeBytes(of: Int32(length).bigEndian, as: Int32.self)
        let block = ByteBuffer(bytes: UnsafeRawBufferPointer(start: self.bytes, count: self.count))
        if self.shared.isEmpty { return [block] }
        var pieces: [ByteBuffer] = []
        pieces.reserveCapacity(self.shared.count * 2 + 1)
        var start = 0
        for (at, chunk) in self.shared {
            if at > start, let piece = block.getSlice(at: start, length: at - start) { pieces.append(piece) }
            pieces.append(chunk)
            start = at
        }
        if self.count > start, let piece = block.getSlice(at: start, length: self.count - start) {
            pieces.append(piece)
        }
        return pieces
    }

    /// What was written, without a length in front, in one buffer: for values that are no frame. Empty if it would be
    /// longer than ``WireLimits/frameBytesWrittenMax``: what was left of it would look like a value.
    /// - Precondition: no `records` were written.
    package consuming func finishBody() -> ByteBuffer {
        precondition(self.shared.isEmpty, "shared record bytes go into frames")
        guard !self.isOverlong else { return ByteBuffer() }
        return ByteBuffer(
            bytes: UnsafeRawBufferPointer(
                start: self.bytes + Self.lengthByteCount, count: self.count - Self.lengthByteCount
            )
        )
    }

    // MARK: The block

    /// Room for `count` bytes, which the caller fills.
    @inline(__always)
    private mutating func room(_ count: Int) -> UnsafeMutableRawPointer {
        if self.capacity - self.count < count { self.grow(count) }
        let place = self.bytes + self.count
        self.count += count
        return place
    }

    @inline(never)
    private mutating func grow(_ count: Int) {
        if self.count + count > WireLimits.frameBytesWrittenMax {
            self.isOverlong = true
            self.count = Self.lengthByteCount
            self.shared = []
            self.sharedByteCount = 0
        }
        guard self.count + count > self.capacity else { return }
        self.capacity = max(min(self.capacity * 2, WireLimits.frameBytesWrittenMax), self.count + count)
        let larger = UnsafeMutableRawPointer.allocate(byteCount: self.capacity, alignment: 16)
        larger.copyMemory(from: self.bytes, byteCount: self.count)
        self.bytes.deallocate()
        self.bytes = larger
    }

    @inline(__always)
    private mutating func writeInteger<T: FixedWidthInteger & BitwiseCopyable>(_ value: T) {
        self.room(MemoryLayout<T>.size).storeBytes(of: value.bigEndian, as: T.self)
    }

    private mutating func write(_ buffer: ByteBuffer) {
        let place = self.room(buffer.readableBytes)
        buffer.withUnsafeReadableBytes { bytes in
            if let base = bytes.baseAddress { place.copyMemory(from: base, byteCount: bytes.count) }
        }
    }

    // MARK: Integers

    public mutating func writeInt8(_ value: Int8) { self.writeInteger(value) }
    public mutating func writeInt16(_ value: Int16) { self.writeInteger(value) }
    public mutating func writeUInt16(_ value: UInt16) { self.writeInteger(value) }
    public mutating func writeInt32(_ value: Int32) { self.writeInteger(value) }
    public mutating func writeInt64(_ value: Int64) { self.writeInteger(value) }
    public mutating func writeFloat64(_ value: Double) { self.writeInteger(value.bitPattern) }
    public mutating func writeBool(_ value: Bool) { self.writeInteger(value ? 1 : 0 as UInt8) }
    public mutating func writeError(_ value: KafkaErrorCode) { self.writeInteger(value.rawValue) }

    public mutating func writeUUID(_ value: WireUUID) {
        self.writeInteger(value.high)
        self.writeInteger(value.low)
    }

    public mutating func writeUnsignedVarint(_ value: UInt32) {
        var rest = value
        while rest >= 0x80 {
            self.writeInteger(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        self.writeInteger(UInt8(truncatingIfNeeded: rest))
    }

    // MARK: Lengths

    /// A length or count; nil for null.
    package mutating func writeLength(_ length: Int?, _ isFlexible: Bool) {
        precondition((length ?? 0) < Int(Int32.max), "longer than its length field can say")
        if isFlexible {
            self.writeUnsignedVarint(UInt32((length ?? -1) + 1))
        } else {
            self.writeInteger(Int32(length ?? -1))
        }
    }

    // MARK: Strings and bytes

    public mutating func writeString(_ value: String, _ isFlexible: Bool) {
        var value = value
        let isWritten = value.withUTF8 { text in
            guard isFlexible || text.count <= Int(Int16.max) else { return false }
            if isFlexible {
                self.writeLength(text.count, true)
            } else {
                self.writeInteger(Int16(text.count))
            }
            let place = self.room(text.count)
            if let base = text.baseAddress { place.copyMemory(from: base, byteCount: text.count) }
            return true
        }
        // No field of ours comes near 32 KiB; a peer's text that we repeat might. Cut it rather than trap.
        if !isWritten { self.writeString(Self.cut(value, toBytes: Int(Int16.max)), false) }
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
            if isFlexible { self.writeInteger(0 as UInt8) } else { self.writeInteger(-1 as Int16) }
            return
        }
        self.writeString(value, isFlexible)
    }

    public mutating func writeBytes(_ value: ByteBuffer, _ isFlexible: Bool) {
        self.writeLength(value.readableBytes, isFlexible)
        self.write(value)
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
                self.write(chunk)
            } else {
                self.shared.append((at: self.count, chunk))
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
    public mutating func writeNoTaggedFields() { self.writeInteger(0 as UInt8) }

    /// A section of tagged fields that is being written: only those that differ from their default, tags ascending.
    package struct TaggedSection {
        /// Where the count stands. One byte: no message of the protocol has 128 tags.
        fileprivate let at: Int
        fileprivate var fieldCount: UInt8 = 0
        fileprivate var tagLast = -1
    }

    package mutating func beginTaggedFields() -> TaggedSection {
        let section = TaggedSection(at: self.count)
        self.writeInteger(0 as UInt8)
        return section
    }

    package mutating func writeTaggedField(
        _ tag: Int, in section: inout TaggedSection, _ write: (inout WireWriter) -> Void
    ) {
        precondition(tag > section.tagLast && section.fieldCount < 127, "tags ascend")
        section.tagLast = tag
        section.fieldCount += 1
        self.bytes.storeBytes(of: section.fieldCount, toByteOffset: section.at, as: UInt8.self)
        self.writeUnsignedVarint(UInt32(tag))
        let start = self.count
        let sharedCount = self.shared.count
        write(&self)
        // It began anew within the field: the frame is lost, and there is no length to put anywhere.
        guard !self.isOverlong else { return }
        precondition(self.shared.count == sharedCount, "no tagged field holds records")
        self.insertLength(at: start)
    }

    /// Puts the length of what was written since `start` in front of it.
    private mutating func insertLength(at start: Int) {
        let length = self.count - start
        // Written behind the value first, which makes room, then carried in front of it.
        self.writeUnsignedVarint(UInt32(length))
        let digits = self.count - start - length
        withUnsafeTemporaryAllocation(byteCount: digits, alignment: 1) { kept in
            guard let held = kept.baseAddress else { return }
            held.copyMemory(from: self.bytes + start + length, byteCount: digits)
            (self.bytes + start + digits).copyMemory(from: self.bytes + start, byteCount: length)
            (self.bytes + start).copyMemory(from: held, byteCount: digits)
        }
    }
}
