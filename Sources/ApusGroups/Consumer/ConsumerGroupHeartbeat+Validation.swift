import ApusCore

extension ConsumerGroupHeartbeat {
    /// What can be said of a request before its group is looked at.
    func validate() throws(GroupError) {
        try Self.check(self.group.rawValue, "GroupId")
        try Self.check(self.member.rawValue, "MemberId")
        try Self.check(self.instance?.rawValue, "InstanceId")
        try Self.check(self.rack, "RackId")
        guard self.client.clientID.utf8.count <= Limits.consumerNameBytesMax else {
            throw .invalidRequest("ClientId is longer than \(Limits.consumerNameBytesMax) bytes.")
        }
        if let timeout = self.rebalanceTimeout, timeout <= .zero || timeout > Limits.rebalanceTimeoutMax {
            throw .invalidRequest("RebalanceTimeoutMs must be positive, and a day at most.")
        }
        if let names = self.topicNames, names.count > Limits.topicNamesPerMemberMax {
            throw .invalidRequest("SubscribedTopicNames has more than \(Limits.topicNamesPerMemberMax) names.")
        }
        if let long = self.topicNames?.first(where: { $0.utf8.count > Limits.topicNameCharactersMax }) {
            throw .invalidRequest("SubscribedTopicNames has a name of \(long.utf8.count) bytes; no topic has one.")
        }
        switch self.epoch {
        case .join: try self.validateJoin()
        case .leaveStatic where self.instance == nil: throw .invalidRequest("InstanceId can't be null.")
        case ..<GroupEpoch.leaveStatic: throw .invalidRequest("MemberEpoch \(self.epoch) is invalid.")
        default: break
        }
        if let assignor = self.assignor, Assignor(rawValue: assignor) == nil { throw .unsupportedAssignor }
    }

    private func validateJoin() throws(GroupError) {
        guard self.rebalanceTimeout != nil else {
            throw .invalidRequest("RebalanceTimeoutMs must be provided in first request.")
        }
        guard self.owned?.isEmpty == true else {
            throw .invalidRequest("TopicPartitions must be empty when (re-)joining.")
        }
        // No topics at all are fine: such a member waits.
        guard self.topicNames != nil || self.topicPattern != nil else {
            throw .invalidRequest(
                "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining."
            )
        }
    }

    private static func check(_ name: String?, _ field: String) throws(GroupError) {
        guard let name else { return }
        // Blanks alone count as nothing, as they do in Kafka.
        guard name.contains(where: { !$0.isWhitespace }) else { throw .invalidRequest("\(field) can't be empty.") }
        guard name.utf8.count <= Limits.consumerNameBytesMax else {
            throw .invalidRequest("\(field) is longer than \(Limits.consumerNameBytesMax) bytes.")
        }
    }

    /// All that can be said is said: the member wants to hear all in return.
    var isFull: Bool {
        self.epoch == .join
            || (self.rebalanceTimeout != nil && self.owned != nil
                && (self.topicNames != nil || self.topicPattern != nil))
    }

    /// Nothing but "I am here".
    var isPlain: Bool {
        self.epoch > .join && self.owned == nil && self.topicNames == nil && self.topicPattern == nil
            && self.rebalanceTimeout == nil && self.assignor == nil && self.rack == nil && self.instance == nil
    }

    /// The profile of a member after this request.
    func profile(after before: ConsumerMember.Profile?) -> ConsumerMember.Profile {
        // Who joins says everything; what it does not say it does not want.
        var profile = self.epoch == .join ? ConsumerMember.Profile() : before ?? ConsumerMember.Profile()
        if self.epoch == .join, self.instance == nil { profile.instance = before?.instance }
        if let instance = self.instance { profile.instance = instance }
        if let rack = self.rack { profile.rack = rack }
        if let timeout = self.rebalanceTimeout { profile.rebalanceTimeout = timeout }
        if let names = self.topicNames { profile.topicNames = Self.inOrder(names) }
        if let pattern = self.topicPattern { profile.topicPattern = pattern.isEmpty ? nil : pattern }
        if let assignor = self.assignor { profile.assignor = assignor }
        profile.client = self.client
        profile.principal = self.principal
        return profile
    }

    /// Ascending, without repeats.
    private static func inOrder(_ names: [String]) -> [String] {
        if zip(names, names.dropFirst()).allSatisfy({ $0 < $1 }) { return names }
        return Set(names).sorted()
    }
}
