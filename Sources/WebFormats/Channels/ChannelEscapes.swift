import NIOCore

/// How the bytes of a key stand in a channel's name.
enum ChannelEscapes {
    private static let percent = UInt8(ascii: "%")
    private static let star = UInt8(ascii: "*")

    /// The bytes that `name` stands for, and whether a star ends it. Places in errors count from `offset`.
    static func read(
        _ name: ByteBuffer, startingAt offset: Int
    ) throws(ChannelNameError) -> (bytes: ByteBuffer, isPrefix: Bool) {
        let bytes = name.readableBytesUInt8Span
        var key = ByteBuffer()
        var index = 0
        while index < bytes.count {
            if bytes[index] == self.star {
                guard index == bytes.count - 1 else { throw .star(at: offset + index) }
                return (key, true)
            }
            if bytes[index] == self.percent {
                guard bytes.count - index >= 3, let high = Hexadecimal.value(of: bytes[index + 1]),
                    let low = Hexadecimal.value(of: bytes[index + 2])
                else { throw .escape(at: offset + index) }
                key.writeInteger(high << 4 | low)
                index += 3
                continue
            }
            guard let length = self.plainByteCount(bytes, at: index) else { throw .unescaped(at: offset + index) }
            key.writeBytes(bytes.extracting(index..<(index + length)).bytes)
            index += length
        }
        return (key, false)
    }

    static func written(_ key: ByteBuffer) -> String {
        let bytes = key.readableBytesUInt8Span
        var name = ByteBuffer()
        var index = 0
        while index < bytes.count {
            if let length = self.plainByteCount(bytes, at: index) {
                name.writeBytes(bytes.extracting(index..<(index + length)).bytes)
                index += length
            } else {
                name.writeInteger(self.percent)
                name.writeInteger(Hexadecimal.digit(of: bytes[index] >> 4))
                name.writeInteger(Hexadecimal.digit(of: bytes[index]))
                index += 1
            }
        }
        return String(buffer: name)
    }

    /// The bytes of the character at `index` that stands for itself; nil when it must be escaped.
    private static func plainByteCount(_ bytes: Span<UInt8>, at index: Int) -> Int? {
        guard let length = UTF8Text.scalarByteCount(bytes, at: index) else { return nil }
        switch length {
        case 1:
            let byte = bytes[index]
            return byte < 0x20 || byte == 0x7F || byte == self.percent || byte == self.star ? nil : 1
        // The control characters U+0080 to U+009F.
        case 2: return bytes[index] == 0xC2 && bytes[index + 1] < 0xA0 ? nil : 2
        // U+2028 and U+2029.
        case 3:
            let isSeparator =
                bytes[index] == 0xE2 && bytes[index + 1] == 0x80 && (0xA8...0xA9).contains(bytes[index + 2])
            return isSeparator ? nil : 3
        default: return length
        }
    }
}
