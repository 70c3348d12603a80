import NIOCore

/// A JSON string's escapes, resolved.
enum JSONEscapes {
    /// The bytes between the quotes of a string that the scanner has passed, in UTF-8. What the scanner would have
    /// refused stays as it stands, so that this ends well for any bytes.
    static func resolved(_ quoted: ByteBuffer) -> ByteBuffer {
        let inner =
            quoted.getSlice(at: quoted.readerIndex + 1, length: max(0, quoted.readableBytes - 2)) ?? ByteBuffer()
        let bytes = inner.readableBytesUInt8Span
        guard let first = self.firstEscape(bytes, from: 0) else { return inner }
        var text = ByteBuffer()
        text.reserveCapacity(bytes.count)
        var plain = 0
        var next: Int? = first
        while let start = next {
            text.writeBytes(bytes.extracting(plain..<start).bytes)
            plain = self.write(escapeAt: start, bytes, into: &text)
            next = self.firstEscape(bytes, from: plain)
        }
        text.writeBytes(bytes.extracting(plain..<bytes.count).bytes)
        return text
    }

    private static func firstEscape(_ bytes: Span<UInt8>, from start: Int) -> Int? {
        var index = start
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "\\") { return index }
            index += 1
        }
        return nil
    }

    /// Writes what the escape at `start` stands for and returns the place behind it.
    private static func write(escapeAt start: Int, _ bytes: Span<UInt8>, into text: inout ByteBuffer) -> Int {
        guard bytes.count - start >= 2 else {
            text.writeInteger(bytes[start])
            return start + 1
        }
        let mark = bytes[start + 1]
        guard mark == UInt8(ascii: "u") else {
            text.writeInteger(self.meaning(of: mark))
            return start + 2
        }
        guard let unit = self.unit(bytes, at: start) else {
            text.writeInteger(bytes[start])
            return start + 1
        }
        if (0xD800...0xDBFF).contains(unit), let low = self.unit(bytes, at: start + 6), (0xDC00...0xDFFF).contains(low)
        {
            self.write(scalar: 0x10000 + (unit - 0xD800) << 10 + (low - 0xDC00), into: &text)
            return start + 12
        }
        self.write(scalar: unit, into: &text)
        return start + 6
    }

    private static func meaning(of mark: UInt8) -> UInt8 {
        switch mark {
        case UInt8(ascii: "b"): 0x08
        case UInt8(ascii: "f"): 0x0C
        case UInt8(ascii: "n"): 0x0A
        case UInt8(ascii: "r"): 0x0D
        case UInt8(ascii: "t"): 0x09
        default: mark
        }
    }

    /// The sixteen bits of `\uXXXX` at `start`.
    private static func unit(_ bytes: Span<UInt8>, at start: Int) -> UInt32? {
        guard bytes.count - start >= 6, bytes[start] == UInt8(ascii: "\\"), bytes[start + 1] == UInt8(ascii: "u")
        else { return nil }
        var unit: UInt32 = 0
        for index in (start + 2)..<(start + 6) {
            guard let digit = Hexadecimal.value(of: bytes[index]) else { return nil }
            unit = unit << 4 | UInt32(digit)
        }
        return unit
    }

    private static func write(scalar value: UInt32, into text: inout ByteBuffer) {
        let scalar = Unicode.Scalar(value) ?? "\u{FFFD}"
        text.writeBytes(Array(Character(scalar).utf8))
    }
}
