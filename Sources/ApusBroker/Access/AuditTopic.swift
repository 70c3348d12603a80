import ApusCore

/// `__apus_audit`: what it is made with, and what its settings must be.
///
/// Compaction keeps one record of each principal, and a retention of a second keeps none; no batch is written that is
/// older than a millisecond, or that a second replica must have.
enum AuditTopic {
    static let configuration: [String: String] = [
        TopicOption.cleanupPolicy.name: "delete",
        TopicOption.retentionAge.name: "\(Limits.auditRetention.wholeMilliseconds)",
        TopicOption.retentionBytes.name: "-1",
        TopicOption.batchBytesMax.name: "\(Limits.batchBytesDefault.rawValue)",
        TopicOption.segmentBytes.name: "\(Limits.segmentBytesDefault.rawValue)",
        TopicOption.timestampBeforeMax.name: "\(Int64.max)",
        TopicOption.inSyncReplicasMin.name: "1",
    ]

    static let rules = [
        InternalTopicRule(option: .cleanupPolicy, must: "be 'delete': of an audit log every record counts") {
            $0.deletes && $0.compaction == nil
        },
        InternalTopicRule(
            option: .retentionAge,
            must: "be at least \(Limits.auditRetentionMin.wholeMilliseconds) (7 days), or -1 for ever"
        ) {
            $0.retentionAge.map { $0 >= Limits.auditRetentionMin } ?? true
        },
        InternalTopicRule(
            option: .retentionBytes,
            must: "be at least \(Limits.auditRetentionBytesMin.rawValue) (1 GiB), or -1 for no bound"
        ) {
            $0.retentionBytes.map { $0 >= Limits.auditRetentionBytesMin } ?? true
        },
        InternalTopicRule(
            option: .batchBytesMax,
            must: "be at least \(Limits.auditTopicBatchBytesMin.rawValue), or its longest records do not fit"
        ) {
            $0.batchBytesMax >= Limits.auditTopicBatchBytesMin
        },
        InternalTopicRule(
            option: .segmentBytes,
            must: "be at least \(Limits.auditSegmentBytesMin.rawValue) (1 MiB), or its longest records do not fit"
        ) {
            $0.segmentBytes >= Limits.auditSegmentBytesMin
        },
        .late(Limits.auditRetentionMin, "7 days"), .oneReplica,
    ]
}
