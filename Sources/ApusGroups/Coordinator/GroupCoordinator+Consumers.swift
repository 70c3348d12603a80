import ApusCore

/// The verbs of KIP-848, and how a group changes from one protocol to the other.
extension GroupCoordinator {
    // MARK: Heartbeats

    /// ConsumerGroupHeartbeat, as many as came together: a thousand members that join at once get one assignment.
    package mutating func heartbeats(
        _ heartbeats: [(request: ConsumerGroupHeartbeat, token: RequestToken)], topics: any SubscribableTopics,
        at now: Moment, into actions: inout GroupActions
    ) {
        var heard: [ConsumerGroupHeartbeat] = []
        var tokens: [RequestToken] = []
        heard.reserveCapacity(heartbeats.count)
        tokens.reserveCapacity(heartbeats.count)
        for (request, token) in heartbeats {
            do throws(GroupError) {
                try self.check(request.group)
                try self.checkRoom(for: request)
                heard.append(request)
                tokens.append(token)
            } catch {
                actions.replies.append((token, .consumer(.failure(error))))
            }
        }
        guard !heard.isEmpty else { return }
        let decision = self.decide(heard, topics, at: now)
        self.carry(decision, tokens, at: now, into: &actions)
    }

    private mutating func decide(
        _ heard: [ConsumerGroupHeartbeat], _ topics: any SubscribableTopics, at now: Moment
    ) -> ConsumerGroups.Decision {
        let classic = self.classic
        return self.consumers.heartbeats(heard, now: now.instant, wall: now.wall, topics: topics) { id in
            guard let group = classic[id] else { return .none }
            return group.isIdle && group.phase == .empty ? .empty : .inUse
        }
    }

    /// What ``GroupActions/patternWork`` asked for.
    package mutating func resolved(
        _ outcome: PatternWork.Outcome, topics: any SubscribableTopics, at now: Moment,
        into actions: inout GroupActions
    ) {
        guard !self.isLoading else { return }
        let decision = self.consumers.resolved(outcome, now: now.instant, wall: now.wall, topics: topics)
        self.carry(decision, [], at: now, into: &actions)
    }

    /// Topics were created, deleted, or got partitions; nil: any may have. Groups notice with their next heartbeat.
    package mutating func topicsChanged(_ names: [String]?) { self.consumers.topicsChanged(names) }

    /// Writes what was decided, in parts that a batch can hold: any prefix of the records will do. The answers leave
    /// when all of them, and all that were decided before, are written.
    ///
    /// - Parameter tokens: whose answers they are, in their order.
    mutating func carry(
        _ decision: ConsumerGroups.Decision, _ tokens: [RequestToken], at now: Moment, into actions: inout GroupActions
    ) {
        actions.patternWork += decision.patternWork
        defer { for id in Set(decision.records.map(\.group)) { self.measure(id) } }
        let replies = zip(tokens, decision.replies).map { ($0, GroupReply.consumer($1)) }
        let replaced = decision.classicGroupsReplaced.compactMap { self.endClassicGroup($0) }
        guard !decision.records.isEmpty || !replaced.isEmpty else {
            if let last = self.consumerWriteLast {
                self.pending.add(replies, to: last)
            } else {
                actions.replies += replies
            }
            return
        }
        self.writeConsumerRecords(decision.records, behind: replaced, replies, into: &actions)
        for case .member(let id, _, nil) in decision.records where self.consumers[id]?.isEmpty == true {
            self.becameEmpty(id, at: now)
        }
    }

    private mutating func writeConsumerRecords(
        _ records: [ConsumerGroupRecord], behind facts: [GroupFact],
        _ replies: [(token: RequestToken, reply: GroupReply)], into actions: inout GroupActions
    ) {
        var next = Pending(facts: facts)
        var bytes = 0
        for record in records {
            let more = record.byteCountMax
            let isFull =
                next.consumerRecords.count >= Limits.groupRecordsPerWriteMax
                || bytes + more > Limits.groupBatchBytes.rawValue
            if isFull, !next.consumerRecords.isEmpty {
                self.write(next, into: &actions)
                next = Pending(facts: [])
                bytes = 0
            }
            next.consumerRecords.append(record)
            bytes += more
        }
        next.replies = replies
        self.write(next, into: &actions)
    }

    // MARK: From one protocol to the other

    /// An empty classic group became a consumer group. Its tombstone, if it has a record.
    private mutating func endClassicGroup(_ id: GroupID) -> GroupFact? {
        guard let group = self.classic.removeValue(forKey: id) else { return nil }
        self.deadlines.remove(.group(id))
        self.measure(id)
        return group.image.map { _ in .classic(id, nil) }
    }

    /// An empty consumer group becomes a classic one, or is deleted, or nobody needs it any more.
    mutating func endConsumerGroup(_ id: GroupID, into actions: inout GroupActions) {
        // Refused: there is none.
        guard let records = try? self.consumers.delete(id) else { return }
        if !self.positions.holds(id) { self.emptySince[id] = nil }
        self.measure(id)
        self.writeConsumerRecords(records, behind: [], [], into: &actions)
    }

    /// Whether there is anything of this name: a group of either protocol, or positions.
    package func holds(_ id: GroupID) -> Bool {
        self.classic[id] != nil || self.consumers[id] != nil || self.positions.holds(id)
    }

    // MARK: Looking

    /// - Throws: `.groupNotFound` also for a group of the classic protocol.
    package func describeConsumerGroup(
        _ id: GroupID, topics: any SubscribableTopics
    ) throws(GroupError) -> ConsumerGroupDescription {
        try self.check(id)
        guard let group = self.consumers[id] else { throw .groupNotFound }
        return group.describe(topics)
    }
}
