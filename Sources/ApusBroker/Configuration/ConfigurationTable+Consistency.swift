import ApusCore
import ApusLog
import ApusSubscriptions

/// Options that are each allowed may contradict one another, or come to nothing. Who asks for that is told so, rather
/// than left to find out.
///
/// Refused when somebody sets it, never when it is read: what an older version took, or what a changed default of the
/// broker made of a topic, goes on as before.
extension ConfigurationTable {
    /// Of a topic with these values of its own.
    func checkTopic(_ overrides: [String: String]) throws(BrokerError) {
        try Self.check(
            self.configuration(of: overrides), hasCeiling: overrides[TopicOption.retentionCeiling.name] != nil,
            name: \.name)
    }

    /// Of the broker, and of topics that set nothing themselves.
    func checkBroker() throws(BrokerError) {
        try Self.check(
            self.topicDefaults, hasCeiling: self.isSet(TopicOption.retentionCeiling.brokerName), name: \.brokerName)
        try self.check(.groupSessionTimeoutMin, isAtMost: .groupSessionTimeoutMax)
        try self.check(.consumerHeartbeatInterval, isAtMost: .consumerSessionTimeout)
    }

    private static func check(
        _ topic: TopicConfiguration, hasCeiling: Bool, name: (TopicOption) -> String
    ) throws(BrokerError) {
        if let compaction = topic.compaction, let lagMax = compaction.lagMax, compaction.lagMin > lagMax {
            throw .invalidConfiguration(
                "'\(name(.compactionLagMin))' must not be above '\(name(.compactionLagMax))'")
        }
        let policy = topic.retentionPolicy
        if policy.mode == .consumed {
            // A reader count says who has read a record, not who needs the last of each key.
            guard topic.compaction == nil else {
                throw .invalidConfiguration(
                    "'\(name(.retentionMode))=consumed' frees nothing of a compacted topic: '\(name(.cleanupPolicy))' "
                        + "must be 'delete' with it")
            }
            guard policy.floor != nil else {
                throw .invalidConfiguration(
                    "'\(name(.retentionMode))=consumed' frees nothing while '\(name(.retentionAge))' is -1: say how "
                        + "long records stay at least, 0 is as soon as all have read them")
            }
        }
        // The default of the ceiling is nobody's wish, and many keep records for longer than that.
        if hasCeiling, let ceiling = policy.ceiling, policy.floor.map({ $0 > ceiling }) ?? true {
            let floor = policy.floor.map { "\($0.wholeMilliseconds)" } ?? "-1"
            throw .invalidConfiguration(
                "'\(name(.retentionCeiling))' (\(ceiling.wholeMilliseconds)) must not be below "
                    + "'\(name(.retentionAge))' (\(floor)): it bounds what subscriptions add to that")
        }
    }

    private func check(_ least: BrokerOption, isAtMost most: BrokerOption) throws(BrokerError) {
        guard self.duration(least) > self.duration(most) else { return }
        throw .invalidConfiguration("'\(least.rawValue)' must not be above '\(most.rawValue)'")
    }
}
