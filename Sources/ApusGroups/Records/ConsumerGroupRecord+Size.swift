import ApusCore

/// How long records get, without making them: what is written together must fit a batch, and what does not fit must be
/// refused before it is applied.
extension ConsumerGroupRecord {
    /// At least as many bytes as key and value have.
    var byteCountMax: Int {
        // The version and type numbers, and the lengths of two names.
        let key = 8 + self.group.rawValue.utf8.count
        switch self {
        case .group, .target: return key + 32
        case .partitionMetadata(_, let topics):
            return (topics ?? []).reduce(key + 16) { $0 + $1.name.utf8.count + 32 }
        case .member(_, let member, let profile):
            return key + member.rawValue.utf8.count + (profile?.byteCountMax ?? 0)
        case .targetMember(_, let member, let partitions):
            return key + member.rawValue.utf8.count + 16 + (partitions?.byteCountMax(each: 4) ?? 0)
        case .currentAssignment(_, let member, let current):
            let held = (current?.assigned.byteCountMax(each: 8) ?? 0) + (current?.revoking.byteCountMax(each: 4) ?? 0)
            return key + member.rawValue.utf8.count + 32 + held
        case .pattern(_, let text, let resolved):
            return (resolved?.topicNames ?? []).reduce(key + text.utf8.count + 48) { $0 + $1.utf8.count + 5 }
        }
    }
}

extension ConsumerMember.Profile {
    fileprivate var byteCountMax: Int {
        let texts = [
            self.instance?.rawValue, self.rack, self.client.clientID, self.client.host, self.topicPattern,
            self.assignor, self.principal,
        ]
        let alone = texts.reduce(64) { $0 + ($1?.utf8.count ?? 0) + 5 }
        return self.topicNames.reduce(alone) { $0 + $1.utf8.count + 5 }
    }
}

extension PartitionSet {
    /// - Parameter bytes: of each partition: its number, and perhaps its epoch.
    fileprivate func byteCountMax(each bytes: Int) -> Int {
        // An id, two lengths, and the head of the tagged field that may hold epochs.
        self.topicCount * 40 + self.count * bytes
    }
}
