import ApusCore

/// What a configuration value may be. The message of a refusal says what would have been allowed.
enum ConfigurationRule: Sendable {
    case number(ClosedRange<Int64>)
    case fraction
    case boolean
    case choice([String])
    /// Some of these, divided by commas.
    case list([String])
    /// Anything: told to clients that ask, of no effect here.
    case text

    /// Nil when the value is allowed, else why not.
    func refusal(of value: String) -> String? {
        guard value.utf8.count <= Limits.configurationValueBytesMax.rawValue else {
            return "has \(value.utf8.count) bytes, at most \(Limits.configurationValueBytesMax.rawValue) are allowed"
        }
        switch self {
        case .number(let range):
            guard let number = Int64(value) else { return "must be a whole number, is '\(value.limited)'" }
            guard range.contains(number) else {
                return "must be from \(range.lowerBound) to \(range.upperBound), is \(number)"
            }
            return nil
        case .fraction:
            guard let number = Double(value), (0...1).contains(number) else {
                return "must be a number from 0 to 1, is '\(value.limited)'"
            }
            return nil
        case .boolean:
            return ["true", "false"].contains(value.lowercased())
                ? nil : "must be true or false, is '\(value.limited)'"
        case .choice(let allowed):
            return allowed.contains(value)
                ? nil : "must be one of \(allowed.joined(separator: ", ")), is '\(value.limited)'"
        case .list(let allowed):
            guard !ConfigurationRule.parts(of: value).isEmpty else {
                return "must be some of \(allowed.joined(separator: ", ")), is empty"
            }
            let strangers = ConfigurationRule.parts(of: value).filter { !allowed.contains($0) }
            return strangers.isEmpty
                ? nil : "must be some of \(allowed.joined(separator: ", ")), has '\(strangers[0].limited)'"
        case .text:
            return nil
        }
    }

    /// The members of a list value, without the blanks around them.
    static func parts(of value: String) -> [String] {
        value.split(separator: ",").map { part in
            var part = part
            while part.first == " " { part.removeFirst() }
            while part.last == " " { part.removeLast() }
            return String(part)
        }
    }
}

extension String {
    /// Short enough to be repeated in a message.
    var limited: String {
        self.count <= 64 ? self : "\(self.prefix(64))…"
    }
}
