import ApusCore

/// Who comes, who goes, who is refused.
extension ConsumerGroup {
    /// Takes a request into the group.
    /// - Returns: where the member stood before it; nil when it left.
    mutating func admit(
        _ request: ConsumerGroupHeartbeat, _ records: inout [ConsumerGroupRecord], _ moment: GroupMoment
    ) throws(GroupError) -> ConsumerMember.Current? {
        switch request.epoch {
        case .leave, .leaveStatic:
            try self.leave(request, &records, moment)
            return nil
        case .join: return try self.join(request, &records, moment)
        default: return try self.goOn(request, &records)
        }
    }

    // MARK: Coming

    private mutating func join(
        _ request: ConsumerGroupHeartbeat, _ records: inout [ConsumerGroupRecord], _ moment: GroupMoment
    ) throws(GroupError) -> ConsumerMember.Current {
        try self.compile(request.topicPattern)
        try self.checkRoom(for: request)
        if let instance = request.instance, let holder = self.instances[instance], holder != request.member {
            guard let before = self.members[holder], before.isAway else { throw .unreleasedInstance }
            self.replace(before, by: request, &records)
        }
        guard self.members[request.member] != nil || self.members.count < moment.settings.membersMax else {
            throw .groupFull
        }
        // A member that is known joins again: it restarted without a word, or its last answer was lost. It has nothing,
        // so what it was to give up is given up.
        self.update(request, &records)
        return self.members[request.member]?.current ?? ConsumerMember.Current()
    }

    /// A static member is back, with a new id: it gets what it had.
    private mutating func replace(
        _ before: ConsumerMember, by request: ConsumerGroupHeartbeat, _ records: inout [ConsumerGroupRecord]
    ) {
        var current = before.current
        current.epoch = .join
        current.previousEpoch = .join
        current.state = .stable
        current.revoking = .empty
        var profile = before.profile
        profile.instance = request.instance
        // The new one is written first: should the rest be lost, the old one still ends with its session. And the old
        // one gives up before the new one has: nothing is two members', wherever the records are cut.
        self.persist(
            [
                .member(self.id, member: request.member, profile),
                .targetMember(self.id, member: request.member, self.targets[before.id] ?? .empty),
                .currentAssignment(self.id, member: before.id, nil),
                .currentAssignment(self.id, member: request.member, current),
                .targetMember(self.id, member: before.id, nil), .member(self.id, member: before.id, nil),
            ],
            &records
        )
    }

    // MARK: Staying

    private mutating func goOn(
        _ request: ConsumerGroupHeartbeat, _ records: inout [ConsumerGroupRecord]
    ) throws(GroupError) -> ConsumerMember.Current {
        if let instance = request.instance { try self.checkInstance(instance, request.member) }
        guard let member = self.members[request.member] else { throw .unknownMember }
        let current = member.current
        // Behind by one epoch, and with nothing that was not given to it: its last answer was lost.
        let lostAnswer =
            request.epoch == current.previousEpoch && request.epoch < current.epoch
            && request.owned?.isSubset(of: current.assigned) == true
        guard request.epoch == current.epoch || lostAnswer else {
            throw .fencedMemberEpoch
        }
        try self.compile(request.topicPattern)
        try self.checkRoom(for: request)
        self.update(request, &records)
        return current
    }

    private func checkRoom(for request: ConsumerGroupHeartbeat) throws(GroupError) {
        if let pattern = request.topicPattern, !pattern.isEmpty, !self.subscriptions.hasPattern(pattern),
            self.subscriptions.patterns.count >= Limits.topicPatternsPerGroupMax
        {
            throw .invalidRequest("A group may have \(Limits.topicPatternsPerGroupMax) regular expressions.")
        }
        guard request.topicNames != nil else { return }
        let profile = request.profile(after: self.members[request.member]?.profile)
        let subscription = SubscriptionTable.Subscription(profile)
        guard self.subscriptions.hasRoom(for: subscription) else {
            throw .invalidRequest("The members of a group may name \(Limits.topicNamesPerGroupMax) topics in all.")
        }
    }

    private func checkInstance(_ instance: InstanceID, _ member: MemberID) throws(GroupError) {
        guard let holder = self.instances[instance] else { throw .unknownMember }
        guard holder == member else { throw .fencedInstance }
    }

    /// Notes what the request says of its member.
    private mutating func update(_ request: ConsumerGroupHeartbeat, _ records: inout [ConsumerGroupRecord]) {
        let before = self.members[request.member]?.profile
        if request.isPlain, before?.client == request.client, before?.principal == request.principal { return }
        let profile = request.profile(after: before)
        guard profile != before else { return }
        self.persist([.member(self.id, member: request.member, profile)], &records)
        if profile.topicNames != before?.topicNames || profile.topicPattern != before?.topicPattern
            || profile.reader != before?.reader || before == nil
        {
            self.isChanged = true
        }
        if let pattern = profile.topicPattern, self.patterns[pattern] == nil { self.patternsPending.insert(pattern) }
    }

    private mutating func compile(_ text: String?) throws(GroupError) {
        guard let text, !text.isEmpty, self.compiled[text] == nil else { return }
        do throws(PatternError) {
            let pattern = try TopicRegex(text)
            // Kept when a member has it: `grow` forgets what nobody has.
            self.compiled[text] = pattern
        } catch {
            throw .invalidRegularExpression(error.reason)
        }
    }

    // MARK: Going

    private mutating func leave(
        _ request: ConsumerGroupHeartbeat, _ records: inout [ConsumerGroupRecord], _ moment: GroupMoment
    ) throws(GroupError) {
        if let instance = request.instance { try self.checkInstance(instance, request.member) }
        guard let member = self.members[request.member] else { throw .unknownMember }
        guard request.epoch == .leaveStatic else {
            self.expel(request.member, &records)
            return
        }
        var current = member.current
        current.previousEpoch = current.epoch
        current.epoch = .leaveStatic
        current.state = .stable
        // It has nothing any more. What it should have is kept for its return, for the time of one session.
        current.revoking = .empty
        self.persist([.currentAssignment(self.id, member: member.id, current)], &records)
        self.startSession(of: member.id, moment)
        self.startRevocation(of: member.id, moment)
    }

    /// The member is out: it left, or nothing was heard of it.
    mutating func expel(_ member: MemberID, _ records: inout [ConsumerGroupRecord]) {
        self.persist(self.removal(of: member), &records)
        self.isChanged = true
    }

    /// Records are decided: they are applied now, and written before anyone is told.
    mutating func persist(_ new: [ConsumerGroupRecord], _ records: inout [ConsumerGroupRecord]) {
        for record in new { self.apply(record) }
        records += new
    }
}
