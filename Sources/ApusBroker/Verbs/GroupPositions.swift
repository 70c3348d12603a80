package import ApusCore
package import ApusGroups

/// OffsetCommit: positions of one group.
package struct PositionCommit: Sendable {
    package struct Part: Sendable {
        package var topic: TopicReference
        package var partition: PartitionIndex
        /// The next offset that the group wants to read; 0 or more. Past the end of the log is let in.
        package var offset: Offset
        package var leaderEpoch: Epoch
        package var metadata: String?

        package init(
            topic: TopicReference, partition: PartitionIndex, offset: Offset, leaderEpoch: Epoch = .none,
            metadata: String? = nil
        ) {
            self.topic = topic
            self.partition = partition
            self.offset = offset
            self.leaderEpoch = leaderEpoch
            self.metadata = metadata
        }
    }

    package var group: GroupID
    /// ``MemberID/none`` for who is no member: lets a tool in while the group has no members.
    package var identity: MemberIdentity
    /// The member's generation, or its member epoch (KIP-848); -1 for who is no member.
    package var generation: Generation
    /// Of OffsetCommit.
    package var version: Int16
    /// How long the client wants them kept; nil for the broker's rule.
    package var retention: Duration?
    package var parts: [Part]

    package init(
        group: GroupID, identity: MemberIdentity = MemberIdentity(member: .none), generation: Generation = .none,
        version: Int16 = 10, retention: Duration? = nil, parts: [Part]
    ) {
        self.group = group
        self.identity = identity
        self.generation = generation
        self.version = version
        self.retention = retention
        self.parts = parts
    }
}

/// OffsetFetch: positions of one group.
package struct PositionQuery: Sendable {
    package var group: GroupID
    /// Who asks, of a group of KIP-848; nil for who is no member.
    package var member: MemberID?
    package var memberEpoch: GroupEpoch
    /// nil: all that the group has.
    package var partitions: [PartitionReference]?

    package init(
        group: GroupID, member: MemberID? = nil, memberEpoch: GroupEpoch = .leave, partitions: [PartitionReference]?
    ) {
        self.group = group
        self.member = member
        self.memberEpoch = memberEpoch
        self.partitions = partitions
    }
}

/// Where a group stands in one partition.
package struct PositionAnswer: Hashable, Sendable {
    package var topic: String
    package var topicID: TopicID
    package var partition: PartitionIndex
    /// nil: it never committed there.
    package var position: Position?
    package var error: GroupError?

    package init(
        topic: String, topicID: TopicID = .none, partition: PartitionIndex, position: Position? = nil,
        error: GroupError? = nil
    ) {
        self.topic = topic
        self.topicID = topicID
        self.partition = partition
        self.position = position
        self.error = error
    }
}
