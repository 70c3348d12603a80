import Foundation

/// What the documents say about the tree, so that a test can hold them against it.
enum Documents {
    /// The API a handler's file serves, and its versions, from `/// Name (key): …` and `static let versions`.
    static func servedVersions(of file: SourceFile) -> (api: String, versions: String)? {
        guard file.path.hasPrefix("Sources/KafkaDoor/Handlers/"), file.name.hasSuffix("Handler.swift"),
            let line = file.lines.first(where: { $0.contains("static let versions: ClosedRange<Int16> = ") }),
            let range = line.split(separator: "=").last
        else { return nil }
        let bounds = range.split(separator: ".").map { $0.filter(\.isNumber) }
        guard let low = bounds.first, let high = bounds.last else { return nil }
        return (String(file.name.dropLast("Handler.swift".count)), low == high ? low : "\(low)–\(high)")
    }

    /// The rows `| key | API | versions | …` of a page.
    static func toldVersions(in page: String) -> [String: String] {
        var told: [String: String] = [:]
        for line in page.split(separator: "\n") {
            let cells = line.split(separator: "|").map { $0.filter { !$0.isWhitespace } }
            if cells.count >= 3, Int(cells[0]) != nil, cells[2].first?.isNumber == true { told[cells[1]] = cells[2] }
        }
        return told
    }

    /// Paths in backticks that begin with a folder of this package.
    static func paths(in page: String) -> [String] {
        let folders = ["Sources/", "Tests/", "docs/", "Drills/", "Conformance/", "Fuzz/", "Benchmarks/", ".ci/"]
        return page.split(separator: "`", omittingEmptySubsequences: false).enumerated().compactMap { index, piece in
            guard index % 2 == 1, folders.contains(where: { piece.hasPrefix($0) }) else { return nil }
            let path = piece.prefix { !$0.isWhitespace && $0 != ":" }
            return path.contains("…") || path.contains("<") ? nil : String(path)
        }
    }

    /// The texts up to the next quotation mark behind each `mark`.
    static func quoted(in text: String, behind mark: String) -> [String] {
        text.components(separatedBy: mark).dropFirst().map { String($0.prefix { $0 != "\"" }) }
    }
}
