import Foundation

/// One Swift file of the tree, as the checks see it: the text, and the same text with comments and strings blanked.
struct SourceFile: Sendable {
    /// Path below the root of the package, such as `Sources/ApusLog/Log.swift`.
    let path: String
    let text: String
    /// `text` with every comment and every string's content replaced by spaces; line breaks kept.
    let code: [UInt8]
    let words: [Word]

    init(path: String, text: String) {
        self.path = path
        self.text = text
        self.code = blanked(Array(text.utf8))
        self.words = tidyWords(in: self.code)
    }

    var name: String { self.path.split(separator: "/").last.map(String.init) ?? self.path }
    var folder: String { self.path.split(separator: "/").dropFirst().first.map(String.init) ?? "" }
    var isTest: Bool { self.path.hasPrefix("Tests/") }
    var lines: [Substring] { self.text.split(separator: "\n", omittingEmptySubsequences: false) }

    /// Generated files say so in their first three lines.
    var isGenerated: Bool {
        self.text.split(separator: "\n").prefix(3).contains { $0.localizedCaseInsensitiveContains("do not edit") }
    }
}

/// An identifier or keyword of the code, with what stands around it.
struct Word: Sendable, Equatable {
    let text: String
    /// Counted from 1.
    let line: Int
    /// Index of the first byte after the word.
    let end: Int
    /// The nearest byte on either side that is not white space; 0 at the ends of the file.
    let before: UInt8
    let after: UInt8
    /// The byte right behind the word, white space included; 0 at the end.
    let touching: UInt8
}

/// A broken rule, where, and which.
struct Finding: Sendable, Equatable, CustomStringConvertible {
    let path: String
    let line: Int
    let rule: String

    var description: String { "\(self.path):\(self.line): \(self.rule)" }
}

/// The Swift files of this package.
enum Tree {
    static let root = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    static let files: [SourceFile] = ["Sources", "Tests"].flatMap { swiftFiles(below: $0) }
    static let sources: [SourceFile] = files.filter { !$0.isTest }
    static let handwritten: [SourceFile] = files.filter { !$0.isGenerated }

    static func text(of path: String) throws -> String {
        try String(contentsOf: self.root.appendingPathComponent(path), encoding: .utf8)
    }

    static func holds(_ path: String) -> Bool {
        FileManager.default.fileExists(atPath: self.root.appendingPathComponent(path).path)
    }

    private static func swiftFiles(below folder: String) -> [SourceFile] {
        let top = self.root.appendingPathComponent(folder)
        guard let walk = FileManager.default.enumerator(at: top, includingPropertiesForKeys: nil) else { return [] }
        let paths = walk.compactMap { ($0 as? URL)?.path }.filter { $0.hasSuffix(".swift") }.sorted()
        return paths.compactMap { path in
            guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { return nil }
            return SourceFile(path: String(path.dropFirst(self.root.path.count + 1)), text: text)
        }
    }
}
