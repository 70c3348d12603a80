package import ApusCore
import KafkaWire

/// Positions: committed, looked up, deleted, expired.
extension GroupCoordinator {
    /// OffsetCommit. Who is no member (`identity.member` empty, generation -1) may commit while nobody is one.
    ///
    /// - Parameters:
    ///   - generation: of a member of KIP-848 its member epoch.
    ///   - version: of OffsetCommit.
    ///   - retention: how long the client wants them kept (OffsetCommit 2 to 4); nil for the broker's rule.
    package mutating func commit(
        _ id: GroupID, _ commits: [Positions.Commit], as identity: MemberIdentity, _ generation: Generation,
        version: Int16 = 10, retention: Duration? = nil, _ token: RequestToken, at now: Moment,
        into actions: inout GroupActions
    ) {
        var refusals: [GroupError?] = []
        do throws(GroupError) {
            try self.check(id)
            guard commits.count <= Limits.positionsPerCommitMax else {
                throw .invalidRequest("more than \(Limits.positionsPerCommitMax) positions at once")
            }
            if let group = self.consumers[id] {
                refusals = try group.refusals(of: commits, identity.member, generation, version)
            } else if self.classic[id] != nil {
                try self.classic[id]?.checkCommit(identity, generation, at: now)
            } else {
                guard generation < .zero else { throw .groupNotFound }
                guard self.positions.holds(id) || self.positions.groupCount < self.settings.groupsMax else {
                    throw .tooManyGroups
                }
            }
        } catch {
            return actions.replies.append((token, .committed(commits.map { _ in error })))
        }
        let (facts, errors) = self.positions.decide(
            commits, refusals, of: id, retention: retention, at: now.wall, self.settings
        )
        guard !facts.isEmpty else { return actions.replies.append((token, .committed(errors))) }
        if let retention { self.lookForExpiry(id, in: max(retention, Limits.offsetsExpiryPeriod), at: now) }
        self.write(Pending(facts: facts, replies: [(token, .committed(errors))]), into: &actions)
    }

    /// OffsetFetch: whether a member of KIP-848 may ask; everybody else may. Nil and an epoch below 0 for who is none.
    ///
    /// - Throws: `.loading`, `.invalidGroupID`; `.unknownMember`, `.staleMemberEpoch`.
    package func checkFetch(_ id: GroupID, member: MemberID?, epoch: GroupEpoch) throws(GroupError) {
        try self.check(id)
        try self.consumers[id]?.checkFetch(member: member, epoch: epoch)
    }

    /// DeleteGroups: the group and all of its positions.
    package mutating func delete(
        _ id: GroupID, _ token: RequestToken, at now: Moment, into actions: inout GroupActions
    ) {
        var hasImage = false
        do throws(GroupError) {
            try self.check(id)
            guard self.holds(id) else { throw .groupNotFound }
            hasImage = try self.classic[id]?.delete() ?? false
            guard self.consumers[id]?.isEmpty ?? true else { throw .groupNotEmpty }
        } catch {
            return actions.replies.append((token, .deleted(error)))
        }
        self.endConsumerGroup(id, into: &actions)
        self.writeDeletion(
            self.positions.deletion(of: id), of: hasImage ? id : nil, token, .deleted(nil), into: &actions
        )
        self.carry(ClassicActions(), of: id, at: now, into: &actions)
    }

    /// OffsetDelete. What members are subscribed to is refused.
    ///
    /// - Throws: `.groupNotFound`; `.groupNotEmpty` when members are there that are no consumers.
    package mutating func deletePositions(
        _ id: GroupID, _ partitions: [(topic: String, partition: PartitionIndex)], _ token: RequestToken,
        at now: Moment, into actions: inout GroupActions
    ) throws(GroupError) {
        try self.check(id)
        guard self.holds(id) else { throw .groupNotFound }
        let use = self.use(of: id)
        if case .active = use, let group = self.classic[id], group.protocolTypeTold != ClassicGroup.consumerProtocol {
            throw .groupNotEmpty
        }
        var keys: [PositionKey] = []
        let errors = partitions.map { topic, partition -> GroupError? in
            if case .active(let topics) = use, topics?.contains(topic) ?? true { return .subscribedToTopic }
            keys.append(PositionKey(group: id, topic: topic, partition: partition))
            return nil
        }
        self.writeDeletion(
            self.positions.deletion(of: keys), of: nil, token, .positionsDeleted(errors), into: &actions
        )
    }

    /// A topic is gone: so are the positions in it.
    package mutating func topicDeleted(_ name: String, _ topic: TopicID, into actions: inout GroupActions) {
        self.writeDeletion(self.positions.deletion(ofTopic: name, topic), of: nil, nil, nil, into: &actions)
    }

    /// Tombstones in writes that a batch can hold. The last one has the group's own, and the answer.
    private mutating func writeDeletion(
        _ facts: [GroupFact], of group: GroupID?, _ token: RequestToken?, _ reply: GroupReply?,
        into actions: inout GroupActions
    ) {
        var rest = facts[...]
        while rest.count > Limits.groupRecordsPerWriteMax {
            let part = rest.prefix(Limits.groupRecordsPerWriteMax)
            rest = rest.dropFirst(part.count)
            self.write(Pending(facts: Array(part), isPartOf: token), into: &actions)
        }
        var last = Pending(facts: Array(rest))
        // What is on its way already may be all there is, and is told of when it is there.
        if last.facts.isEmpty, group == nil, let token, let reply, let before = self.consumerWriteLast {
            self.pending[before]?.replies.append((token, reply))
            return
        }
        if let group {
            last.facts.append(.classic(group, nil))
            last.classic = (group, .deletion)
        }
        if let token, let reply { last.replies = [(token, reply)] }
        guard last.facts.isEmpty else { return self.write(last, into: &actions) }
        actions.replies += last.replies
    }

    // MARK: Expiry

    /// What keeps a group's positions from expiring.
    func use(of id: GroupID) -> Positions.Use {
        if let group = self.consumers[id] { return group.isEmpty ? .none : .active(topics: group.topicNames) }
        guard let group = self.classic[id] else { return .none }
        if !group.isEmpty { return .active(topics: group.topicsSubscribed) }
        guard let changedAt = group.image?.changedAt, changedAt != .none else { return .none }
        return .emptySince(changedAt)
    }

    /// Takes away what has expired of a group, and at last the group.
    mutating func expire(_ id: GroupID, at now: Moment, into actions: inout GroupActions) {
        let (facts, next) = self.positions.expired(
            of: id, self.use(of: id), at: now.wall, self.settings.offsetsRetention
        )
        var isOver = false
        if facts.count == self.positions.count(of: id), self.classic[id]?.isIdle == true {
            isOver = (try? self.classic[id]?.delete()) ?? false  // Refused: it is being deleted already.
        }
        let hasPositionsLeft = facts.count < self.positions.count(of: id)
        if !hasPositionsLeft, self.consumers[id]?.isEmpty == true { self.endConsumerGroup(id, into: &actions) }
        self.writeDeletion(facts, of: isOver ? id : nil, nil, nil, into: &actions)
        guard hasPositionsLeft || self.classic[id] != nil else { return }
        let wait = min(next ?? self.settings.offsetsRetention, self.settings.offsetsRetention)
        // More has expired than one write holds: its turn is soon.
        let isMore = facts.count >= Limits.groupRecordsPerWriteMax
        self.lookForExpiry(id, in: isMore ? .seconds(1) : max(wait, Limits.offsetsExpiryPeriod), at: now)
    }
}

extension ClassicGroup {
    /// The protocol type of consumers, whose subscriptions the broker can read.
    static let consumerProtocol = "consumer"

    var protocolTypeTold: String { self.protocolType ?? self.image?.protocolType ?? "" }

    /// The topics that the members are subscribed to; nil when they are no consumers, or one says what cannot be read.
    package var topicsSubscribed: Set<String>? {
        guard self.protocolTypeTold == Self.consumerProtocol else { return nil }
        var topics: Set<String> = []
        for bytes in self.subscriptions {
            // What cannot be read subscribes to who knows what.
            guard let subscription = try? ConsumerSubscription(from: bytes) else { return nil }
            topics.formUnion(subscription.topics)
        }
        return topics
    }
}
