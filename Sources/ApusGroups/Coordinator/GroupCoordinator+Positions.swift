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
        let (facts, errors, bytes) = self.positions.decide(
            commits, refusals, of: id, retention: retention, at: now.wall, self.settings, bytesMax: self.room
        )
        guard !facts.isEmpty else { return actions.replies.append((token, .committed(errors))) }
        if let retention { self.lookForExpiry(id, in: max(retention, Limits.offsetsExpiryPeriod), at: now) }
        self.write(Pending(facts: facts, replies: [(token, .committed(errors))], bytes: bytes), into: &actions)
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
            if self.deleting.contains(id) { throw .unavailable }
            guard self.holds(id) || !self.pending.positions(of: id).isEmpty else { throw .groupNotFound }
            hasImage = try self.classic[id]?.delete() ?? false
            guard self.consumers[id]?.isEmpty ?? true else { throw .groupNotEmpty }
        } catch {
            return actions.replies.append((token, .deleted(error)))
        }
        self.endConsumerGroup(id, into: &actions)
        self.emptySince[id] = nil
        let coming = self.pending.positions(of: id).filter(\.value).keys
        self.writeDeletion(
            self.positions.deletion(of: id, and: coming), of: hasImage ? id : nil, token, .deleted(nil),
            into: &actions
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
        let coming = self.pending.positions(of: id)
        guard self.holds(id) || !coming.isEmpty else { throw .groupNotFound }
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
            self.positions.deletion(of: keys, coming), of: nil, token, .positionsDeleted(errors), into: &actions
        )
    }

    /// A topic is gone: so are the positions in it.
    package mutating func topicDeleted(_ name: String, _ topic: TopicID, into actions: inout GroupActions) {
        let coming = self.pending.positions(inTopic: name, topic)
        self.writeDeletion(
            self.positions.deletion(ofTopic: name, topic, and: coming), of: nil, nil, nil, into: &actions)
    }

    /// Tombstones in writes that a batch can hold. The last one has the group's own, and the answer.
    mutating func writeDeletion(
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
            return self.pending.add([(token, reply)], to: before)
        }
        if let group {
            last.facts.append(.classic(group, nil))
            last.classic = (group, .deletion)
        }
        if let token, let reply { last.replies = [(token, reply)] }
        if case .deleted = reply { last.deletes = last.facts.first?.group }
        guard last.facts.isEmpty else { return self.write(last, into: &actions) }
        actions.replies += last.replies
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
