import ApusCore

/// What a setting of the audit log's topic must be, so that its records are written and then stay.
///
/// Whoever may change settings could otherwise erase what was written down about him (compaction keeps one record of
/// each principal; a retention of a second keeps none), or end it (no batch is taken that is older than a millisecond,
/// or that a second replica must have). These rules hold whoever asks, as do those for deleting the topic or records
/// of it. Refused when somebody sets it, never when it is read, as in ``ConfigurationTable/checkTopic(_:)``.
struct AuditTopicRule: Sendable {
    let option: TopicOption
    /// For people, behind "must".
    let must: String
    let holds: @Sendable (TopicConfiguration) -> Bool

    /// What the topic is made with. All that a rule is about stands here, so that no default of the broker counts.
    static let configuration: [String: String] = [
        TopicOption.cleanupPolicy.name: "delete",
        TopicOption.retentionAge.name: "\(Limits.auditRetention.wholeMilliseconds)",
        TopicOption.retentionBytes.name: "-1",
        TopicOption.batchBytesMax.name: "\(Limits.batchBytesDefault.rawValue)",
        TopicOption.segmentBytes.name: "\(Limits.segmentBytesDefault.rawValue)",
        TopicOption.timestampBeforeMax.name: "\(Int64.max)",
        TopicOption.inSyncReplicasMin.name: "1",
    ]

    static let all = [
        AuditTopicRule(option: .cleanupPolicy, must: "be 'delete': of an audit log every record counts") {
            $0.deletes && $0.compaction == nil
        },
        AuditTopicRule(
            option: .retentionAge,
            must: "be at least \(Limits.auditRetentionMin.wholeMilliseconds) (7 days), or -1 for ever"
        ) {
            $0.retentionAge.map { $0 >= Limits.auditRetentionMin } ?? true
        },
        AuditTopicRule(
            option: .retentionBytes,
            must: "be at least \(Limits.auditRetentionBytesMin.rawValue) (1 GiB), or -1 for no bound"
        ) {
            $0.retentionBytes.map { $0 >= Limits.auditRetentionBytesMin } ?? true
        },
        AuditTopicRule(
            option: .batchBytesMax,
            must: "be at least \(Limits.auditTopicBatchBytesMin.rawValue), or its longest records do not fit"
        ) {
            $0.batchBytesMax >= Limits.auditTopicBatchBytesMin
        },
        AuditTopicRule(
            option: .segmentBytes,
            must: "be at least \(Limits.auditSegmentBytesMin.rawValue) (1 MiB), or its longest records do not fit"
        ) {
            $0.segmentBytes >= Limits.auditSegmentBytesMin
        },
        AuditTopicRule(
            option: .timestampBeforeMax,
            must: "be at least \(Limits.auditRetentionMin.wholeMilliseconds) (7 days): records may wait for the disk"
        ) {
            $0.timestampBeforeMax.map { $0 >= Limits.auditRetentionMin } ?? true
        },
        AuditTopicRule(option: .inSyncReplicasMin, must: "be 1: there is one broker to write it") {
            $0.inSyncReplicasMin <= 1
        },
    ]

    /// Whether the topic may have these values of its own.
    static func check(_ overrides: [String: String], in table: ConfigurationTable) throws(BrokerError) {
        let configuration = table.configuration(of: overrides)
        for rule in self.all where !rule.holds(configuration) {
            throw .invalidConfiguration("'\(rule.option.name)' of \(InternalTopic.audit) must \(rule.must)")
        }
    }

    /// Whether the broker's values may become those of `next`, although they count for the topic where it sets none.
    /// What is not as it must be already, and does not change, is let be.
    static func check(
        _ topic: Topic, from table: ConfigurationTable, to next: ConfigurationTable
    ) throws(BrokerError) {
        let overrides = topic.configuration.overrides
        let configuration = next.configuration(of: overrides)
        for rule in self.all where !rule.holds(configuration) {
            let option = rule.option
            guard table.value(option, over: overrides) != next.value(option, over: overrides) else { continue }
            throw .invalidConfiguration(
                "'\(option.brokerName)' counts for \(topic.name), which sets no '\(option.name)' of its own, and must "
                    + "\(rule.must). Set '\(option.name)' on \(topic.name) first")
        }
    }
}
