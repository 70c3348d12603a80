import ApusCore

/// `__presence`: who is in which channel, as any Kafka client can read it. One partition, because one decides.
enum PresenceTopic {
    static let name = InternalTopic.presence
    static let partition = PartitionIndex(rawValue: 0)

    static var specification: TopicSpecification {
        TopicSpecification(
            name: self.name, partitions: 1,
            configuration: [
                TopicOption.cleanupPolicy.name: "compact",
                TopicOption.retentionAge.name: "-1",
                TopicOption.retentionBytes.name: "-1",
                TopicOption.compactionLagMin.name: "\(Limits.presenceKept.wholeMilliseconds)",
                TopicOption.segmentBytes.name: String(Limits.presenceSegmentBytes.rawValue),
                TopicOption.batchBytesMax.name: String(Limits.presenceBatchBytesMax.rawValue),
                TopicOption.compressionType.name: "producer",
                TopicOption.timestampType.name: "CreateTime",
                TopicOption.timestampBeforeMax.name: "\(Int64.max)",
                TopicOption.inSyncReplicasMin.name: "1",
                TopicOption.durability.name: "fsync",
            ]
        )
    }

    static let rules = [
        InternalTopicRule(
            option: .cleanupPolicy, must: "be 'compact': 'delete' would lose by their age who have come and not left"
        ) {
            $0.compaction != nil && !$0.deletes
        },
        InternalTopicRule(
            option: .batchBytesMax,
            must: "be at least \(Limits.presenceBatchBytesMax.rawValue) (8 MiB), or what happens at once does not fit"
        ) {
            $0.batchBytesMax >= Limits.presenceBatchBytesMax
        },
        InternalTopicRule(
            option: .segmentBytes,
            must: "be at least \(Limits.presenceSegmentBytes.rawValue) (16 MiB), or its largest batches do not fit"
        ) {
            $0.segmentBytes >= Limits.presenceSegmentBytes
        },
        .late(Limits.offsetsTopicLateMin, "a day"), .oneReplica,
    ]
}
