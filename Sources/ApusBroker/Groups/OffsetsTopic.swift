import ApusCore
import ApusGroups

/// `__consumer_offsets`: where groups and their positions are kept, as Kafka does it. A group's records are all in one
/// partition, which follows from its name; who leads that partition coordinates the group.
enum OffsetsTopic {
    static let name = InternalTopic.offsets

    static var specification: TopicSpecification {
        TopicSpecification(
            name: self.name, partitions: Limits.offsetsTopicPartitions,
            configuration: [
                TopicOption.cleanupPolicy.name: "compact",
                TopicOption.retentionAge.name: "-1",
                TopicOption.retentionBytes.name: "-1",
                TopicOption.segmentBytes.name: String(Limits.offsetsTopicSegmentBytes.rawValue),
                TopicOption.batchBytesMax.name: String(Limits.offsetsTopicBatchBytesMax.rawValue),
                TopicOption.compressionType.name: "producer",
                TopicOption.timestampType.name: "CreateTime",
                TopicOption.timestampBeforeMax.name: "\(Int64.max)",
                TopicOption.inSyncReplicasMin.name: "1",
                TopicOption.durability.name: "fsync",
            ]
        )
    }

    /// What its settings must be. Nothing of it goes by its age: a position lives as long as its group, or as
    /// `offsets.retention.minutes` says.
    static let rules = [
        InternalTopicRule(
            option: .cleanupPolicy, must: "be 'compact': 'delete' would lose positions and members by their age"
        ) {
            $0.compaction != nil && !$0.deletes
        },
        InternalTopicRule(
            option: .batchBytesMax,
            must: "be at least \(Limits.offsetsTopicBatchBytesMax.rawValue) (16 MiB), or the largest commits do not fit"
        ) {
            $0.batchBytesMax >= Limits.offsetsTopicBatchBytesMax
        },
        .late(Limits.offsetsTopicLateMin, "a day"), .oneReplica,
    ]

    /// Kafka's rule: Java's hash of the name, without its sign, over the number of partitions. Tools compute it too.
    static func partition(of group: GroupID, count: Int32) -> PartitionIndex {
        precondition(count > 0, "a topic has partitions")
        var hash: Int32 = 0
        for unit in group.rawValue.utf16 { hash = hash &* 31 &+ Int32(unit) }
        // Kafka's `abs`: the smallest number has none, and counts as 0.
        let positive = hash == .min ? 0 : abs(hash)
        return PartitionIndex(rawValue: positive % count)
    }
}
