import ApusCore

/// What a batch of heartbeats to one group comes to.
struct ConsumerGroupDecision {
    var records: [ConsumerGroupRecord] = []
    /// In the order of the requests.
    var replies: [Result<ConsumerGroupHeartbeatReply, GroupError>?] = []
    var patternWork: [PatternWork] = []
}

/// Heartbeats, as many as came together: their members come, go and change first; then the group epoch grows, once;
/// then the target assignment is computed, once; then each member takes its step towards it.
extension ConsumerGroup {
    /// Some requests on their way to their answers.
    private struct Batch {
        struct Step {
            let index: Int
            let member: MemberID
            let request: ConsumerGroupHeartbeat
            let before: ConsumerMember.Current
        }

        var steps: [Step] = []
        var members: Set<MemberID> = []
        /// Where its records begin.
        var start = 0
    }

    /// - Parameter requests: all to this group, validated, in the order in which they came.
    mutating func heartbeats(_ requests: [ConsumerGroupHeartbeat], _ moment: GroupMoment) -> ConsumerGroupDecision {
        var decision = ConsumerGroupDecision()
        decision.replies.reserveCapacity(requests.count)
        var batch = Batch()
        for (index, request) in requests.enumerated() {
            decision.replies.append(nil)
            if let reply = self.idle(request, moment) {
                decision.replies[index] = .success(reply)
                continue
            }
            // The second word of one member is heard after the first was answered.
            if batch.members.contains(request.member) { self.finish(&batch, &decision, moment) }
            do throws(GroupError) {
                if let before = try self.admit(request, &decision.records, moment) {
                    batch.steps.append(
                        Batch.Step(index: index, member: request.member, request: request, before: before)
                    )
                    batch.members.insert(request.member)
                } else {
                    decision.replies[index] = .success(self.farewell(request, moment))
                }
            } catch {
                decision.replies[index] = .failure(error)
            }
        }
        self.finish(&batch, &decision, moment)
        return decision
    }

    /// A member that has all it should have says that it is there: nearly every heartbeat there is.
    mutating func idle(
        _ request: ConsumerGroupHeartbeat, _ moment: GroupMoment
    ) -> ConsumerGroupHeartbeatReply? {
        guard request.isPlain, self.isQuiet(moment), let place = self.members.index(forKey: request.member) else {
            return nil
        }
        let member = self.members.values[place]
        guard member.current.epoch == request.epoch, self.isSettled(member),
            member.profile.principal == request.principal
        else { return nil }
        self.members.values[place].session.endsAt = moment.now.advanced(by: moment.settings.sessionTimeout)
        return ConsumerGroupHeartbeatReply(
            member: member.id, epoch: request.epoch, heartbeatInterval: self.interval(of: member, moment)
        )
    }

    /// Nothing changed that a heartbeat would have to see to.
    private func isQuiet(_ moment: GroupMoment) -> Bool {
        !self.isChanged && !self.topicsMayDiffer && self.patternsPending.isEmpty && self.epoch == self.assignmentEpoch
            && self.patternsTooLarge.isEmpty && self.journalRead == moment.journal.end && self.knowsRights(moment)
    }

    private mutating func finish(_ batch: inout Batch, _ decision: inout ConsumerGroupDecision, _ moment: GroupMoment) {
        self.grow(&decision.records, from: batch.start, &decision.patternWork, moment)
        // Who left waits for nothing: the next one that speaks has the target computed.
        if !batch.steps.isEmpty { self.retarget(&decision.records, moment) }
        for step in batch.steps {
            decision.replies[step.index] = self.answer(step, &decision.records, moment)
        }
        batch = Batch()
        batch.start = decision.records.count
    }

    /// Leads a member one step on, and says where it stands.
    private mutating func answer(
        _ step: Batch.Step, _ records: inout [ConsumerGroupRecord], _ moment: GroupMoment
    ) -> Result<ConsumerGroupHeartbeatReply, GroupError> {
        guard let member = self.members[step.member] else { return .failure(.unknownMember) }
        if let refusal = self.refusal(of: member) {
            if member.session.endsAt == nil { self.startSession(of: member.id, moment) }
            return .failure(refusal)
        }
        let request = step.request
        // A member that is behind missed an answer, and with it perhaps what it got.
        let mayHaveMissed = request.isFull || request.epoch != step.before.epoch
        let report = OwnershipReport(
            owned: request.owned, before: member.session.owned, hasDenied: member.session.deniesRevoking,
            mayHaveMissed: mayHaveMissed, isJoin: request.epoch == .join
        )
        let reconciliation = Reconciliation(
            current: member.current, targetEpoch: self.assignmentEpoch, target: self.targets[member.id] ?? .empty,
            report: report
        )
        let next = reconciliation.next { self.owners[$0] == nil || self.owners[$0] == member.id }
        if next != member.current {
            let record = ConsumerGroupRecord.currentAssignment(self.id, member: member.id, next)
            self.apply(record)
            records.append(record)
        }
        self.note(request.owned, of: member, next)
        self.startSession(of: member.id, moment)
        let isNewTask = next.revoking != member.current.revoking || next.epoch != member.current.epoch
        if isNewTask || next.state != .unrevoked { self.startRevocation(of: member.id, moment) }
        return .success(
            ConsumerGroupHeartbeatReply(
                member: member.id, epoch: next.epoch,
                heartbeatInterval: self.interval(of: self.members[member.id] ?? member, moment),
                assignment: mayHaveMissed || next.assigned != step.before.assigned ? next.assigned : nil
            )
        )
    }

    /// Why a member waits in vain for what it asked for. Its session is not prolonged, so at some time it is out, and
    /// those that have something keep it meanwhile.
    private func refusal(of member: ConsumerMember) -> GroupError? {
        guard member.current.assigned.isEmpty, self.targets[member.id] == nil else { return nil }
        if let pattern = member.profile.topicPattern, self.patternsTooLarge.contains(pattern) {
            return .invalidRegularExpression("it matches more topics than a group can keep")
        }
        guard self.isTargetTooLarge else { return nil }
        return .invalidRequest("A member's part of the partitions would be more than can be kept of one.")
    }

    /// Remembers what the member said that it has.
    private mutating func note(_ owned: PartitionSet?, of member: ConsumerMember, _ next: ConsumerMember.Current) {
        if let owned {
            // Of what it was given; the rest of a list that a client makes up is not kept.
            let given = member.current.assigned.union(member.current.revoking)
            self.members[member.id]?.session.owned = owned.intersection(given)
            self.members[member.id]?.session.deniesRevoking =
                next.state == .unrevoked && owned.isDisjoint(with: next.revoking)
        } else if next.revoking != member.current.revoking {
            self.members[member.id]?.session.deniesRevoking = false
        }
    }

    private func farewell(_ request: ConsumerGroupHeartbeat, _ moment: GroupMoment) -> ConsumerGroupHeartbeatReply {
        ConsumerGroupHeartbeatReply(
            member: request.member, epoch: request.epoch, heartbeatInterval: moment.settings.heartbeatInterval
        )
    }

    /// Members of a group that is moving speak more often: what they wait for comes with their own heartbeat only.
    private func interval(of member: ConsumerMember, _ moment: GroupMoment) -> Duration {
        let settings = moment.settings
        let isMoving = self.changedAt.map { moment.now.since($0) < settings.movingTime } ?? false
        let isWaiting = self.epoch != self.assignmentEpoch || !self.isSettled(member)
        guard isMoving || isWaiting else { return settings.heartbeatInterval }
        let pause = max(settings.heartbeatIntervalMoving, Limits.movingPausePerMember * self.members.count)
        return min(pause, settings.heartbeatInterval)
    }
}
