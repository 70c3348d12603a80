import ApusCore
import NIOCore
import WebFormats

/// Durations as people write them: `20s`, `500ms`, `2m`, or whole seconds.
enum DurationText {
    static func duration(_ text: String, _ name: String, max: Duration) throws(Problem) -> Duration {
        let (digits, unit) = (text.prefix { $0.isASCII && $0.isNumber }, text.drop { $0.isASCII && $0.isNumber })
        let duration: Duration? = Int64(digits).flatMap { number in
            guard number <= 1_000_000_000 else { return nil }
            switch unit {
            case "ms": return .milliseconds(number)
            case "s", "": return .seconds(number)
            case "m": return .seconds(number * 60)
            default: return nil
            }
        }
        guard let duration, duration <= max else {
            throw Problem(
                .invalidRequest, "'\(name)' is a duration like 500ms or 20s, at most \(max.components.seconds)s")
        }
        return duration
    }
}

extension FieldReader {
    /// As text, or seconds as a number.
    func duration(_ name: String, max: Duration) throws(Problem) -> Duration? {
        guard let value = self.value(name) else { return nil }
        let text = value.kind == .number ? String(buffer: value.bytes) : value.text
        guard let text, text.utf8.count <= 32 else { throw self.refusal(name, "is a duration like 500ms or 20s") }
        return try DurationText.duration(text, name, max: max)
    }
}
