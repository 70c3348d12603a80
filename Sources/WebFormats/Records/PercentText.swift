import NIOCore

/// Percent-encoding (RFC 3986 section 2.1), as paths and queries have it.
package enum PercentText {
    /// The text that `encoded` stands for; nil when an escape is cut short or the bytes are not UTF-8.
    /// - Parameter isForm: `+` stands for a blank, as in a query.
    package static func decoded(_ encoded: some StringProtocol, isForm: Bool = false) -> String? {
        let bytes = Array(encoded.utf8)
        guard bytes.contains(UInt8(ascii: "%")) || (isForm && bytes.contains(UInt8(ascii: "+"))) else {
            return String(encoded)
        }
        var text = ByteBuffer()
        var index = 0
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "%") {
                guard bytes.count - index >= 3, let high = Hexadecimal.value(of: bytes[index + 1]),
                    let low = Hexadecimal.value(of: bytes[index + 2])
                else { return nil }
                text.writeInteger(high << 4 | low)
                index += 3
            } else {
                text.writeInteger(isForm && bytes[index] == UInt8(ascii: "+") ? UInt8(ascii: " ") : bytes[index])
                index += 1
            }
        }
        guard UTF8Text.holds(text) else { return nil }
        return String(buffer: text)
    }

    /// `text` so that it is one segment of a path and nothing else: letters, digits, `-`, `.`, `_` and `~` stand for
    /// themselves.
    package static func encoded(_ text: String) -> String {
        var encoded = ByteBuffer()
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                encoded.writeInteger(byte)
            default:
                encoded.writeInteger(UInt8(ascii: "%"))
                encoded.writeInteger(Hexadecimal.digit(of: byte >> 4))
                encoded.writeInteger(Hexadecimal.digit(of: byte))
            }
        }
        return String(buffer: encoded)
    }
}
