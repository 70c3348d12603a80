import ApusCore

/// What a setting of one of the system's own topics must be, so that records are written to it and stay.
///
/// Whoever may change settings could otherwise erase what was written down about him, or everybody's positions, or end
/// both. These rules hold whoever asks, as do those for deleting the topic or records of it. Refused when somebody sets
/// it, never when it is read, as in ``ConfigurationTable/checkTopic(_:)``.
struct InternalTopicRule: Sendable {
    let option: TopicOption
    /// For people, behind "must".
    let must: String
    let holds: @Sendable (TopicConfiguration) -> Bool

    /// The topics that have rules. Each is made with values of its own for all that they are about.
    static let topics = [InternalTopic.audit, InternalTopic.offsets, InternalTopic.presence]

    static func all(of topic: String) -> [InternalTopicRule] {
        switch topic {
        case InternalTopic.audit: AuditTopic.rules
        case InternalTopic.offsets: OffsetsTopic.rules
        case InternalTopic.presence: PresenceTopic.rules
        default: []
        }
    }

    /// Whether the topic may have these values of its own.
    static func check(
        _ topic: String, _ overrides: [String: String], in table: ConfigurationTable
    ) throws(BrokerError) {
        let configuration = table.configuration(of: overrides)
        for rule in self.all(of: topic) where !rule.holds(configuration) {
            throw .invalidConfiguration("'\(rule.option.name)' of \(topic) must \(rule.must)")
        }
    }

    /// Whether the broker's values may become those of `next`, although they count for the topic where it sets none.
    /// What is not as it must be already, and does not change, is let be.
    static func check(
        _ topic: Topic, from table: ConfigurationTable, to next: ConfigurationTable
    ) throws(BrokerError) {
        let overrides = topic.configuration.overrides
        let configuration = next.configuration(of: overrides)
        for rule in self.all(of: topic.name) where !rule.holds(configuration) {
            let option = rule.option
            guard table.value(option, over: overrides) != next.value(option, over: overrides) else { continue }
            throw .invalidConfiguration(
                "'\(option.brokerName)' counts for \(topic.name), which sets no '\(option.name)' of its own, and must "
                    + "\(rule.must). Set '\(option.name)' on \(topic.name) first")
        }
    }
}

extension InternalTopicRule {
    /// There is one broker to write it.
    static let oneReplica = InternalTopicRule(option: .inSyncReplicasMin, must: "be 1: there is one broker to write it")
    {
        $0.inSyncReplicasMin <= 1
    }

    /// The system's records carry the time at which they were made, and may wait for the disk.
    static func late(_ least: Duration, _ words: String) -> InternalTopicRule {
        InternalTopicRule(
            option: .timestampBeforeMax,
            must: "be at least \(least.wholeMilliseconds) (\(words)): records may wait for the disk"
        ) {
            $0.timestampBeforeMax.map { $0 >= least } ?? true
        }
    }
}
