package import ApusCore
package import NIOCore

/// Where a reader begins.
///
/// | written | means |
/// |---|---|
/// | `earliest`, `start` | the oldest record kept |
/// | `latest`, `end` | what comes from now on |
/// | `42` | offset 42, in each partition |
/// | `-100` | 100 records before the end, in each partition |
/// | `@2026-11-20T10:00Z`, `@1763632800000` | the first record of that time or later |
/// | `last value`, `last_value` | the newest record of each key, then what comes (compacted topics) |
/// | a cursor | behind what the client has seen |
package enum StartPoint: Hashable, Sendable {
    case earliest
    case latest
    case offset(Offset)
    case beforeEnd(Int64)
    case time(Timestamp)
    case lastValues
    /// Texts of cursors, not looked into yet: ``CursorSeal`` and ``Resumption`` do that.
    case cursors([ByteBuffer])

    /// Nil when the text is none of them. Cursors have a field of their own.
    package init?(_ text: String) {
        switch text {
        case "earliest", "start": self = .earliest
        case "latest", "end": self = .latest
        case "last value", "last_value": self = .lastValues
        default:
            guard let first = text.utf8.first else { return nil }
            let rest = String(text.dropFirst())
            if first == UInt8(ascii: "@") {
                guard let time = Self.digits(rest).map(Timestamp.init(rawValue:)) ?? CivilTime.parse(rest) else {
                    return nil
                }
                self = .time(time)
            } else if first == UInt8(ascii: "-") {
                guard let count = Self.digits(rest) else { return nil }
                self = .beforeEnd(count)
            } else {
                guard let offset = Self.digits(text) else { return nil }
                self = .offset(Offset(rawValue: offset))
            }
        }
    }

    private static func digits(_ text: String) -> Int64? {
        text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) } ? Int64(text) : nil
    }
}
