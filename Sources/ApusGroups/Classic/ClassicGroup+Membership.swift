import ApusCore

/// Heartbeat, LeaveGroup, and whether a member may commit: all that asks who somebody is.
extension ClassicGroup {
    /// The member that this is.
    ///
    /// - Throws: `.unknownMember`; `.fencedInstance` when another process has taken over the instance id.
    func member(_ identity: MemberIdentity) throws(GroupError) -> ClassicMember {
        if let instance = identity.instance {
            guard let current = self.instances[instance], let member = self.members[current] else {
                throw .unknownMember
            }
            guard current == identity.member else { throw .fencedInstance }
            return member
        }
        guard let member = self.members[identity.member] else { throw .unknownMember }
        return member
    }

    // MARK: Heartbeat

    /// - Throws: `.rebalanceInProgress` asks the member to join again; its session goes on all the same.
    package mutating func heartbeat(
        _ identity: MemberIdentity, _ generation: Generation, at now: Moment
    ) throws(GroupError) {
        if self.phase == .dead { throw .unavailable }
        let member = try self.member(identity)
        guard generation == self.generation else { throw .illegalGeneration }
        switch self.phase {
        case .empty, .dead: throw .unknownMember
        case .completing, .stable: self.heard(member.id, at: now)
        case .preparing:
            self.heard(member.id, at: now)
            throw .rebalanceInProgress
        }
    }

    // MARK: Positions

    /// Whether these may commit positions now: a member of the current generation, or, while there are no members,
    /// anybody who does not claim to be one.
    package mutating func checkCommit(
        _ identity: MemberIdentity, _ generation: Generation, at now: Moment
    ) throws(GroupError) {
        if self.phase == .dead { throw .unavailable }
        if generation < .zero, self.members.isEmpty { return }
        let member = try self.member(identity)
        guard generation == self.generation else { throw .illegalGeneration }
        self.heard(member.id, at: now)
        // What it would commit was read in the generation before this one, whose assignment it does not know yet.
        if case .completing = self.phase { throw .rebalanceInProgress }
    }

    // MARK: Leaving

    /// A static member may be named by its instance id alone. `token` is answered with one result for each, in order.
    package mutating func leave(
        _ identities: [MemberIdentity], _ token: RequestToken, at now: Moment, into actions: inout ClassicActions
    ) {
        var isChanged = false
        let results = identities.map { identity in
            do throws(GroupError) {
                isChanged = try self.leave(identity, into: &actions) || isChanged
                return LeaveResult(identity: identity, error: nil)
            } catch {
                return LeaveResult(identity: identity, error: error)
            }
        }
        let before = actions.writes.count
        if isChanged { self.rebalance(at: now, into: &actions) } else { self.recheck(at: now, into: &actions) }
        if actions.writes.count > before {
            actions.writes[before].replies.append((token, .left(results)))
        } else {
            actions.answer(token, .left(results))
        }
    }

    /// Whether somebody left who was more than a name.
    private mutating func leave(
        _ identity: MemberIdentity, into actions: inout ClassicActions
    ) throws(GroupError) -> Bool {
        if self.phase == .dead { throw .unavailable }
        if identity.instance == nil, self.pending.contains(identity.member) {
            self.removePending(identity.member)
            return false
        }
        var identity = identity
        if identity.member == .none, let instance = identity.instance, let current = self.instances[instance] {
            identity.member = current
        }
        let member = try self.member(identity)
        self.remove(member.id, .unknownMember, into: &actions)
        return true
    }

    // MARK: Deleting

    /// Ends the group, if nobody is in it. True when there is something to take away: then the caller writes a
    /// tombstone, and says what became of it with ``written(_:at:into:)`` or ``writeFailed(_:into:)``.
    ///
    /// - Throws: `.groupNotEmpty`; `.unavailable` while it is being deleted.
    package mutating func delete() throws(GroupError) -> Bool {
        if self.phase == .dead { throw .unavailable }
        guard self.members.isEmpty else { throw .groupNotEmpty }
        for id in self.pending { self.removePending(id) }
        guard self.image != nil || self.writesUnderWay > 0 else { return false }
        self.phase = .dead
        self.writesUnderWay += 1
        return true
    }
}
