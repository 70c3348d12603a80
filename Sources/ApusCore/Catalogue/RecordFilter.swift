/// Which records a subscription gets, by key and headers: values are opaque.
///
///     key ^= "eu-" and header.kind = "order" and not header.test
///
/// Conditions joined by `and`; each is `key` or `header.NAME`, alone (it is there), or with `=` (is) or `^=` (begins
/// with) and a text in double quotes, in which `\"` and `\\` stand for `"` and `\`. `not` in front turns a condition
/// round. No `or`, no brackets: what a subscription reads should be plain at a glance, and two subscriptions are cheap.
public struct RecordFilter: Hashable, Sendable {
    public enum Field: Hashable, Sendable {
        case key
        case header(String)
    }

    public enum Test: Hashable, Sendable {
        case isPresent
        case equals(String)
        case begins(with: String)
    }

    public struct Condition: Hashable, Sendable {
        public var isNegated: Bool
        public var field: Field
        public var test: Test

        public init(isNegated: Bool = false, field: Field, test: Test) {
            self.isNegated = isNegated
            self.field = field
            self.test = test
        }
    }

    public let text: String
    /// All of them must hold. 1 to `Limits.filterConditionsMax`.
    public let conditions: [Condition]

    public init(_ text: String) throws(InvalidField) {
        guard text.utf8.count <= Limits.filterBytesMax.rawValue else {
            throw InvalidField("filter", "at most \(Limits.filterBytesMax), this has \(text.utf8.count) B")
        }
        var parser = Parser(rest: Substring(text))
        self.conditions = try parser.conditions()
        self.text = text
    }
}

private struct Parser {
    var rest: Substring

    mutating func conditions() throws(InvalidField) -> [RecordFilter.Condition] {
        var conditions: [RecordFilter.Condition] = []
        repeat {
            guard conditions.count < Limits.filterConditionsMax else {
                throw InvalidField("filter", "at most \(Limits.filterConditionsMax) conditions")
            }
            conditions.append(try self.condition())
        } while self.take(word: "and")
        guard self.rest.isEmpty else { throw self.unexpected("'and' or the end") }
        return conditions
    }

    private mutating func condition() throws(InvalidField) -> RecordFilter.Condition {
        let isNegated = self.take(word: "not")
        let word = self.word()
        let field: RecordFilter.Field
        if word == "key" {
            field = .key
        } else if word.hasPrefix("header."), word.utf8.count > "header.".utf8.count {
            field = .header(String(word.dropFirst("header.".count)))
        } else {
            self.rest = word + self.rest
            throw self.unexpected("'key' or 'header.NAME'")
        }
        self.skipSpace()
        if self.take(sign: "^=") {
            return .init(isNegated: isNegated, field: field, test: .begins(with: try self.quoted()))
        }
        if self.take(sign: "=") { return .init(isNegated: isNegated, field: field, test: .equals(try self.quoted())) }
        return .init(isNegated: isNegated, field: field, test: .isPresent)
    }

    private mutating func quoted() throws(InvalidField) -> String {
        self.skipSpace()
        guard self.rest.unicodeScalars.first == "\"" else { throw self.unexpected("a text in double quotes") }
        self.rest.unicodeScalars.removeFirst()
        var text = String.UnicodeScalarView()
        while let scalar = self.rest.unicodeScalars.popFirst() {
            if scalar == "\"" { return String(text) }
            guard scalar == "\\" else {
                text.append(scalar)
                continue
            }
            guard let escaped = self.rest.unicodeScalars.popFirst(), escaped == "\"" || escaped == "\\" else {
                throw InvalidField("filter", "after '\\' comes '\"' or '\\'")
            }
            text.append(escaped)
        }
        throw InvalidField("filter", "a text in double quotes does not end")
    }

    /// Up to white space, a sign or a quote.
    private mutating func word() -> Substring {
        self.skipSpace()
        let end = self.rest.unicodeScalars.firstIndex { " \t\n\r=^\"()".unicodeScalars.contains($0) }
        let word = self.rest[..<(end ?? self.rest.endIndex)]
        self.rest = self.rest[word.endIndex...]
        return word
    }

    private mutating func take(word: String) -> Bool {
        let before = self.rest
        if self.word() == word { return true }
        self.rest = before
        return false
    }

    private mutating func take(sign: String) -> Bool {
        guard self.rest.unicodeScalars.starts(with: sign.unicodeScalars) else { return false }
        self.rest.unicodeScalars.removeFirst(sign.unicodeScalars.count)
        return true
    }

    private mutating func skipSpace() {
        self.rest = Substring(self.rest.unicodeScalars.drop { " \t\n\r".unicodeScalars.contains($0) })
    }

    private func unexpected(_ wanted: String) -> InvalidField {
        let place = self.rest.prefix(20)
        return InvalidField("filter", "expected \(wanted)" + (place.isEmpty ? " at the end" : " at '\(place)'"))
    }
}
