package import ApusCore

/// A text with `{{…}}` in it, as `apus pub --template` takes it.
///
/// | token | becomes |
/// |---|---|
/// | `{{count}}` | 1 for the first record, then 2 … |
/// | `{{time}}` | the time of day, `10:00:00` (UTC) |
/// | `{{timestamp}}` | date and time, `2026-11-20T10:00:00.000Z` |
/// | `{{unix}}`, `{{unixms}}` | seconds, milliseconds since 1970 |
/// | `{{id}}` | 16 random letters and digits |
/// | `{{random 10 20}}` | 10 to 20 random letters and digits |
///
/// Capitals, and a dot in front as `nats pub` has it, make no difference.
package struct RecordTemplate: Hashable, Sendable {
    /// Most random characters of one token.
    private static let randomCharactersMax = 1_048_576
    private static let idCharacters = 16
    private static let alphabet = Array("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")

    private enum Piece: Hashable {
        case text(String)
        case count, time, timestamp, unix, unixMilliseconds
        case random(ClosedRange<Int>)
    }

    private var pieces: [Piece] = []

    package init(_ text: String) throws(CommandFailure) {
        var rest = text[...]
        while let open = rest.firstRange(of: "{{") {
            if open.lowerBound > rest.startIndex { self.pieces.append(.text(String(rest[..<open.lowerBound]))) }
            rest = rest[open.upperBound...]
            guard let close = rest.firstRange(of: "}}") else {
                throw .usage("\"\(text)\" has a {{ without its }}", next: "without --template braces are just braces")
            }
            self.pieces.append(try Self.piece(rest[..<close.lowerBound]))
            rest = rest[close.upperBound...]
        }
        if !rest.isEmpty { self.pieces.append(.text(String(rest))) }
    }

    private static func piece(_ token: Substring) throws(CommandFailure) -> Piece {
        var words = token.lowercased().split(separator: " ")
        if let first = words.first, first.first == "." { words[0] = first.dropFirst() }
        switch (words.first, words.count) {
        case ("count", 1), ("cnt", 1): return .count
        case ("time", 1): return .time
        case ("timestamp", 1): return .timestamp
        case ("unix", 1): return .unix
        case ("unixms", 1): return .unixMilliseconds
        case ("id", 1): return .random(Self.idCharacters...Self.idCharacters)
        case ("random", 3):
            guard let low = Int(words[1]), let high = Int(words[2]), low >= 0, low <= high,
                high <= Self.randomCharactersMax
            else { fallthrough }
            return .random(low...high)
        default:
            throw .usage(
                "{{\(token)}} is not known",
                next: "use {{count}} {{time}} {{timestamp}} {{unix}} {{unixms}} {{id}} or {{random 10 20}}")
        }
    }

    /// - Parameter count: which record it is, from 1.
    package func rendered(
        count: Int, at now: Timestamp, using generator: inout some RandomNumberGenerator
    ) -> String {
        var text = ""
        for piece in self.pieces {
            switch piece {
            case .text(let part): text += part
            case .count: text += String(count)
            case .time: text += CivilTime(now).time
            case .timestamp: text += CivilTime(now).text
            case .unix: text += CivilTime(now).formatted("%s", now)
            case .unixMilliseconds: text += String(now.rawValue)
            case .random(let lengths):
                for _ in 0..<Int.random(in: lengths, using: &generator) {
                    text.append(Self.alphabet[Int.random(in: Self.alphabet.indices, using: &generator)])
                }
            }
        }
        return text
    }
}
