/// Reads a regular expression of the syntax that RE2 takes: what Kafka's own coordinator uses for subscriptions.
///
/// Taken: literals, `.`, classes with ranges, negation, `[:alpha:]` and `\d \s \w` inside, escapes (`\t`, `\x7F`,
/// `\x{7F}`, octal, `\Q…\E`), `|`, groups (plain, `(?:`, named), `* + ? {n} {n,} {n,m}` and their lazy forms (which
/// match the same names), `^ $ \A \z \b \B`, flags `i m s U`, and `\p{…}` for the classes that ASCII has. Refused, as
/// in RE2: look-around, back references, `a**`, repeats over 1,000. Characters that no topic name can have are
/// understood and match nothing.
///
/// Total: whatever the text, the end is a tree or an error. Nesting is bounded, so is the depth of the recursion.
struct PatternParser {
    struct Flags {
        var ignoresCase = false
        var isMultiline = false
        var dotTakesNewline = false
    }

    static let repeatsMax = 1000
    static let depthMax = 64

    private(set) var rest: ArraySlice<Unicode.Scalar>
    var flags = Flags()
    private var depth = 0
    private var names: Set<String> = []

    init(_ text: String) { self.rest = ArraySlice(text.unicodeScalars) }

    static func parse(_ text: String) throws(PatternError) -> PatternNode {
        var parser = PatternParser(text)
        let node = try parser.alternatives()
        guard parser.rest.isEmpty else { throw PatternError("a ) without its (") }
        return node
    }

    // MARK: Reading

    var peek: Unicode.Scalar? { self.rest.first }

    mutating func next() -> Unicode.Scalar? { self.rest.popFirst() }

    mutating func take(_ wanted: String) -> Bool {
        guard self.rest.starts(with: wanted.unicodeScalars) else { return false }
        self.rest = self.rest.dropFirst(wanted.unicodeScalars.count)
        return true
    }

    mutating func skip(_ count: Int) { self.rest = self.rest.dropFirst(count) }

    // MARK: Grammar

    private mutating func alternatives() throws(PatternError) -> PatternNode {
        var branches = [try self.sequence()]
        while self.take("|") { branches.append(try self.sequence()) }
        return branches.count == 1 ? branches[0] : .alternatives(branches)
    }

    private mutating func sequence() throws(PatternError) -> PatternNode {
        var items: [PatternNode] = []
        while let scalar = self.peek, scalar != "|", scalar != ")" {
            if self.take(#"\Q"#) {
                // A repetition behind a quotation belongs to its last character.
                var quoted = self.quotation()
                if let last = quoted.popLast() { quoted.append(try self.repetition(of: last)) }
                items += quoted
            } else if self.takesFlags() {
                try self.setFlags()
            } else {
                items.append(try self.repetition(of: try self.atom()))
            }
        }
        return items.isEmpty ? .empty : items.count == 1 ? items[0] : .sequence(items)
    }

    private mutating func quotation() -> [PatternNode] {
        var items: [PatternNode] = []
        while !self.rest.isEmpty, !self.take(#"\E"#) {
            if let scalar = self.next() { items.append(self.literal(scalar)) }
        }
        return items
    }

    private mutating func repetition(of atom: PatternNode) throws(PatternError) -> PatternNode {
        guard let (min, max) = try self.takeRepeat() else { return atom }
        _ = self.take("?")
        guard try self.takeRepeat() == nil else { throw PatternError("a repetition of a repetition") }
        return .repeated(atom, min: min, max: max)
    }

    private mutating func takeRepeat() throws(PatternError) -> (min: Int, max: Int?)? {
        if self.take("*") { return (0, nil) }
        if self.take("+") { return (1, nil) }
        if self.take("?") { return (0, 1) }
        // A brace that is no repetition is a brace.
        guard self.peek == "{", let end = self.rest.firstIndex(of: "}") else { return nil }
        let parts = self.rest[(self.rest.startIndex + 1)..<end].split(separator: ",", omittingEmptySubsequences: false)
        guard let first = parts.first, parts.count <= 2, Self.isNumber(first),
            parts.count == 1 || parts[1].isEmpty || Self.isNumber(parts[1])
        else { return nil }
        let min = Self.number(first)
        let max = parts.count == 1 ? min : parts[1].isEmpty ? nil : Self.number(parts[1])
        guard min <= Self.repeatsMax, (max ?? min) <= Self.repeatsMax else {
            throw PatternError("more than \(Self.repeatsMax) repetitions")
        }
        guard (max ?? min) >= min else { throw PatternError("a repetition that ends before it begins") }
        self.rest = self.rest[(end + 1)...]
        return (min, max)
    }

    private static func isNumber(_ digits: ArraySlice<Unicode.Scalar>) -> Bool {
        !digits.isEmpty && digits.allSatisfy { ("0"..."9").contains($0) }
    }

    /// Anything above the limit counts as just above it.
    private static func number(_ digits: ArraySlice<Unicode.Scalar>) -> Int {
        digits.reduce(0) { min($0 * 10 + Int($1.value - 48), Self.repeatsMax + 1) }
    }

    private mutating func atom() throws(PatternError) -> PatternNode {
        guard let scalar = self.next() else { return .empty }
        switch scalar {
        case "*", "+", "?": throw PatternError("a repetition of nothing")
        case ".": return .set(self.flags.dotTakesNewline ? .all : AsciiSet.newline.inverted)
        case "^": return .assertion(self.flags.isMultiline ? .lineStart : .textStart)
        case "$": return .assertion(self.flags.isMultiline ? .lineEnd : .textEnd)
        case "[": return .set(try self.characterClass())
        case "(": return try self.group()
        case #"\"#: return try self.escape()
        default: return self.literal(scalar)
        }
    }

    func literal(_ scalar: Unicode.Scalar) -> PatternNode { .set(self.cased(AsciiSet(scalar...scalar))) }

    /// Both cases where the flag says so.
    func cased(_ set: AsciiSet) -> AsciiSet { self.flags.ignoresCase ? set.caseless : set }

    // MARK: Groups and flags

    private mutating func group() throws(PatternError) -> PatternNode {
        self.depth += 1
        guard self.depth <= Self.depthMax else { throw PatternError("more than \(Self.depthMax) groups in each other") }
        let outside = self.flags
        if self.take("?") { try self.groupHead() }
        let node = try self.alternatives()
        guard self.take(")") else { throw PatternError("a ( without its )") }
        self.flags = outside
        self.depth -= 1
        return node
    }

    private mutating func groupHead() throws(PatternError) {
        if self.take("P<") || (self.peek == "<" && !self.isLookBehind && self.take("<")) {
            let name = self.rest.prefix { $0 != ">" }
            self.skip(name.count)
            guard self.take(">"), !name.isEmpty, name.allSatisfy(Self.isWord) else {
                throw PatternError("a group's name that is none")
            }
            guard self.names.insert(String(String.UnicodeScalarView(name))).inserted else {
                throw PatternError("two groups of one name")
            }
            return
        }
        try self.readFlags(until: ":")
    }

    private static func isWord(_ scalar: Unicode.Scalar) -> Bool {
        scalar.value < 128 && AsciiSet.word.contains(UInt8(scalar.value))
    }

    private var isLookBehind: Bool {
        let second = self.rest.dropFirst().first
        return second == "=" || second == "!"
    }

    /// `(?i)`: flags for the rest of the group it stands in.
    private func takesFlags() -> Bool {
        guard self.rest.starts(with: "(?".unicodeScalars) else { return false }
        let behind = self.rest.dropFirst(2).drop { "imsU-".unicodeScalars.contains($0) }
        return behind.first == ")"
    }

    private mutating func setFlags() throws(PatternError) {
        self.skip(2)
        try self.readFlags(until: ")")
        guard try self.takeRepeat() == nil else { throw PatternError("a repetition of nothing") }
    }

    private mutating func readFlags(until end: Unicode.Scalar) throws(PatternError) {
        var isOn = true
        var isEmpty = false
        while let scalar = self.next() {
            if scalar == end {
                guard !isEmpty else { break }
                return
            }
            isEmpty = false
            switch scalar {
            case "i": self.flags.ignoresCase = isOn
            case "m": self.flags.isMultiline = isOn
            case "s": self.flags.dotTakesNewline = isOn
            // Which repetition is lazy changes nothing about what matches as a whole.
            case "U": break
            case "-" where isOn:
                isOn = false
                isEmpty = true
            default: throw PatternError("(?\(scalar) is not supported")
            }
        }
        throw PatternError("flags that do not end")
    }
}

/// Why a pattern is none.
package struct PatternError: Error, Hashable, Sendable {
    package var reason: String

    init(_ reason: String) { self.reason = reason }
}
