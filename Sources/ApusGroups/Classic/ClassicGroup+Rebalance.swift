import ApusCore
import NIOCore

/// From one generation to the next.
extension ClassicGroup {
    // MARK: Asking everybody to join again

    /// Somebody came, went, or tells something else.
    mutating func rebalance(at now: Moment, into actions: inout ClassicActions) {
        switch self.phase {
        case .empty, .completing, .stable:
            if self.members.isEmpty { return self.becomeEmpty(at: now, into: &actions) }
            self.prepare(at: now, into: &actions)
        case .preparing(let delay):
            if self.members.isEmpty { return self.becomeEmpty(at: now, into: &actions) }
            if delay == nil { self.completeIfAllJoined(at: now, into: &actions) }
        case .dead: break
        }
    }

    /// A name that everybody waited for will not come.
    mutating func recheck(at now: Moment, into actions: inout ClassicActions) {
        if case .preparing(nil) = self.phase { self.rebalance(at: now, into: &actions) }
    }

    private mutating func prepare(at now: Moment, into actions: inout ClassicActions) {
        let wasEmpty = self.phase == .empty
        self.emptySince = nil
        self.refuseSyncs(.rebalanceInProgress, into: &actions)
        self.deadlines.remove(.sync)
        let timeout = self.rebalanceTimeout
        if wasEmpty, self.settings.initialDelay > .zero {
            let first = min(self.settings.initialDelay, timeout)
            self.phase = .preparing(InitialDelay(remaining: timeout - first))
            self.deadlines.set(.join, now.instant.advanced(by: first))
        } else {
            self.phase = .preparing(nil)
            self.deadlines.set(.join, now.instant.advanced(by: timeout))
            self.completeIfAllJoined(at: now, into: &actions)
        }
    }

    /// The longest that any member asks for.
    private var rebalanceTimeout: Duration { self.members.values.map(\.rebalanceTimeout).max() ?? .zero }

    private mutating func completeIfAllJoined(at now: Moment, into actions: inout ClassicActions) {
        guard self.joiningCount == self.members.count, self.pending.isEmpty else { return }
        self.complete(at: now, into: &actions)
    }

    // MARK: The next generation

    /// Makes a generation of those who joined. Who did not is out, but for static members: they have their session to
    /// come back in, and what they are given waits for them.
    private mutating func complete(at now: Moment, into actions: inout ClassicActions) {
        for member in Array(self.members.values) where member.joining == nil && member.instance == nil {
            self.remove(member.id, .unknownMember, into: &actions)
        }
        if self.members.isEmpty { return self.becomeEmpty(at: now, into: &actions) }
        guard self.electLeader() else {
            // Static members only, and all of them away.
            self.phase = .preparing(nil)
            return self.deadlines.set(.join, now.instant.advanced(by: max(self.rebalanceTimeout, .seconds(1))))
        }
        self.generation = self.generation.next
        self.protocolName = self.chosenProtocol
        self.phase = .completing(isWriting: false)
        self.deadlines.remove(.join)
        self.deadlines.set(.sync, now.instant.advanced(by: self.rebalanceTimeout))
        for id in Array(self.members.keys) {
            guard var member = self.members[id], let token = member.joining else { continue }
            member.joining = nil
            member.isNew = false
            member.hasSynced = false
            self.members[id] = member
            self.deadlines.set(.session(id), now.instant.advanced(by: member.sessionTimeout))
            actions.answer(token, .join(.success(self.joined(member))))
        }
        self.joiningCount = 0
    }

    /// The leader stays if it joined; else the first in the group that did. False when nobody did.
    private mutating func electLeader() -> Bool {
        if let leader = self.leader, self.members[leader]?.joining != nil { return true }
        let joined = self.members.values.lazy.filter { $0.joining != nil }
        guard let first = joined.min(by: { $0.order < $1.order }) else { return false }
        self.leader = first.id
        return true
    }

    /// Of the protocols that all know, the one that most prefer; among equals the one that the leader names first.
    var chosenProtocol: String? {
        let count = self.members.count
        var votes: [String: Int] = [:]
        for member in self.members.values {
            let vote = member.protocols.first { self.protocolCounts[$0.name] == count }
            if let vote { votes[vote.name, default: 0] += 1 }
        }
        let most = votes.values.max()
        let judge = self.leader.flatMap { self.members[$0] } ?? self.members.values.min { $0.order < $1.order }
        return judge?.protocols.first { votes[$0.name] == most }?.name
    }

    /// Nobody is left. The generation that was ends in writing, if it was ever written.
    private mutating func becomeEmpty(at now: Moment, into actions: inout ClassicActions) {
        let wasEmpty = self.phase == .empty
        self.phase = .empty
        self.protocolName = nil
        self.leader = nil
        self.deadlines.remove(.join)
        self.deadlines.remove(.sync)
        guard !wasEmpty else { return }
        self.emptySince = now.wall
        self.generation = self.generation.next
        guard self.image != nil || self.writesUnderWay > 0 else { return }
        self.write(self.imageNow(at: now), .emptied, [], into: &actions)
    }

    /// Without that record the next coordinator waits for members that have left, and takes the group for in use.
    private mutating func writeEmptiedAgain(at now: Moment, into actions: inout ClassicActions) {
        guard self.phase == .empty, self.writesUnderWay == 0, self.image != nil else { return }
        self.write(self.imageNow(at: now), .emptied, [], into: &actions)
    }

    // MARK: Members

    /// Takes a member out and answers what it waits for. The caller then calls ``rebalance(at:into:)``.
    mutating func remove(_ id: MemberID, _ error: GroupError, into actions: inout ClassicActions) {
        guard let member = self.members.removeValue(forKey: id) else { return }
        self.count(member, -1)
        self.deadlines.remove(.session(id))
        if let instance = member.instance { self.instances[instance] = nil }
        if let token = member.joining {
            self.joiningCount -= 1
            actions.refuseJoin(token, error, id)
        }
        if let token = member.syncing { actions.answer(token, .sync(.failure(error))) }
        if self.leader == id { self.leader = nil }
    }

    /// Counts a member in (1) or out (-1).
    mutating func count(_ member: ClassicMember, _ by: Int) {
        for known in member.protocols {
            let count = self.protocolCounts[known.name, default: 0] + by
            self.protocolCounts[known.name] = count == 0 ? nil : count
        }
        self.stateBytes += by * member.stateBytes
    }

    /// A member was heard of: its session begins anew.
    mutating func heard(_ id: MemberID, at now: Moment) {
        guard let member = self.members[id], !member.isNew else { return }
        self.deadlines.set(.session(id), now.instant.advanced(by: member.sessionTimeout))
    }

    // MARK: Time

    /// Does what is due. To be called at ``deadline``, or later.
    package mutating func tick(at now: Moment, into actions: inout ClassicActions) {
        while let timer = self.deadlines.popDue(now.instant) {
            switch timer {
            case .session(let id): self.sessionEnded(id, at: now, into: &actions)
            case .join: self.joinEnded(at: now, into: &actions)
            case .sync: self.syncEnded(at: now, into: &actions)
            case .emptied: self.writeEmptiedAgain(at: now, into: &actions)
            }
        }
    }

    private mutating func sessionEnded(_ id: MemberID, at now: Moment, into actions: inout ClassicActions) {
        if self.pending.remove(id) != nil { return self.recheck(at: now, into: &actions) }
        guard let member = self.members[id] else { return }
        // Who waits for our answer can not be heard of. A new member has had its time, see `groupNewMemberWaitMax`.
        if !member.isNew, member.joining != nil || member.syncing != nil {
            return self.deadlines.set(.session(id), now.instant.advanced(by: member.sessionTimeout))
        }
        self.remove(id, .unknownMember, into: &actions)
        self.rebalance(at: now, into: &actions)
    }

    private mutating func joinEnded(at now: Moment, into actions: inout ClassicActions) {
        guard case .preparing(let initial) = self.phase else { return }
        if let initial, initial.hasNewMember, initial.remaining > .zero {
            let more = min(self.settings.initialDelay, initial.remaining)
            self.phase = .preparing(InitialDelay(remaining: initial.remaining - more))
            return self.deadlines.set(.join, now.instant.advanced(by: more))
        }
        self.complete(at: now, into: &actions)
    }

    /// Members that never asked for what they were given are gone, though their heartbeats may come.
    private mutating func syncEnded(at now: Moment, into actions: inout ClassicActions) {
        let late = self.members.values.filter { !$0.hasSynced }.map(\.id)
        guard !late.isEmpty else { return }
        for id in late { self.remove(id, .unknownMember, into: &actions) }
        self.rebalance(at: now, into: &actions)
    }
}
