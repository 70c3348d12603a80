import NIOCore

/// Variable-length integers: seven bits a byte, least significant first, the top bit says that more follow.
/// Signed ones are zig-zag encoded first (0, −1, 1, −2 … become 0, 1, 2, 3 …), so that small magnitudes stay short.
enum Varint {
    static func zigZag(_ value: Int32) -> UInt32 { UInt32(bitPattern: (value << 1) ^ (value >> 31)) }
    static func zigZag(_ value: Int64) -> UInt64 { UInt64(bitPattern: (value << 1) ^ (value >> 63)) }
    static func signed(_ value: UInt32) -> Int32 { Int32(bitPattern: value >> 1) ^ -Int32(bitPattern: value & 1) }
    static func signed(_ value: UInt64) -> Int64 { Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1) }

    /// Bytes that `value` takes: 1 to 10.
    static func byteCount(_ value: UInt64) -> Int {
        (70 - (value | 1).leadingZeroBitCount) / 7
    }
}

extension ByteBuffer {
    /// nil, and the reader stays, when it does not end within `T`'s length or the buffer, or has bits `T` has not.
    mutating func readVarint<T: FixedWidthInteger & UnsignedInteger>(as _: T.Type) -> T? {
        let (value, length) = self.withUnsafeReadableBytes { bytes -> (T, Int) in
            var value: T = 0
            var shift = 0
            for (index, byte) in bytes.prefix((T.bitWidth + 6) / 7).enumerated() {
                let bits = T(truncatingIfNeeded: byte & 0x7F)
                if shift + 7 > T.bitWidth, bits >> (T.bitWidth - shift) != 0 { return (0, 0) }
                value |= bits << shift
                if byte < 0x80 { return (value, index + 1) }
                shift += 7
            }
            return (0, 0)
        }
        guard length > 0 else { return nil }
        self.moveReaderIndex(forwardBy: length)
        return value
    }

    mutating func readZigZag32() -> Int32? { self.readVarint(as: UInt32.self).map(Varint.signed) }
    mutating func readZigZag64() -> Int64? { self.readVarint(as: UInt64.self).map(Varint.signed) }

    mutating func writeVarint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            self.writeInteger(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        self.writeInteger(UInt8(truncatingIfNeeded: rest))
    }

    mutating func writeZigZag(_ value: Int32) { self.writeVarint(UInt64(Varint.zigZag(value))) }
    mutating func writeZigZag(_ value: Int64) { self.writeVarint(Varint.zigZag(value)) }
}
