/// How long things may be, what files may be called, and what may not be left behind.
enum Shape {
    static let fileLinesMax = 500
    static let functionLinesMax = 60
    static let columnsMax = 120
    static let fileNamesBanned = [
        "Utils", "Util", "Helpers", "Helper", "Manager", "Misc", "Common", "Extensions", "Placeholder",
    ]

    static func findings(in file: SourceFile) -> [Finding] {
        self.length(of: file) + self.columns(of: file) + self.functions(of: file) + self.name(of: file)
            + self.leftovers(in: file) + self.proofs(in: file)
    }

    static func length(of file: SourceFile) -> [Finding] {
        let count = file.lines.count - (file.text.hasSuffix("\n") ? 1 : 0)
        guard count > self.fileLinesMax else { return [] }
        return [Finding(path: file.path, line: count, rule: "\(count) lines; a file has at most \(self.fileLinesMax)")]
    }

    static func columns(of file: SourceFile) -> [Finding] {
        file.lines.enumerated().compactMap { index, line in
            guard line.utf8.count > self.columnsMax, line.count > self.columnsMax else { return nil }
            return Finding(path: file.path, line: index + 1, rule: "\(line.count) columns; at most \(self.columnsMax)")
        }
    }

    /// From the line of `func`, `init`, `deinit` or `subscript` to its closing brace.
    static func functions(of file: SourceFile) -> [Finding] {
        file.words.compactMap { word in
            guard ["func", "init", "deinit", "subscript"].contains(word.text), word.before != .dot else { return nil }
            guard
                word.text == "func" || word.after == .open || word.after == .openBrace
                    || word.after == UInt8(ascii: "?")
            else { return nil }
            guard let open = self.bodyStart(after: word.end, in: file.code) else { return nil }
            let count = 1 + self.lineBreaks(in: file.code[word.end..<self.closing(open, in: file.code)])
            guard count > self.functionLinesMax else { return nil }
            let rule = "a function of \(count) lines; at most \(self.functionLinesMax)"
            return Finding(path: file.path, line: word.line, rule: rule)
        }
    }

    static func name(of file: SourceFile) -> [Finding] {
        let stem = file.name.dropLast(".swift".count)
        let parts = stem.split(separator: "+").map(String.init)
        let bad = self.fileNamesBanned.first { banned in parts.contains { $0 == banned || $0.hasSuffix(banned) } }
        return bad.map { [Finding(path: file.path, line: 1, rule: "a file named \($0) has no idea of its own")] } ?? []
    }

    /// Marks of unfinished work, in code and comments alike.
    static func leftovers(in file: SourceFile) -> [Finding] {
        let marks = ["FIX" + "ME", "TO" + "DO", "XX" + "X"]
        return file.lines.enumerated().compactMap { index, line in
            guard let mark = marks.first(where: { mark in self.standsAlone(mark, in: line) }) else { return nil }
            return Finding(path: file.path, line: index + 1, rule: "\(mark): finish it or make it an issue")
        }
    }

    /// What the compiler cannot check names its proof or benchmark on the line or in the comment above it.
    static func proofs(in file: SourceFile) -> [Finding] {
        let claims = ["@unchecked " + "Sendable", "nonisolated" + "(unsafe)", "unsafe" + "BitCast"]
        let lines = file.lines
        return lines.indices.compactMap { index in
            guard let claim = claims.first(where: { lines[index].contains($0) }) else { return nil }
            let around = lines[max(0, index - 6)...index]
            guard !around.contains(where: { $0.contains("//") }) else { return nil }
            return Finding(path: file.path, line: index + 1, rule: "\(claim) without a reason beside it")
        }
    }

    private static func standsAlone(_ mark: String, in line: Substring) -> Bool {
        line.split { !$0.isLetter && !$0.isNumber && $0 != "_" }.contains { $0 == mark }
    }

    /// The brace that opens the body of a function whose name ends at `start`; nil for a protocol's requirement.
    private static func bodyStart(after start: Int, in code: [UInt8]) -> Int? {
        var depth = 0
        var seen = false
        for index in start..<code.count {
            switch code[index] {
            case .open, UInt8(ascii: "["): depth += 1
            case .close, UInt8(ascii: "]"):
                depth -= 1
                seen = true
            case .openBrace where depth == 0: return index
            case .closeBrace where depth == 0: return nil
            case .lineFeed where depth == 0 && seen: if !self.continues(after: index, in: code) { return nil }
            default: break
            }
        }
        return nil
    }

    /// Whether a declaration's head goes on in the line that begins behind `index`.
    private static func continues(after index: Int, in code: [UInt8]) -> Bool {
        let rest = code[(index + 1)...].drop { $0.isWhite }
        guard let first = rest.first else { return false }
        if first == .openBrace || first == UInt8(ascii: "-") { return true }
        let word = String(decoding: rest.prefix { $0.isWordByte }, as: UTF8.self)
        return ["where", "throws", "async", "rethrows"].contains(word)
    }

    private static func closing(_ open: Int, in code: [UInt8]) -> Int {
        var depth = 0
        for index in open..<code.count {
            if code[index] == .openBrace { depth += 1 }
            if code[index] == .closeBrace {
                depth -= 1
                if depth == 0 { return index }
            }
        }
        return code.count
    }

    private static func lineBreaks(in code: ArraySlice<UInt8>) -> Int {
        code.reduce(0) { $0 + ($1 == .lineFeed ? 1 : 0) }
    }
}
