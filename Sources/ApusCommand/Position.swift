package import ApusCore

/// Where reading begins or ends: what `--from` and `--until` take.
///
/// | typed | means |
/// |---|---|
/// | `start`, `end` | the oldest record kept; behind the newest |
/// | `42` | offset 42, in each partition |
/// | `-100` | 100 records before the end, in each partition |
/// | `+5` | 5 records after the start, in each partition |
/// | `@2026-11-20T10:00` | the first record of that time or later (UTC unless a zone is given) |
/// | `@1763632800000` | the same, in milliseconds since 1970 |
/// | `@-2h` | two hours ago |
package enum Position: Hashable, Sendable {
    case start
    case end
    case offset(Offset)
    case beforeEnd(Int64)
    case afterStart(Int64)
    case time(Timestamp)
    case ago(Duration)

    package init(_ text: String) throws(CommandFailure) {
        switch text.first {
        case _ where text == "start": self = .start
        case _ where text == "end": self = .end
        case "@": self = try Self.moment(text.dropFirst(), of: text)
        case "-": self = .beforeEnd(try Self.count(text.dropFirst(), of: text))
        case "+": self = .afterStart(try Self.count(text.dropFirst(), of: text))
        default: self = .offset(Offset(rawValue: try Self.count(text[...], of: text)))
        }
    }

    /// The moment this stands for, if it is one.
    package func time(at now: Timestamp) -> Timestamp? {
        switch self {
        case .time(let time): time
        case .ago(let duration): now.earlier(by: duration)
        default: nil
        }
    }

    private static func moment(_ moment: Substring, of text: String) throws(CommandFailure) -> Position {
        if moment.first == "-" { return .ago(try Quantity.duration(String(moment.dropFirst()))) }
        if !moment.isEmpty, moment.allSatisfy({ ("0"..."9").contains($0) }), let milliseconds = Int64(moment) {
            return .time(Timestamp(rawValue: milliseconds))
        }
        guard let time = CivilTime.parse(String(moment)) else { throw Self.refusal(text) }
        return .time(time)
    }

    private static func count(_ digits: Substring, of text: String) throws(CommandFailure) -> Int64 {
        guard !digits.isEmpty, digits.allSatisfy({ ("0"..."9").contains($0) }), let count = Int64(digits) else {
            throw Self.refusal(text)
        }
        return count
    }

    private static func refusal(_ text: String) -> CommandFailure {
        .usage(
            "\"\(text)\" is not a position",
            next: "use start, end, 42, -100 (before the end), +5 (after the start), @2026-11-20T10:00 or @-2h"
        )
    }
}

extension Position {
    /// The offset this stands for in a partition that reaches from `start` to `end`. For a time only the broker knows
    /// it; then this is the start.
    package func offset(start: Offset, end: Offset) -> Offset {
        switch self {
        case .start, .time, .ago: start
        case .end: end
        case .offset(let offset): offset
        case .beforeEnd(let count): Offset(rawValue: max(start.rawValue, end.rawValue.saturating(minus: count)))
        case .afterStart(let count): Offset(rawValue: min(end.rawValue, start.rawValue.saturating(plus: count)))
        }
    }
}

extension Int64 {
    fileprivate func saturating(plus count: Int64) -> Int64 {
        let (sum, overflow) = self.addingReportingOverflow(count)
        return overflow ? .max : sum
    }

    fileprivate func saturating(minus count: Int64) -> Int64 {
        let (difference, overflow) = self.subtractingReportingOverflow(count)
        return overflow ? .min : difference
    }
}
