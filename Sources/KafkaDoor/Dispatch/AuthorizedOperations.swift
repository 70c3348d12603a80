import ApusCore
import ApusAccess
import ApusBroker

/// What a client may do, as describing answers tell it when asked: a bit for each of Kafka's operations (KIP-430).
enum AuthorizedOperations {
    /// Not asked for.
    static let unknown = Int32.min

    static func topic(_ name: String, for client: ClientContext) -> Int32 {
        client.access.operations(on: Resource(.topic, ExactText(name))).rawValue
    }

    static func group(_ name: String, for client: ClientContext) -> Int32 {
        client.access.operations(on: Resource(.group, ExactText(name))).rawValue
    }

    /// Nothing for whoever may not describe the cluster, as with Kafka.
    static func cluster(for client: ClientContext) -> Int32 {
        client.allows(.describe, on: .cluster) ? client.access.operations(on: .cluster).rawValue : 0
    }
}
