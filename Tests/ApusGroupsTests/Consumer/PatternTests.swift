import ApusCore
import ApusFakes
import Testing

@testable import ApusGroups

@Suite("Patterns that subscribe to topics")
struct PatternTests {
    @Test(
        "a pattern matches whole names, as RE2 would",
        arguments: [
            ("orders", "orders", true), ("orders", "orders-eu", false), ("orders.*", "orders-eu", true),
            ("^orders-.*$", "orders-eu", true), (".*", "", true), ("", "", true), ("", "a", false),
            ("a|b|", "", true), ("a|b", "b", true), ("(a|b)+c?", "abba", true), ("(?:ab){2,3}", "abab", true),
            ("(?:ab){2,3}", "ab", false), ("(?:ab){2,3}", "abababab", false), ("a{2,}", "aaaa", true),
            ("a{2}", "aaa", false), ("a{,2}", "a{,2}", true), ("a{", "a{", true), ("x{0}y", "y", true),
            ("[a-c]+", "cab", true), ("[^a-c]+", "cab", false), ("[]a]+", "]a", true), ("[^]a]", "b", true),
            ("[a-]+", "a-", true), ("[-a]+", "-a", true), ("[a\\-c]+", "-", true), ("[a\\-c]+", "b", false),
            ("[[:alpha:]_]+[[:digit:]]", "ab_3", true), ("[[:^digit:]]+", "a1", false), ("[\\d_]+", "4_2", true),
            ("[^\\d]+", "42", false), ("\\w+\\.\\w+", "a_1.b", true), ("\\w+\\.\\w+", "a-b", false),
            ("\\Qa.b\\E+", "a.bbb", true), ("\\Qa.b", "axb", false), ("\\x61\\x{62}\\143", "abc", true),
            ("(?i)Orders", "oRDERS", true), ("(?i:O)rders", "ORDERS", false), ("(?i)[^a]", "A", false),
            ("(a(?i)b)c", "aBc", true), ("(a(?i)b)c", "aBC", false), ("(?P<name>a)(?<other>b)", "ab", true),
            ("\\Aab\\z", "ab", true), ("a\\b-\\bb", "a-b", true), ("a\\bb", "ab", false), ("a\\Bb", "ab", true),
            ("a*?b+?", "aabb", true), ("(?U)a+", "aaa", true), ("(?-s).", "a", true), ("(?s).+", "a-b", true),
            ("\\p{L}+\\pN", "ab1", true), ("\\P{L}", "a", false), ("\\p{^Lu}", "A", false), ("é|e", "e", true),
            ("[α-ω]", "a", false), ("[^α]", "a", true), ("()*a", "a", true), ("(a*)*", "aaa", true), ("^*a", "a", true),
            ("(|a)+b", "aab", true), ("\\/\\_\\-", "/_-", true), ("[a.c]", "b", false), ("$a", "a", false),
        ]
    )
    func matches(pattern: String, name: String, expected: Bool) throws {
        #expect(try TopicRegex(pattern).matches(name) == expected, "\(pattern) on \(name)")
    }

    @Test(
        "what RE2 refuses is refused",
        arguments: [
            "(", ")", "a)", "(a", "[", "[a", "[]", "[b-a]", "*", "+a", "?", "a**", "a+*", "a???", "a{2}{3}", "a{1001}",
            "a{3,2}", "\\", "\\1", "(a)\\1", "\\y", "\\8", "(?=a)", "(?!a)", "(?<=a)", "(?<!a)", "(?P<a>b)(?P<a>c)",
            "(?P<>b)", "(?P<a", "(?z)", "(?i", "(?-)", "\\p{Nonsense}", "\\p{L", "[[:nonsense:]]", "\\x", "\\xg0",
            "\\x{110000}", "\\x{", "[a-\\d]", "(?i)*", "\\E", "|*", "(*)", "[\\", "(?",
        ]
    )
    func refused(pattern: String) {
        #expect(throws: PatternError.self) { try TopicRegex(pattern) }
    }

    @Test(
        "patterns that make others go back and forth for ever take steps in proportion to the name",
        arguments: [
            "(a*)*b", "(a+)+", "(a|a)*b", "(a|aa)+b", "(.*)*(.*)*(.*)*x", "(a?){100}a{100}", "(([a-z]+)*)*!",
            "(x+x+)+y", "(.*a){20}", "((((((a*)*)*)*)*)*)*b",
        ]
    )
    func hostile(text: String) throws {
        let pattern = try TopicRegex(text)
        var matcher = PatternMatcher(pattern)
        let name = String(repeating: "a", count: Limits.topicNameCharactersMax)
        _ = matcher.matches(name)
        #expect(matcher.steps <= 3 * pattern.program.steps.count * (name.utf8.count + 1))
        #expect(pattern.program.steps.count <= Limits.topicPatternStepsMax)
    }

    @Test(
        "patterns that would grow without end are refused at once",
        arguments: [
            "((a{1000}){1000}){1000}", "(((){1000}){1000}){1000}", "(a{100}){100}", "(((a|b){100}){100}){100}",
            "((((((((((){9}){9}){9}){9}){9}){9}){9}){9}){9}){9}", String(repeating: "a", count: 1025),
            String(repeating: "(", count: 500) + String(repeating: ")", count: 500),
        ]
    )
    func tooLarge(text: String) {
        #expect(throws: PatternError.self) { try TopicRegex(text) }
    }

    @Test("random patterns match what a matcher that tries everything says", arguments: 0..<8)
    func agreesWithOracle(chunk: Int) throws {
        var matched = 0
        for seed in 0..<500 {
            var dice = SplitMix64(seed: UInt64(chunk * 500 + seed))
            let tree = OraclePattern.random(&dice, depth: 4)
            let pattern = try TopicRegex(tree.text)
            for _ in 0..<12 {
                let name = String((0..<dice.below(8)).map { _ in ["a", "b", "-"][dice.below(3)] as Character })
                let expected = tree.matches(name)
                matched += expected ? 1 : 0
                #expect(pattern.matches(name) == expected, "\(tree.text) on \(name)")
            }
        }
        // Of 6,000 tries; were it none, nothing would have been shown.
        #expect(matched > 300)
    }

    @Test("random text is a pattern or an error, and never more", arguments: 0..<4)
    func total(chunk: Int) {
        let pieces = [
            "(", ")", "[", "]", "{", "}", "*", "+", "?", "|", "\\", "^", "$", ".", "a", "b", "-", ",", "1", "9", ":",
            "Q",
            "E", "x", "p", "P", "<", ">", "?i", "(?", "[:alpha:]", "é", "\u{0}", "=", "!",
        ]
        var valid = 0
        for seed in 0..<4000 {
            var dice = SplitMix64(seed: UInt64(chunk * 4000 + seed))
            let text = (0..<dice.below(14)).map { _ in pieces[dice.below(pieces.count)] }.joined()
            guard let pattern = try? TopicRegex(text) else { continue }
            valid += 1
            _ = pattern.matches("a-b")
            _ = pattern.matches("")
        }
        #expect(valid > 100)
    }
}

/// A pattern with its own way to match: it tries everything, and goes back.
indirect enum OraclePattern {
    case character(Character)
    case any
    case oneOf([Character], isNegated: Bool)
    case both(OraclePattern, OraclePattern)
    case either(OraclePattern, OraclePattern)
    case times(OraclePattern, Int, Int?)
    case start
    case end

    static func random(_ dice: inout SplitMix64, depth: Int) -> OraclePattern {
        let letters: [Character] = ["a", "b", "-"]
        guard depth > 0 else { return .character(letters[dice.below(3)]) }
        switch dice.below(12) {
        case 0: return .any
        case 1: return .oneOf(letters.filter { _ in dice.isOne(in: 2) } + ["z"], isNegated: dice.isOne(in: 2))
        case 2, 3, 4: return .both(random(&dice, depth: depth - 1), random(&dice, depth: depth - 1))
        case 5, 6: return .either(random(&dice, depth: depth - 1), random(&dice, depth: depth - 1))
        case 7, 8, 9:
            let min = dice.below(3)
            return .times(random(&dice, depth: depth - 1), min, dice.isOne(in: 2) ? nil : min + dice.below(3))
        case 10: return dice.isOne(in: 4) ? .start : .end
        default: return .character(letters[dice.below(3)])
        }
    }

    var text: String {
        switch self {
        case .character(let character): return character == "-" ? "\\-" : String(character)
        case .any: return "."
        case .oneOf(let set, let isNegated):
            return "[\(isNegated ? "^" : "")\(set.map { $0 == "-" ? "\\-" : String($0) }.joined())]"
        case .both(let one, let other): return one.text + other.text
        case .either(let one, let other): return "(\(one.text)|\(other.text))"
        case .times(let item, 0, nil): return "(?:\(item.text))*"
        case .times(let item, 1, nil): return "(\(item.text))+"
        case .times(let item, 0, 1): return "(\(item.text))?"
        case .times(let item, let min, nil): return "(\(item.text)){\(min),}"
        case .times(let item, let min, let max?): return "(\(item.text)){\(min),\(max)}"
        case .start: return "^"
        case .end: return "$"
        }
    }

    func matches(_ name: String) -> Bool {
        let characters = Array(name)
        return self.match(characters, 0) { $0 == characters.count }
    }

    private func match(_ name: [Character], _ at: Int, _ rest: (Int) -> Bool) -> Bool {
        switch self {
        case .character(let character): return at < name.count && name[at] == character && rest(at + 1)
        case .any: return at < name.count && rest(at + 1)
        case .oneOf(let set, let isNegated):
            return at < name.count && set.contains(name[at]) != isNegated && rest(at + 1)
        case .both(let one, let other): return one.match(name, at) { other.match(name, $0, rest) }
        case .either(let one, let other): return one.match(name, at, rest) || other.match(name, at, rest)
        case .times(let item, let min, let max): return Self.repeated(item, min, max, name, at, rest)
        case .start: return at == 0 && rest(at)
        case .end: return at == name.count && rest(at)
        }
    }

    private static func repeated(
        _ item: OraclePattern, _ min: Int, _ max: Int?, _ name: [Character], _ at: Int, _ rest: (Int) -> Bool
    ) -> Bool {
        if min == 0, rest(at) { return true }
        if max == 0 { return false }
        return item.match(name, at) { next in
            // Going round without moving leads nowhere new, once all that had to be was.
            if next == at, min == 0 { return false }
            return self.repeated(item, Swift.max(min - 1, 0), max.map { $0 - 1 }, name, next, rest)
        }
    }
}
