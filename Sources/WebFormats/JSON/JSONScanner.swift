import ApusCore
import NIOCore

/// Finds the end of a JSON value (RFC 8259) and says whether it is one, without building anything.
///
/// A record's value that is JSON goes to every client as the bytes it came as. That is safe only if every reader takes
/// those bytes for one value: an unclosed brace in it would swallow the rest of the push. So this is strict: no
/// comments, no spare commas, no odd numbers, no half surrogates, nothing but UTF-8. It walks, it does not recurse; the
/// levels above the present one are bits of one word.
///
/// What it lets through untouched: numbers of any size (a reader may round them, as it may round the producer's own),
/// and members of one name below the levels that we read ourselves.
struct JSONScanner {
    /// The byte that is looked at next.
    private(set) var position: Int
    /// Whether a line break was passed between two tokens. Strings hold none; so a value without is one line.
    private(set) var breaksLines = false

    private static let openBrace = UInt8(ascii: "{")
    private static let closeBrace = UInt8(ascii: "}")
    private static let openBracket = UInt8(ascii: "[")
    private static let closeBracket = UInt8(ascii: "]")
    private static let quote = UInt8(ascii: "\"")
    private static let backslash = UInt8(ascii: "\\")
    private static let comma = UInt8(ascii: ",")
    private static let colon = UInt8(ascii: ":")

    init(at position: Int = 0) {
        self.position = position
    }

    mutating func skipBlanks(_ bytes: Span<UInt8>) {
        while self.position < bytes.count {
            switch bytes[self.position] {
            case 0x20, 0x09: break
            case 0x0A, 0x0D: self.breaksLines = true
            default: return
            }
            self.position += 1
        }
    }

    /// Moves past `byte` if it is next.
    mutating func take(_ byte: UInt8, _ bytes: Span<UInt8>) -> Bool {
        guard self.position < bytes.count, bytes[self.position] == byte else { return false }
        self.position += 1
        return true
    }

    /// Moves past `byte`, which must be next.
    mutating func expect(_ byte: UInt8, _ bytes: Span<UInt8>) throws(JSONFault) {
        guard self.take(byte, bytes) else { throw self.surprise(bytes) }
    }

    /// Moves past the value that begins here, behind no blanks. ``breaksLines`` is that value's own afterwards.
    mutating func value(_ bytes: Span<UInt8>) throws(JSONFault) -> JSONKind {
        self.breaksLines = false
        let kind = try self.kind(bytes)
        // The lowest bit says whether the innermost level is an object; the next the one around it.
        var objects: UInt64 = 0
        var depth = 0
        repeat {
            switch try self.kind(bytes) {
            case .object:
                try self.open(&depth, bytes)
                objects = objects << 1 | 1
                guard self.take(Self.closeBrace, bytes) else {
                    try self.name(bytes)
                    continue
                }
                (depth, objects) = (depth - 1, objects >> 1)
            case .array:
                try self.open(&depth, bytes)
                objects <<= 1
                guard self.take(Self.closeBracket, bytes) else { continue }
                (depth, objects) = (depth - 1, objects >> 1)
            case .string: try self.string(bytes)
            case .number: try self.number(bytes)
            case .null, .boolean: try self.literal(bytes)
            }
            try self.closeLevels(&depth, &objects, bytes)
        } while depth > 0
        return kind
    }

    /// Moves past a string, from quote to quote.
    mutating func string(_ bytes: Span<UInt8>) throws(JSONFault) {
        try self.expect(Self.quote, bytes)
        while self.position < bytes.count {
            switch bytes[self.position] {
            case Self.quote:
                self.position += 1
                return
            case Self.backslash: try self.escape(bytes)
            case 0..<0x20: throw .unexpected(at: self.position)
            case 0x20..<0x80: self.position += 1
            default:
                guard let length = UTF8Text.scalarByteCount(bytes, at: self.position) else {
                    throw .notUTF8(at: self.position)
                }
                self.position += length
            }
        }
        throw .truncated
    }
}

extension JSONScanner {
    /// What kind of value begins with the next byte.
    private func kind(_ bytes: Span<UInt8>) throws(JSONFault) -> JSONKind {
        guard self.position < bytes.count else { throw .truncated }
        switch bytes[self.position] {
        case Self.openBrace: return .object
        case Self.openBracket: return .array
        case Self.quote: return .string
        case UInt8(ascii: "t"), UInt8(ascii: "f"): return .boolean
        case UInt8(ascii: "n"): return .null
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number
        default: throw .unexpected(at: self.position)
        }
    }

    private mutating func open(_ depth: inout Int, _ bytes: Span<UInt8>) throws(JSONFault) {
        guard depth < Limits.edgeJSONDepthMax else { throw .tooDeep(at: self.position) }
        depth += 1
        self.position += 1
        self.skipBlanks(bytes)
    }

    /// Behind a value: closes every level that ends here, up to the next value or the end of the outermost.
    private mutating func closeLevels(
        _ depth: inout Int, _ objects: inout UInt64, _ bytes: Span<UInt8>
    ) throws(JSONFault) {
        while depth > 0 {
            let isObject = objects & 1 == 1
            self.skipBlanks(bytes)
            if self.take(Self.comma, bytes) {
                self.skipBlanks(bytes)
                if isObject { try self.name(bytes) }
                return
            }
            try self.expect(isObject ? Self.closeBrace : Self.closeBracket, bytes)
            (depth, objects) = (depth - 1, objects >> 1)
        }
    }

    /// A member's name with its colon, and the blanks in front of the value.
    private mutating func name(_ bytes: Span<UInt8>) throws(JSONFault) {
        try self.string(bytes)
        self.skipBlanks(bytes)
        try self.expect(Self.colon, bytes)
        self.skipBlanks(bytes)
    }

    private mutating func literal(_ bytes: Span<UInt8>) throws(JSONFault) {
        let word: StaticString
        switch bytes[self.position] {
        case UInt8(ascii: "t"): word = "true"
        case UInt8(ascii: "f"): word = "false"
        default: word = "null"
        }
        for index in 0..<word.utf8CodeUnitCount { try self.expect(word.utf8Start[index], bytes) }
    }

    /// `-`? digits without a leading zero, a fraction, an exponent.
    private mutating func number(_ bytes: Span<UInt8>) throws(JSONFault) {
        _ = self.take(UInt8(ascii: "-"), bytes)
        if !self.take(UInt8(ascii: "0"), bytes) { try self.digits(bytes) }
        if self.take(UInt8(ascii: "."), bytes) { try self.digits(bytes) }
        if self.take(UInt8(ascii: "e"), bytes) || self.take(UInt8(ascii: "E"), bytes) {
            if !self.take(UInt8(ascii: "-"), bytes) { _ = self.take(UInt8(ascii: "+"), bytes) }
            try self.digits(bytes)
        }
    }

    private mutating func digits(_ bytes: Span<UInt8>) throws(JSONFault) {
        let start = self.position
        while self.position < bytes.count, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[self.position]) {
            self.position += 1
        }
        guard self.position > start else { throw self.surprise(bytes) }
    }

    private mutating func escape(_ bytes: Span<UInt8>) throws(JSONFault) {
        let start = self.position
        guard bytes.count - start >= 2 else { throw .truncated }
        switch bytes[start + 1] {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            self.position = start + 2
        case UInt8(ascii: "u"):
            self.position = start + 2
            let unit = try self.hexDigits(bytes)
            if (0xDC00...0xDFFF).contains(unit) { throw .loneSurrogate(at: start) }
            guard (0xD800...0xDBFF).contains(unit) else { return }
            guard self.take(Self.backslash, bytes), self.take(UInt8(ascii: "u"), bytes) else {
                throw self.position < bytes.count ? .loneSurrogate(at: start) : .truncated
            }
            guard (0xDC00...0xDFFF).contains(try self.hexDigits(bytes)) else { throw .loneSurrogate(at: start) }
        default: throw .unexpected(at: start + 1)
        }
    }

    private mutating func hexDigits(_ bytes: Span<UInt8>) throws(JSONFault) -> UInt32 {
        var unit: UInt32 = 0
        for _ in 0..<4 {
            guard self.position < bytes.count, let digit = Hexadecimal.value(of: bytes[self.position]) else {
                throw self.surprise(bytes)
            }
            unit = unit << 4 | UInt32(digit)
            self.position += 1
        }
        return unit
    }

    private func surprise(_ bytes: Span<UInt8>) -> JSONFault {
        self.position < bytes.count ? .unexpected(at: self.position) : .truncated
    }
}
