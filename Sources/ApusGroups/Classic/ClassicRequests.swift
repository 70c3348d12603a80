import ApusCore
package import NIOCore

/// The number of a group's current set of members: each rebalance makes the next. 0 before the first.
package struct Generation: RawRepresentable, Hashable, Comparable, Sendable, CustomStringConvertible {
    package var rawValue: Int32

    /// What a simple consumer sends, which is no member of its group.
    package static let none = Generation(rawValue: -1)
    package static let zero = Generation(rawValue: 0)

    package init(rawValue: Int32) { self.rawValue = rawValue }

    package static func < (left: Generation, right: Generation) -> Bool { left.rawValue < right.rawValue }

    /// The one after this. Begins anew behind the largest number, which a disk may hold and no group ever reaches.
    package var next: Generation { Generation(rawValue: self.rawValue == .max ? 1 : max(self.rawValue, 0) + 1) }

    package var description: String { String(self.rawValue) }
}

/// A way of assignment that a member knows, and what it tells the group's leader for it: opaque here.
package struct GroupProtocol: Hashable, Sendable {
    package var name: String
    package var metadata: ByteBuffer

    package init(name: String, metadata: ByteBuffer) {
        self.name = name
        self.metadata = metadata
    }
}

/// JoinGroup.
package struct JoinRequest: Hashable, Sendable {
    /// ``MemberID/none`` for who has no name yet.
    package var member: MemberID
    package var instance: InstanceID?
    package var client: ClientIdentity
    /// How long the member may be silent.
    package var sessionTimeout: Duration
    /// How long the member takes to join again when it is asked to. Before version 1 the session timeout.
    package var rebalanceTimeout: Duration
    package var protocolType: String
    /// In the order in which the member prefers them.
    package var protocols: [GroupProtocol]
    /// Whether who has no name must come again with the one that the answer gives it (from version 4 on, KIP-394).
    package var mustReturn: Bool
    /// Whether the answer may tell a leader to assign nothing (from version 9 on, KIP-814).
    package var canSkipAssignment: Bool
    /// The name for who has none, never given before: see ``MemberID/init(of:instance:unique:)``.
    package var memberNew: MemberID

    package init(
        member: MemberID, instance: InstanceID? = nil, client: ClientIdentity, sessionTimeout: Duration,
        rebalanceTimeout: Duration, protocolType: String, protocols: [GroupProtocol], mustReturn: Bool,
        canSkipAssignment: Bool, memberNew: MemberID
    ) {
        self.member = member
        self.instance = instance
        self.client = client
        self.sessionTimeout = sessionTimeout
        self.rebalanceTimeout = rebalanceTimeout
        self.protocolType = protocolType
        self.protocols = protocols
        self.mustReturn = mustReturn
        self.canSkipAssignment = canSkipAssignment
        self.memberNew = memberNew
    }
}

/// SyncGroup.
package struct SyncRequest: Hashable, Sendable {
    package var member: MemberID
    package var instance: InstanceID?
    package var generation: Generation
    /// nil before version 5: not compared.
    package var protocolType: String?
    package var protocolName: String?
    /// From the leader: what each member gets. Who is not named gets nothing.
    package var assignments: [MemberID: ByteBuffer]

    package init(
        member: MemberID, instance: InstanceID? = nil, generation: Generation, protocolType: String? = nil,
        protocolName: String? = nil, assignments: [MemberID: ByteBuffer] = [:]
    ) {
        self.member = member
        self.instance = instance
        self.generation = generation
        self.protocolType = protocolType
        self.protocolName = protocolName
        self.assignments = assignments
    }
}

/// Who asks, in Heartbeat, OffsetCommit and LeaveGroup.
package struct MemberIdentity: Hashable, Sendable {
    package var member: MemberID
    package var instance: InstanceID?

    package init(member: MemberID, instance: InstanceID? = nil) {
        self.member = member
        self.instance = instance
    }
}

extension MemberID {
    /// A name for a new member: readable in front, unique behind. What a client calls itself ends up in logs and on
    /// terminals, so control characters are not taken over, nor is more than `Limits.groupClientBytesMax`.
    ///
    /// - Parameter unique: 128 random bits as text.
    package init(of client: ClientIdentity, instance: InstanceID?, unique: String) {
        self.init(rawValue: "\(ClientIdentity.printable(instance?.rawValue ?? client.clientID))-\(unique)")
    }
}

extension ClientIdentity {
    /// As it came but short, and without control characters.
    package static func printable(_ text: String) -> String {
        var rest = Limits.groupClientBytesMax
        var kept = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            rest -= UTF8.width(scalar)
            guard rest >= 0 else { break }
            kept.append(scalar.properties.generalCategory == .control ? "_" : scalar)
        }
        return String(kept)
    }
}
