package import NIOCore

/// JSON written into a buffer. Whatever is given, what is written holds no line break and no NUL, and can stand in one
/// line of a WebSocket message and of an event stream. The strings that we write hold nothing that a terminal obeys.
extension ByteBuffer {
    /// `text` as a JSON string, in quotes.
    package mutating func writeJSONString(_ text: String) {
        self.writeJSONString(utf8: ByteBuffer(string: text))
    }

    /// The readable bytes of `text`, which are UTF-8, as a JSON string in quotes.
    package mutating func writeJSONString(utf8 text: ByteBuffer) {
        let bytes = text.readableBytesUInt8Span
        self.writeInteger(UInt8(ascii: "\""))
        var plain = 0
        var index = 0
        while index < bytes.count {
            guard let (unit, length) = Self.escaped(bytes, at: index) else {
                index += 1
                continue
            }
            self.writeBytes(bytes.extracting(plain..<index).bytes)
            self.writeEscape(unit)
            index += length
            plain = index
        }
        self.writeBytes(bytes.extracting(plain..<bytes.count).bytes)
        self.writeInteger(UInt8(ascii: "\""))
    }

    /// The readable bytes of `bytes` as a JSON string of Base64 with padding.
    package mutating func writeBase64String(_ bytes: ByteBuffer) {
        self.writeInteger(UInt8(ascii: "\""))
        Base64.standard.write(bytes, into: &self)
        self.writeInteger(UInt8(ascii: "\""))
    }

    /// A value as it came; a line break between two tokens becomes a blank, which means the same.
    package mutating func writeJSON(_ value: JSONValue) {
        guard value.breaksLines else {
            self.writeImmutableBuffer(value.bytes)
            return
        }
        let start = self.writerIndex
        self.writeImmutableBuffer(value.bytes)
        for index in start..<self.writerIndex {
            let byte = self.getInteger(at: index, as: UInt8.self)
            if byte == 0x0A || byte == 0x0D { self.setInteger(UInt8(ascii: " "), at: index) }
        }
    }

    /// `"name":`, with a comma in front unless an object or array has just been opened. `name` is ours: plain ASCII.
    package mutating func writeJSONName(_ name: StaticString) {
        self.writeJSONComma()
        self.writeInteger(UInt8(ascii: "\""))
        self.writeStaticString(name)
        self.writeStaticString("\":")
    }

    /// A comma, unless an object or array has just been opened.
    package mutating func writeJSONComma() {
        let last = self.getInteger(at: self.writerIndex - 1, as: UInt8.self)
        if last != UInt8(ascii: "{"), last != UInt8(ascii: "[") { self.writeInteger(UInt8(ascii: ",")) }
    }

    package mutating func writeJSONInteger(_ value: some FixedWidthInteger) {
        // Most numbers are offsets and times; 20 digits hold any of 64 bits.
        self.writeString(String(value))
    }

    /// The character at `index` that may not stand as it is, and how many bytes it takes: quote, backslash, the control
    /// characters (C0, DEL, C1, which terminals obey) and the two line separators of Unicode (which older JavaScript
    /// takes for line ends).
    private static func escaped(_ bytes: Span<UInt8>, at index: Int) -> (unit: UInt16, length: Int)? {
        let byte = bytes[index]
        if byte < 0x80 {
            let isPlain = byte >= 0x20 && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\") && byte != 0x7F
            return isPlain ? nil : (UInt16(byte), 1)
        }
        if byte == 0xC2, bytes.count - index >= 2, (0x80...0x9F).contains(bytes[index + 1]) {
            return (UInt16(bytes[index + 1]), 2)
        }
        if byte == 0xE2, bytes.count - index >= 3, bytes[index + 1] == 0x80, (0xA8...0xA9).contains(bytes[index + 2]) {
            return (0x2000 | UInt16(bytes[index + 2] & 0x3F), 3)
        }
        return nil
    }

    private mutating func writeEscape(_ unit: UInt16) {
        switch unit {
        case 0x22: self.writeStaticString("\\\"")
        case 0x5C: self.writeStaticString("\\\\")
        case 0x0A: self.writeStaticString("\\n")
        case 0x0D: self.writeStaticString("\\r")
        case 0x09: self.writeStaticString("\\t")
        default:
            self.writeStaticString("\\u")
            for shift in [12, 8, 4, 0] as [UInt16] {
                self.writeInteger(Hexadecimal.digit(of: UInt8(truncatingIfNeeded: unit >> shift)))
            }
        }
    }
}
