import ApusCore
import ApusAccess

/// What of the cluster a client sees.
extension Broker {
    /// Every topic that the client may know of, in no order that means anything.
    package func topics(for client: ClientContext) -> [Topic] {
        guard !client.access.isUnrestricted else { return Array(self.topics.all) }
        return self.topics.all.filter { client.mayList(.describe, on: Resource(.topic, ExactText($0.name))) }
    }

    /// The topic, if the client may know of it.
    package func topic(_ reference: TopicReference, for client: ClientContext) throws(BrokerError) -> Topic {
        try self.topics.topic(reference, .describe, for: client)
    }
}
