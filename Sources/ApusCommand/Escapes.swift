/// The escapes of `-f`, `-D` and `-K`: `\n \r \t \0 \\ \xNN`.
package enum Escapes {
    /// The bytes that a text with escapes stands for.
    package static func bytes(_ text: String) throws(CommandFailure) -> [UInt8] {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "\\") else {
                bytes.append(byte)
                continue
            }
            guard let escaped = Self.escaped(&rest) else {
                throw .usage("\"\(text)\" has an unknown escape", next: #"use \n \r \t \0 \\ or \xNN"#)
            }
            bytes.append(escaped)
        }
        return bytes
    }

    /// Takes what follows a backslash; nil when it is none of the known escapes.
    static func escaped(_ rest: inout ArraySlice<UInt8>) -> UInt8? {
        switch rest.popFirst() {
        case UInt8(ascii: "n"): return UInt8(ascii: "\n")
        case UInt8(ascii: "r"): return UInt8(ascii: "\r")
        case UInt8(ascii: "t"): return UInt8(ascii: "\t")
        case UInt8(ascii: "0"): return 0
        case UInt8(ascii: "\\"): return UInt8(ascii: "\\")
        case UInt8(ascii: "x"):
            let digits = String(decoding: rest.prefix(2), as: UTF8.self)
            guard digits.utf8.count == 2, digits.first != "+", let byte = UInt8(digits, radix: 16) else { return nil }
            rest.removeFirst(2)
            return byte
        default: return nil
        }
    }
}
