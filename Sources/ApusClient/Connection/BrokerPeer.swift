import ApusCore
import KafkaWire

/// The broker at the other end of a connection, for errors that name it.
struct BrokerPeer: Hashable, Sendable {
    /// nil for a server of the configuration, until it is known which broker it is.
    var id: BrokerID?
    var address: ServerAddress
}

/// What a broker answered, and which one did.
@dynamicMemberLookup
struct BrokerAnswer<Response: Sendable>: Sendable {
    let response: Response
    let peer: BrokerPeer

    subscript<Value>(dynamicMember field: KeyPath<Response, Value>) -> Value { self.response[keyPath: field] }

    /// An error in the answer, as a caller sees it.
    func error(
        _ code: KafkaErrorCode, _ subject: String, topic: String? = nil, message: String? = nil
    ) -> ApusError {
        code.error(subject, topic: topic, message: message, from: self.peer)
    }

    /// The broker answered, but not about that.
    func unanswered(_ subject: String) -> ApusError {
        ApusError(
            .corrupt, "\(subject): the answer does not speak of it", isIndefinite: true,
            broker: "\(self.peer.address)", brokerID: self.peer.id)
    }
}
