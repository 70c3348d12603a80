/// Base64 (RFC 4648) that takes one spelling of each value: no blanks, no missing or spare padding, no other
/// alphabet's letters, no bits that belong to nothing. Two spellings of one signature are two tokens to a cache or a
/// log.
enum Base64 {
    case standard
    /// `-` and `_`, and no padding, as tokens use it (RFC 7515).
    case url

    private static let common = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789".utf8)

    /// The last two letters.
    private var letter62: UInt8 { self == .standard ? UInt8(ascii: "+") : UInt8(ascii: "-") }
    private var letter63: UInt8 { self == .standard ? UInt8(ascii: "/") : UInt8(ascii: "_") }

    func encoded(_ bytes: some Collection<UInt8>) -> [UInt8] {
        let letters = Self.common + [self.letter62, self.letter63]
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count + 2) / 3 * 4)
        var pending: UInt32 = 0
        var bits = 0
        for byte in bytes {
            pending = pending << 8 | UInt32(byte)
            bits += 8
            while bits >= 6 {
                bits -= 6
                text.append(letters[Int(pending >> UInt32(bits) & 63)])
            }
            pending &= 63
        }
        if bits > 0 { text.append(letters[Int(pending << UInt32(6 - bits) & 63)]) }
        if self == .standard { while !text.count.isMultiple(of: 4) { text.append(UInt8(ascii: "=")) } }
        return text
    }

    /// Nil for anything that ``encoded(_:)`` does not write.
    func decoded(_ text: some Collection<UInt8>) -> [UInt8]? {
        var letters = text[...]
        if self == .standard {
            guard letters.count.isMultiple(of: 4) else { return nil }
            letters = letters.dropLast(letters.suffix(2).count { $0 == UInt8(ascii: "=") })
        }
        guard letters.count % 4 != 1 else { return nil }
        var bytes: [UInt8] = []
        var pending: UInt32 = 0
        var bits = 0
        for letter in letters {
            guard let value = self.value(of: letter) else { return nil }
            pending = pending << 6 | value
            bits += 6
            guard bits >= 8 else { continue }
            bits -= 8
            bytes.append(UInt8(truncatingIfNeeded: pending >> UInt32(bits)))
            pending &= 1 << UInt32(bits) - 1
        }
        return pending == 0 ? bytes : nil
    }

    private func value(of letter: UInt8) -> UInt32? {
        switch letter {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(letter - UInt8(ascii: "A"))
        case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(letter - UInt8(ascii: "a")) + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(letter - UInt8(ascii: "0")) + 52
        case self.letter62: 62
        case self.letter63: 63
        default: nil
        }
    }
}
