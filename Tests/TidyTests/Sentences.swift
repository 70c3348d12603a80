/// Tests are sentences: a name that says what holds, so that a failure reads as what broke.
enum Sentences {
    static func findings(in file: SourceFile) -> [Finding] {
        guard file.isTest else { return [] }
        return file.words.compactMap { word in
            guard word.text == "Test", word.before == UInt8(ascii: "@") else { return nil }
            let rest = file.text.utf8.dropFirst(word.end)
            guard let name = self.displayName(in: rest) ?? self.rawName(in: rest) else {
                return Finding(path: file.path, line: word.line, rule: "a test without a sentence for a name")
            }
            guard !name.contains(" ") else { return nil }
            return Finding(path: file.path, line: word.line, rule: "\"\(name)\" is not a sentence")
        }
    }

    /// The first argument of `@Test("…")`.
    private static func displayName(in rest: Substring.UTF8View) -> String? {
        let inside = rest.drop { $0.isWhite }
        guard inside.first == .open else { return nil }
        let argument = inside.dropFirst().drop { $0.isWhite }
        guard argument.first == .quote else { return nil }
        return String(argument.dropFirst().prefix { $0 != .quote })
    }

    /// The name of a function written in backticks.
    private static func rawName(in rest: Substring.UTF8View) -> String? {
        let head = rest.prefix { $0 != .openBrace }
        guard let first = head.firstIndex(of: UInt8(ascii: "`")) else { return nil }
        return String(head[head.index(after: first)...].prefix { $0 != UInt8(ascii: "`") })
    }
}
