import ApusAccess
import ApusBroker
import ApusCore
import KafkaWire

/// Requests that an endpoint server in a process of its own makes for one of its clients: what comes of them is the
/// client's (its topics, its quotas, its name in the audit log).
///
/// Whoever has CLUSTER_ACTION on the cluster may say so, as with Kafka's Envelope (KIP-590). It widens nobody's rights:
/// what is done, both must be allowed to do, he who asks and he for whom.
extension Exchange {
    /// The client that a request is for; nil when who asks may not speak for others, or names nobody.
    func client(for behalf: Behalf?) -> ClientContext? {
        guard let behalf else { return self.client }
        guard self.client.allows(.clusterAction, on: .cluster), behalf.principal.hasPrefix("User:"),
            let principal = Principal(parsing: behalf.principal), principal != .everybody
        else { return nil }
        return self.broker.access.client(principal, clientID: behalf.clientID, address: behalf.address)
    }
}

/// For whom a request is.
struct Behalf: Hashable, Sendable {
    var principal: String
    var clientID: String
    var address: String

    /// Nil where nobody is named: then it is for who asks.
    private init?(_ principal: String, _ clientID: String, _ address: String) {
        guard !principal.isEmpty else { return nil }
        self.principal = principal
        self.clientID = clientID
        self.address = address
    }

    init?(_ wire: CreateTopicsRequest.Behalf) { self.init(wire.principal, wire.clientID, wire.address) }
    init?(_ wire: DeleteTopicsRequest.Behalf) { self.init(wire.principal, wire.clientID, wire.address) }
}
