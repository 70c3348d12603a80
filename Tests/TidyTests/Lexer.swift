/// Just enough of Swift's lexical rules that a check never takes a comment or a string for code.
///
/// Comments nest; string literals may be raw (`#"…"#`), multi-line, and hold interpolations, whose inside is code.
func blanked(_ text: [UInt8]) -> [UInt8] {
    var lexer = BlankingLexer(text)
    lexer.code(untilClosingParenthesis: false)
    return lexer.output
}

private struct BlankingLexer {
    private let text: [UInt8]
    private var at = 0
    private(set) var output: [UInt8]

    init(_ text: [UInt8]) {
        self.text = text
        self.output = text
    }

    private func byte(_ ahead: Int = 0) -> UInt8 {
        self.at + ahead < self.text.count ? self.text[self.at + ahead] : 0
    }

    private mutating func blank(_ count: Int = 1) {
        for _ in 0..<count where self.at < self.text.count {
            if self.text[self.at] != .lineFeed { self.output[self.at] = .space }
            self.at += 1
        }
    }

    mutating func code(untilClosingParenthesis nested: Bool) {
        var depth = 0
        while self.at < self.text.count {
            switch (self.byte(), self.byte(1)) {
            case (.slash, .slash): while self.at < self.text.count, self.byte() != .lineFeed { self.blank() }
            case (.slash, .star): self.blockComment()
            case (.quote, _): self.string(hashes: 0)
            case (.hash, _):
                var hashes = 0
                while self.byte(hashes) == .hash { hashes += 1 }
                if self.byte(hashes) == .quote {
                    self.at += hashes
                    self.string(hashes: hashes)
                } else {
                    self.at += hashes
                }
            case (.open, _):
                depth += 1
                self.at += 1
            case (.close, _):
                if nested, depth == 0 { return }
                depth -= 1
                self.at += 1
            default: self.at += 1
            }
        }
    }

    private mutating func blockComment() {
        var depth = 0
        repeat {
            switch (self.byte(), self.byte(1)) {
            case (.slash, .star):
                depth += 1
                self.blank(2)
            case (.star, .slash):
                depth -= 1
                self.blank(2)
            default: self.blank()
            }
        } while depth > 0 && self.at < self.text.count
    }

    /// Stands on the first quote. Quotes stay, so that a call of a string literal still looks like a call.
    private mutating func string(hashes: Int) {
        let quotes = self.byte(1) == .quote && self.byte(2) == .quote ? 3 : 1
        self.at += quotes
        while self.at < self.text.count {
            if self.closes(quotes: quotes, hashes: hashes) {
                self.at += quotes + hashes
                return
            }
            if self.byte() == .backslash, (0..<hashes).allSatisfy({ self.byte(1 + $0) == .hash }) {
                if self.byte(1 + hashes) == .open {
                    self.blank(2 + hashes)
                    self.code(untilClosingParenthesis: true)
                    self.blank()
                } else {
                    self.blank(2 + hashes)
                }
            } else if quotes == 1, self.byte() == .lineFeed {
                return
            } else {
                self.blank()
            }
        }
    }

    private func closes(quotes: Int, hashes: Int) -> Bool {
        (0..<quotes).allSatisfy { self.byte($0) == .quote }
            && (0..<hashes).allSatisfy { self.byte(quotes + $0) == .hash }
    }
}

/// The identifiers and keywords of blanked code.
func tidyWords(in code: [UInt8]) -> [Word] {
    var words: [Word] = []
    var line = 1
    var at = 0
    var before: UInt8 = 0
    while at < code.count {
        guard code[at].isWordByte else {
            if code[at] == .lineFeed { line += 1 }
            if !code[at].isWhite { before = code[at] }
            at += 1
            continue
        }
        let start = at
        while at < code.count, code[at].isWordByte { at += 1 }
        let next = code[at...].first { !$0.isWhite } ?? 0
        words.append(
            Word(
                text: String(decoding: code[start..<at], as: UTF8.self), line: line, end: at, before: before,
                after: next, touching: at < code.count ? code[at] : 0
            )
        )
        before = code[at - 1]
    }
    return words
}

extension UInt8 {
    static let lineFeed = UInt8(ascii: "\n")
    static let space = UInt8(ascii: " ")
    static let slash = UInt8(ascii: "/")
    static let star = UInt8(ascii: "*")
    static let quote = UInt8(ascii: "\"")
    static let hash = UInt8(ascii: "#")
    static let backslash = UInt8(ascii: "\\")
    static let open = UInt8(ascii: "(")
    static let close = UInt8(ascii: ")")
    static let openBrace = UInt8(ascii: "{")
    static let closeBrace = UInt8(ascii: "}")
    static let bang = UInt8(ascii: "!")
    static let dot = UInt8(ascii: ".")

    var isWhite: Bool { self == .space || self == .lineFeed || self == UInt8(ascii: "\t") || self == 13 }
    var isWordByte: Bool {
        switch self {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), 128...: true
        default: false
        }
    }
}
