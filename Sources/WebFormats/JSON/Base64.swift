package import NIOCore

/// Base64 (RFC 4648) over buffers. Reading takes one spelling of each value: no blanks, no missing or spare padding, no
/// bits that belong to nothing, so that two texts are never one cursor.
package enum Base64: Sendable {
    /// With `+`, `/` and padding.
    case standard
    /// With `-` and `_`, without padding: what may stand in a URL and in a header.
    case url

    private static let common = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789".utf8)
    private static let standardLetters = Self.common + Array("+/".utf8)
    private static let urlLetters = Self.common + Array("-_".utf8)

    private var letters: [UInt8] { self == .standard ? Self.standardLetters : Self.urlLetters }

    /// Writes the readable bytes of `bytes` as text.
    package func write(_ source: ByteBuffer, into text: inout ByteBuffer) {
        let bytes = source.readableBytesUInt8Span
        let letters = self.letters
        var index = 0
        while bytes.count - index >= 3 {
            let group = UInt32(bytes[index]) << 16 | UInt32(bytes[index + 1]) << 8 | UInt32(bytes[index + 2])
            text.writeInteger(
                UInt32(letters[Int(group >> 18)]) << 24 | UInt32(letters[Int(group >> 12 & 63)]) << 16
                    | UInt32(letters[Int(group >> 6 & 63)]) << 8 | UInt32(letters[Int(group & 63)]))
            index += 3
        }
        guard index < bytes.count else { return }
        let isOne = bytes.count - index == 1
        let group = UInt32(bytes[index]) << 16 | (isOne ? 0 : UInt32(bytes[index + 1]) << 8)
        text.writeInteger(letters[Int(group >> 18)])
        text.writeInteger(letters[Int(group >> 12 & 63)])
        if !isOne { text.writeInteger(letters[Int(group >> 6 & 63)]) }
        if self == .standard { text.writeStaticString(isOne ? "==" : "=") }
    }

    package func encoded(_ bytes: ByteBuffer) -> String {
        var text = ByteBuffer()
        self.write(bytes, into: &text)
        return String(buffer: text)
    }

    /// Nil for anything that ``write(_:into:)`` does not write.
    package func decoded(_ text: ByteBuffer) -> ByteBuffer? {
        let bytes = text.readableBytesUInt8Span
        var count = bytes.count
        if self == .standard {
            guard count.isMultiple(of: 4) else { return nil }
            for _ in 0..<2 where count > 0 && bytes[count - 1] == UInt8(ascii: "=") { count -= 1 }
        }
        guard count % 4 != 1 else { return nil }
        var decoded = ByteBuffer()
        decoded.reserveCapacity(count / 4 * 3 + 2)
        var pending: UInt32 = 0
        var bits: UInt32 = 0
        for index in 0..<count {
            guard let value = self.value(of: bytes[index]) else { return nil }
            pending = pending << 6 | value
            bits += 6
            guard bits >= 8 else { continue }
            bits -= 8
            decoded.writeInteger(UInt8(truncatingIfNeeded: pending >> bits))
            pending &= 1 << bits - 1
        }
        return pending == 0 ? decoded : nil
    }

    private func value(of letter: UInt8) -> UInt32? {
        switch letter {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(letter - UInt8(ascii: "A"))
        case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(letter - UInt8(ascii: "a")) + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(letter - UInt8(ascii: "0")) + 52
        case UInt8(ascii: "+") where self == .standard, UInt8(ascii: "-") where self == .url: 62
        case UInt8(ascii: "/") where self == .standard, UInt8(ascii: "_") where self == .url: 63
        default: nil
        }
    }
}
