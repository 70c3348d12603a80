package import ApusCore

/// Where a group stands in a partition.
package struct Position: Hashable, Sendable {
    /// The next offset that the group wants to read.
    package var offset: Offset
    /// The leader epoch of the last record that it read (KIP-320), as the client told it.
    package var leaderEpoch: Epoch
    /// What the client keeps beside it, up to `Limits.offsetMetadataBytesMax`.
    package var metadata: String
    package var committedAt: Timestamp
    /// When the client wants it to be forgotten; nil for the broker's rule. Clients before OffsetCommit 5 may say.
    package var expiresAt: Timestamp?
    /// The topic that the name stood for; `.none` from records of old. Without it a new topic of the same name would
    /// inherit the positions of the one that was deleted.
    package var topic: TopicID

    package init(
        offset: Offset, leaderEpoch: Epoch, metadata: String, committedAt: Timestamp, expiresAt: Timestamp? = nil,
        topic: TopicID = .none
    ) {
        self.offset = offset
        self.leaderEpoch = leaderEpoch
        self.metadata = metadata
        self.committedAt = committedAt
        self.expiresAt = expiresAt
        self.topic = topic
    }
}

/// Whose position it is, and where. Kafka's records know topics by name.
package struct PositionKey: Hashable, Sendable {
    package var group: GroupID
    package var topic: String
    package var partition: PartitionIndex

    package init(group: GroupID, topic: String, partition: PartitionIndex) {
        self.group = group
        self.topic = topic
        self.partition = partition
    }
}
