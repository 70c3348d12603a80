import ApusCore

/// The only code that changes durable state, live and on recovery alike. It takes records in any order that compaction
/// can leave them in, and trusts none of them: what is written to the disk may come back otherwise.
extension ConsumerGroup {
    package mutating func apply(_ record: ConsumerGroupRecord) {
        switch record {
        case .group(_, let group):
            self.epoch = group?.epoch
            self.metadataHash = group?.metadataHash ?? 0
        case .partitionMetadata: break  // The metadata hash says it; only brokers before Kafka 4.1 wrote this.
        case .member(_, let id, let profile):
            if let profile { self.apply(profile, of: id) } else { self.remove(id) }
        case .target(_, let target): self.assignmentEpoch = target?.epoch ?? .join
        case .targetMember(_, let id, let partitions):
            self.setTarget(partitions.flatMap { $0.isEmpty ? nil : $0 }, of: id)
        case .currentAssignment(_, let id, let current):
            if let current {
                self.apply(current, of: id)
            } else if self.members[id] != nil {
                self.apply(ConsumerMember.Current(), of: id)
            }
        case .pattern(_, let text, let resolved):
            self.stateBytes += (resolved?.bytesHeld ?? 0) - (self.patterns[text]?.bytesHeld ?? 0)
            self.patterns[text] = resolved
        }
    }

    private mutating func setTarget(_ partitions: PartitionSet?, of id: MemberID) {
        let before = self.targets[id]?.count ?? 0
        self.targets[id] = partitions
        self.stateBytes += ((partitions?.count ?? 0) - before) * Limits.partitionMemory.rawValue
    }

    private mutating func apply(_ profile: ConsumerMember.Profile, of id: MemberID) {
        let bytesBefore = self.members[id]?.bytesHeld ?? 0
        let subscription = SubscriptionTable.Subscription(profile)
        let place = self.subscriptions.retain(subscription)
        if let before = self.subscriptionOf.updateValue(place, forKey: id) { self.subscriptions.release(before) }
        var member = self.members[id] ?? ConsumerMember(id: id)
        defer { self.stateBytes += member.bytesHeld - bytesBefore }
        if let instance = member.profile.instance, self.instances[instance] == id { self.instances[instance] = nil }
        member.profile = profile
        // The list that is there already, so that equal lists are one.
        if let shared = self.subscriptions[place] { member.profile.topicNames = shared.topicNames }
        if let instance = profile.instance { self.instances[instance] = id }
        self.members[id] = member
    }

    private mutating func apply(_ current: ConsumerMember.Current, of id: MemberID) {
        var member = self.members[id] ?? ConsumerMember(id: id)
        let before = member.current.assigned.union(member.current.revoking)
        let after = current.assigned.union(current.revoking)
        // Between two records of a compacted log a partition may seem to have two owners: the later record is right.
        for partition in before.subtracting(after) where self.owners[partition] == id { self.owners[partition] = nil }
        for partition in after { self.owners[partition] = id }
        self.stateBytes -= self.members[id]?.bytesHeld ?? 0
        member.current = current
        self.members[id] = member
        self.stateBytes += member.bytesHeld
    }

    private mutating func remove(_ id: MemberID) {
        self.setTarget(nil, of: id)
        guard let member = self.members[id] else { return }
        self.apply(ConsumerMember.Current(), of: id)
        self.stateBytes -= self.members.removeValue(forKey: id)?.bytesHeld ?? 0
        if let instance = member.profile.instance, self.instances[instance] == id { self.instances[instance] = nil }
        if let place = self.subscriptionOf.removeValue(forKey: id) { self.subscriptions.release(place) }
    }

    /// All records were applied: the group begins to live. Everybody gets a whole session.
    /// - Returns: what must be written for a group that a damaged or foreign log left odd; mostly nothing.
    mutating func loaded(_ moment: GroupMoment) -> [ConsumerGroupRecord] {
        var records: [ConsumerGroupRecord] = []
        // Members of whom nothing but an assignment is known.
        for id in self.members.keys.sorted() where self.subscriptionOf[id] == nil {
            self.isChanged = true
            records += self.removal(of: id)
        }
        // Targets of nobody.
        for id in self.targets.keys.sorted() where self.members[id] == nil {
            records.append(.targetMember(self.id, member: id, nil))
        }
        for record in records { self.apply(record) }
        self.patternsPending = Set(self.subscriptions.patterns)
        for id in self.members.keys {
            self.startSession(of: id, moment)
            self.startRevocation(of: id, moment)
        }
        return records
    }

    /// A member goes. Its partitions are free.
    func removal(of id: MemberID) -> [ConsumerGroupRecord] {
        [
            .currentAssignment(self.id, member: id, nil), .targetMember(self.id, member: id, nil),
            .member(self.id, member: id, nil),
        ]
    }
}
