package import ApusCore
package import NIOCore

/// What outlives the coordinator of a classic group: the value of its record.
package struct ClassicImage: Hashable, Sendable {
    package struct Member: Hashable, Sendable {
        package var id: MemberID
        package var instance: InstanceID?
        package var client: ClientIdentity
        package var rebalanceTimeout: Duration
        package var sessionTimeout: Duration
        /// What it told for the group's protocol.
        package var subscription: ByteBuffer
        package var assignment: ByteBuffer

        package init(
            id: MemberID, instance: InstanceID?, client: ClientIdentity, rebalanceTimeout: Duration,
            sessionTimeout: Duration, subscription: ByteBuffer, assignment: ByteBuffer
        ) {
            self.id = id
            self.instance = instance
            self.client = client
            self.rebalanceTimeout = rebalanceTimeout
            self.sessionTimeout = sessionTimeout
            self.subscription = subscription
            self.assignment = assignment
        }
    }

    package var protocolType: String
    package var generation: Generation
    /// nil without members.
    package var protocolName: String?
    package var leader: MemberID?
    /// When the group last changed; `.none` from records of old.
    package var changedAt: Timestamp
    package var members: [Member]

    package init(
        protocolType: String, generation: Generation, protocolName: String? = nil, leader: MemberID? = nil,
        changedAt: Timestamp, members: [Member] = []
    ) {
        self.protocolType = protocolType
        self.generation = generation
        self.protocolName = protocolName
        self.leader = leader
        self.changedAt = changedAt
        self.members = members
    }
}
