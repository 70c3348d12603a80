/// Bytes as text, RFC 4648 section 4, with padding.
package enum Base64 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    package static func encoded(_ bytes: some Sequence<UInt8>) -> String {
        var text: [UInt8] = []
        var held: UInt32 = 0
        var count = 0
        for byte in bytes {
            held = held << 8 | UInt32(byte)
            count += 1
            if count == 3 {
                for shift in [18, 12, 6, 0] { text.append(self.alphabet[Int(held >> shift & 63)]) }
                held = 0
                count = 0
            }
        }
        if count > 0 {
            held <<= 8 * UInt32(3 - count)
            for shift in [18, 12, 6, 0].prefix(count + 1) { text.append(self.alphabet[Int(held >> shift & 63)]) }
            for _ in count..<3 { text.append(UInt8(ascii: "=")) }
        }
        return String(decoding: text, as: UTF8.self)
    }
}
