import ApusCore

/// JSON (RFC 8259) as far as tokens and key sets need it, read strictly.
///
/// Two readers that differ on one text are how forged tokens pass: of two members with one name one reader takes the
/// first, another the last. So a second member of a name is an error here, and so is anything else that some readers
/// forgive: comments, spare commas, odd numbers, half surrogates, text behind the end, bytes that are not UTF-8. Total,
/// and bounded in depth; the caller bounds the length.
enum JSON: Hashable {
    case null
    case bool(Bool)
    case number(Double)
    case string(ExactText)
    case array([JSON])
    case object([ExactText: JSON])

    /// Nil for anything that is not exactly one value.
    init?(_ bytes: some Collection<UInt8>) {
        guard String(validating: bytes, as: UTF8.self) != nil else { return nil }
        var parser = JSONParser(rest: Array(bytes)[...])
        guard let value = parser.value(depth: 0) else { return nil }
        parser.skipBlanks()
        guard parser.rest.isEmpty else { return nil }
        self = value
    }

    var text: ExactText? { if case .string(let text) = self { text } else { nil } }
    var number: Double? { if case .number(let number) = self { number } else { nil } }
    var array: [JSON]? { if case .array(let values) = self { values } else { nil } }
    var object: [ExactText: JSON]? { if case .object(let members) = self { members } else { nil } }
}

private struct JSONParser {
    var rest: ArraySlice<UInt8>

    mutating func value(depth: Int) -> JSON? {
        guard depth < Limits.jsonDepthMax else { return nil }
        self.skipBlanks()
        switch self.rest.first {
        case UInt8(ascii: "{"): return self.object(depth: depth)
        case UInt8(ascii: "["): return self.array(depth: depth)
        case UInt8(ascii: "\""): return self.string().map { .string($0) }
        case UInt8(ascii: "t"): return self.take("true") ? .bool(true) : nil
        case UInt8(ascii: "f"): return self.take("false") ? .bool(false) : nil
        case UInt8(ascii: "n"): return self.take("null") ? .null : nil
        default: return self.number()
        }
    }

    mutating func skipBlanks() {
        self.rest = self.rest.drop { $0 == 0x20 || $0 == 0x0A || $0 == 0x0D || $0 == 0x09 }
    }

    private mutating func take(_ text: String) -> Bool {
        guard self.rest.starts(with: text.utf8) else { return false }
        self.rest = self.rest.dropFirst(text.utf8.count)
        return true
    }

    /// The members or elements up to the closing mark, each read by `element`.
    private mutating func list(closing: String, _ element: (inout Self) -> Bool) -> Bool {
        self.rest = self.rest.dropFirst()
        self.skipBlanks()
        if self.take(closing) { return true }
        while true {
            guard element(&self) else { return false }
            self.skipBlanks()
            if self.take(closing) { return true }
            guard self.take(",") else { return false }
        }
    }

    private mutating func array(depth: Int) -> JSON? {
        var values: [JSON] = []
        let isWhole = self.list(closing: "]") { parser in
            guard let value = parser.value(depth: depth + 1) else { return false }
            values.append(value)
            return true
        }
        return isWhole ? .array(values) : nil
    }

    private mutating func object(depth: Int) -> JSON? {
        var members: [ExactText: JSON] = [:]
        let isWhole = self.list(closing: "}") { parser in
            parser.skipBlanks()
            guard parser.rest.first == UInt8(ascii: "\""), let name = parser.string() else { return false }
            parser.skipBlanks()
            guard parser.take(":"), let value = parser.value(depth: depth + 1) else { return false }
            return members.updateValue(value, forKey: name) == nil
        }
        return isWhole ? .object(members) : nil
    }

    private mutating func string() -> ExactText? {
        self.rest = self.rest.dropFirst()
        var text: [UInt8] = []
        while let byte = self.rest.popFirst() {
            switch byte {
            case UInt8(ascii: "\""): return String(validating: text, as: UTF8.self).map { ExactText($0) }
            case UInt8(ascii: "\\"):
                guard let scalar = self.escaped() else { return nil }
                text.append(contentsOf: Character(scalar).utf8)
            case 0..<0x20: return nil
            default: text.append(byte)
            }
        }
        return nil
    }

    private mutating func escaped() -> Unicode.Scalar? {
        switch self.rest.popFirst() {
        case UInt8(ascii: "\""): "\""
        case UInt8(ascii: "\\"): "\\"
        case UInt8(ascii: "/"): "/"
        case UInt8(ascii: "b"): "\u{8}"
        case UInt8(ascii: "f"): "\u{c}"
        case UInt8(ascii: "n"): "\n"
        case UInt8(ascii: "r"): "\r"
        case UInt8(ascii: "t"): "\t"
        case UInt8(ascii: "u"): self.codePoint()
        default: nil
        }
    }

    private mutating func codePoint() -> Unicode.Scalar? {
        guard let first = self.hexDigits() else { return nil }
        guard (0xD800...0xDBFF).contains(first) else { return Unicode.Scalar(first) }
        guard self.take("\\u"), let second = self.hexDigits(), (0xDC00...0xDFFF).contains(second) else { return nil }
        return Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00))
    }

    private mutating func hexDigits() -> UInt32? {
        let digits = self.rest.prefix(4)
        guard digits.count == 4 else { return nil }
        self.rest = self.rest.dropFirst(4)
        var value: UInt32 = 0
        for digit in digits {
            guard let nibble = Character(Unicode.Scalar(digit)).hexDigitValue else { return nil }
            value = value << 4 | UInt32(nibble)
        }
        return value
    }

    private mutating func number() -> JSON? {
        var text: [UInt8] = []
        func digits(_ parser: inout Self) -> Int {
            let run = parser.rest.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
            text.append(contentsOf: run)
            parser.rest = parser.rest.dropFirst(run.count)
            return run.count
        }
        if self.take("-") { text.append(UInt8(ascii: "-")) }
        let startsWithZero = self.rest.first == UInt8(ascii: "0")
        let whole = digits(&self)
        guard whole == 1 || (whole > 1 && !startsWithZero) else { return nil }
        if self.take(".") {
            text.append(UInt8(ascii: "."))
            guard digits(&self) > 0 else { return nil }
        }
        if self.take("e") || self.take("E") {
            text.append(UInt8(ascii: "e"))
            if self.take("-") { text.append(UInt8(ascii: "-")) } else { _ = self.take("+") }
            guard digits(&self) > 0 else { return nil }
        }
        guard let number = Double(String(decoding: text, as: UTF8.self)), number.isFinite else { return nil }
        return .number(number)
    }
}
