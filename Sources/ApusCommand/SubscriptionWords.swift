package import ApusClient
package import ApusCore

/// What is typed about subscriptions.
package enum SubscriptionWords {
    /// `24h`; also `0s` and `-1h`, which the broker refuses in words that say what can be.
    package static func period(_ text: String) throws(CommandFailure) -> Duration {
        guard text.first == "-" else { return try Quantity.duration(text) }
        return .zero - (try Quantity.duration(String(text.dropFirst())))
    }

    /// `24h`, or `none`.
    package static func optionalPeriod(_ text: String) throws(CommandFailure) -> Duration? {
        text == "none" ? nil : try self.period(text)
    }

    /// `start`, `end`, `@2026-11-20T10:00` or `@-2h`.
    package static func start(_ text: String, at now: Timestamp) throws(CommandFailure) -> Subscription.Start {
        switch try Position(text) {
        case .start: return .earliest
        case .end: return .latest
        case let position:
            if let time = position.time(at: now) { return .time(time) }
            throw .usage("\"\(text)\" is no start of a subscription", next: "use start, end, @2026-11-20T10:00 or @-2h")
        }
    }

    /// A subscription is there, and its group could not be set to where reading shall begin.
    package static func notPlaced(
        _ name: String, at start: Subscription.Start, _ error: ApusError
    ) -> CommandFailure {
        let target: String =
            switch start {
            case .earliest: "--to-start"
            case .latest: "--to-end"
            case .time(let time): "--to-time " + CivilTime(time).text
            }
        return CommandFailure(
            .failure, code: "not_placed", "subscription '\(name)' was created, but not placed: \(error.message)",
            next: "apus subscription seek \(name) \(target) --execute")
    }

    /// Names, or one pattern.
    package static func interest(topics: [String], pattern: String?) throws(CommandFailure) -> TopicInterest {
        guard let pattern else { return .names(topics.flatMap { $0.split(separator: ",").map(String.init) }) }
        guard topics.isEmpty else {
            throw .usage("--topic and --pattern exclude each other", next: "a pattern may match names, too")
        }
        do throws(InvalidField) {
            return .pattern(try TopicPattern(pattern))
        } catch {
            throw .usage("\(error)", next: "* stands for any characters, ? for one: 'orders.*'")
        }
    }
}
