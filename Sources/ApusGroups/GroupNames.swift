/// A consumer group's name. Any text a client sends, within its limit; empty is refused.
package struct GroupID: RawRepresentable, Hashable, Comparable, Sendable, CustomStringConvertible {
    package var rawValue: String

    package init(rawValue: String) { self.rawValue = rawValue }

    package init(_ name: String) { self.init(rawValue: name) }

    package static func < (left: GroupID, right: GroupID) -> Bool { left.rawValue < right.rawValue }

    package var description: String { self.rawValue }
}

/// A member's name, unique for its life in the group: given by the coordinator (classic protocol, and version 0 of
/// ConsumerGroupHeartbeat), or chosen by the client (version 1, KIP-1082). Empty on the wire means "none yet".
package struct MemberID: RawRepresentable, Hashable, Comparable, Sendable, CustomStringConvertible {
    package var rawValue: String

    /// What a client sends that has no name yet, and a simple consumer always.
    package static let none = MemberID(rawValue: "")

    package init(rawValue: String) { self.rawValue = rawValue }

    package init(_ name: String) { self.init(rawValue: name) }

    package static func < (left: MemberID, right: MemberID) -> Bool { left.rawValue < right.rawValue }

    package var description: String { self.rawValue }
}

/// The name that a static member keeps over its restarts, by configuration (KIP-345).
package struct InstanceID: RawRepresentable, Hashable, Comparable, Sendable, CustomStringConvertible {
    package var rawValue: String

    package init(rawValue: String) { self.rawValue = rawValue }

    package init(_ name: String) { self.init(rawValue: name) }

    package static func < (left: InstanceID, right: InstanceID) -> Bool { left.rawValue < right.rawValue }

    package var description: String { self.rawValue }
}

/// Whose answer it is: the caller of a group's verbs chooses one for each request, never again the same, and gets it
/// back with the reply. The group knows nothing else of connections.
package struct RequestToken: RawRepresentable, Hashable, Comparable, Sendable {
    package var rawValue: UInt64

    package init(rawValue: UInt64) { self.rawValue = rawValue }

    package static func < (left: RequestToken, right: RequestToken) -> Bool { left.rawValue < right.rawValue }
}

/// Who a member is, for those who look at the group: what its connection said of itself when it joined.
package struct ClientIdentity: Hashable, Sendable {
    /// The client id of its requests; empty for none.
    package var clientID: String
    /// Where it connects from, as Kafka writes it: `/10.0.0.1`.
    package var host: String

    package init(clientID: String, host: String) {
        self.clientID = clientID
        self.host = host
    }
}
