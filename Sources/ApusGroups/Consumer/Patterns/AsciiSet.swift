/// A set of ASCII characters. Topic names have no others (`TopicName`), so a pattern needs no more.
struct AsciiSet: Hashable, Sendable {
    /// One bit for each of the codes 0 to 63, and 64 to 127.
    private var low: UInt64
    private var high: UInt64

    static let none = AsciiSet(low: 0, high: 0)
    static let all = AsciiSet(low: .max, high: .max)

    static let digits = AsciiSet("0"..."9")
    static let upper = AsciiSet("A"..."Z")
    static let lower = AsciiSet("a"..."z")
    static let letters = upper.union(lower)
    static let word = letters.union(digits).union(AsciiSet("_"..."_"))
    /// What `\s` is: no vertical tab.
    static let space = AsciiSet("\t\n\u{C}\r ")
    static let newline = AsciiSet("\n")
    static let punctuation = AsciiSet("!"..."/").union(AsciiSet(":"..."@")).union(AsciiSet("["..."`"))
        .union(AsciiSet("{"..."~"))

    private init(low: UInt64, high: UInt64) {
        self.low = low
        self.high = high
    }

    /// The ASCII characters of `range`; what lies beyond them is left out.
    init(_ range: ClosedRange<Unicode.Scalar>) {
        self = .none
        guard range.lowerBound.value < 128 else { return }
        for code in range.lowerBound.value...min(range.upperBound.value, 127) { self.insert(UInt8(code)) }
    }

    init(_ characters: String) {
        self = .none
        for byte in characters.utf8 where byte < 128 { self.insert(byte) }
    }

    private mutating func insert(_ code: UInt8) {
        if code < 64 { self.low |= 1 << UInt64(code) } else { self.high |= 1 << UInt64(code - 64) }
    }

    /// False for bytes that are no ASCII.
    @inline(__always)
    func contains(_ byte: UInt8) -> Bool {
        guard byte < 128 else { return false }
        return (byte < 64 ? self.low >> UInt64(byte) : self.high >> UInt64(byte - 64)) & 1 == 1
    }

    func union(_ other: AsciiSet) -> AsciiSet { AsciiSet(low: self.low | other.low, high: self.high | other.high) }

    var inverted: AsciiSet { AsciiSet(low: ~self.low, high: ~self.high) }

    func subtracting(_ other: AsciiSet) -> AsciiSet {
        AsciiSet(low: self.low & ~other.low, high: self.high & ~other.high)
    }

    /// With both cases of each letter that is in it.
    var caseless: AsciiSet {
        let letters = AsciiSet.letters
        // Upper case letters are 65 to 90, lower case ones 97 to 122: 32 apart, both in the high half.
        let found = self.high & letters.high
        return AsciiSet(low: self.low, high: self.high | ((found << 32 | found >> 32) & letters.high))
    }
}
