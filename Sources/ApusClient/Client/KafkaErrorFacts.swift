import KafkaWire

/// What is known of one error of the protocol, for tables that explain them.
package struct KafkaErrorFacts: Sendable {
    package var number: Int16
    /// As `UNKNOWN_TOPIC_OR_PARTITION`.
    package var name: String
    package var isRetriable: Bool
    /// What a call about a topic named NAME throws when a broker answers so.
    package var error: ApusError

    /// Every error that has a name, by number.
    package static let all: [KafkaErrorFacts] = (Int16(-1)...133).compactMap { number in
        let code = KafkaErrorCode(rawValue: number)
        guard code != .none else { return nil }
        return KafkaErrorFacts(
            number: number, name: code.description, isRetriable: code.isRetriable,
            error: code.error("NAME", topic: "NAME"))
    }
}
