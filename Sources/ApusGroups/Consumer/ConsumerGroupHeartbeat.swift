import ApusCore

/// One ConsumerGroupHeartbeat as it came: join, leave, "I am here", and "this is what I have now" in one request
/// (KIP-848).
///
/// A field that is nil says "as it was". A first request, and every request after a lost answer, states all of them.
package struct ConsumerGroupHeartbeat: Hashable, Sendable {
    package var group: GroupID
    /// Chosen by the member from version 1 on (KIP-1082). Empty in version 0: the coordinator gives `freshMember`.
    package var member: MemberID
    /// `.join`, `.leave`, `.leaveStatic`, or the epoch that the member was told last.
    package var epoch: GroupEpoch
    /// The name that a static member keeps over restarts (KIP-345).
    package var instance: InstanceID?
    package var rack: String?
    /// How long the member may take to give partitions up.
    package var rebalanceTimeout: Duration?
    package var topicNames: [String]?
    /// A regular expression (`TopicRegex`); empty for none.
    package var topicPattern: String?
    package var assignor: String?
    /// What the member has now.
    package var owned: PartitionSet?
    package var client: ClientIdentity
    /// Whose rights decide which topics a pattern stands for, as `User:alice`; nil: all topics may be told of.
    package var principal: String?
    /// The version of the request.
    package var version: Int16
    /// An id for a member that brings none. From the Randomness port; only looked at for version 0.
    package var freshMember: MemberID?

    package init(
        group: GroupID, member: MemberID, epoch: GroupEpoch, client: ClientIdentity, version: Int16 = 1
    ) {
        self.group = group
        self.member = member
        self.epoch = epoch
        self.client = client
        self.version = version
    }
}

/// The answer to one heartbeat. It may leave when the records of its decision, and all before them, are durable.
package struct ConsumerGroupHeartbeatReply: Hashable, Sendable {
    package var member: MemberID
    package var epoch: GroupEpoch
    /// When the member should say the next word. Shorter while its group is moving.
    package var heartbeatInterval: Duration
    /// What the member may use from now on, all of it; nil when that did not change.
    package var assignment: PartitionSet?
}
