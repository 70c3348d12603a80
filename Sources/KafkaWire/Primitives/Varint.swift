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

    /// The varint at `position`, which moves past it; nil, and `position` stays, when it does not end within `T`'s
    /// longest form or the bytes, or has bits that `T` has not.
    @inline(__always)
    static func read<T: FixedWidthInteger & UnsignedInteger>(
        _: T.Type, from bytes: UnsafeRawBufferPointer, at position: inout Int
    ) -> T? {
        guard position < bytes.count else { return nil }
        let first = bytes[position]
        if first < 0x80 {
            position += 1
            return T(truncatingIfNeeded: first)
        }
        return self.readLong(T.self, from: bytes, at: &position)
    }

    private static func readLong<T: FixedWidthInteger & UnsignedInteger>(
        _: T.Type, from bytes: UnsafeRawBufferPointer, at position: inout Int
    ) -> T? {
        var value: T = 0
        var shift = 0
        var index = position
        while index < bytes.count, shift < T.bitWidth {
            let byte = bytes[index]
            let bits = T(truncatingIfNeeded: byte & 0x7F)
            if shift + 7 > T.bitWidth, bits >> (T.bitWidth - shift) != 0 { return nil }
            value |= bits << shift
            index += 1
            if byte < 0x80 {
                position = index
                return value
            }
            shift += 7
        }
        return nil
    }

    /// Writes at `place`, which must have room for 10 bytes, and moves it past them.
    @inline(__always)
    static func write(_ value: UInt64, to place: inout UnsafeMutableRawPointer) {
        var rest = value
        while rest >= 0x80 {
            place.storeBytes(of: UInt8(truncatingIfNeeded: rest) | 0x80, as: UInt8.self)
            place += 1
            rest >>= 7
        }
        place.storeBytes(of: UInt8(truncatingIfNeeded: rest), as: UInt8.self)
        place += 1
    }
}
