import ApusCore

/// Sessions, and the time a member has to give partitions up.
extension ConsumerGroup {
    /// The member spoke.
    mutating func startSession(of id: MemberID, _ moment: GroupMoment) {
        let end = moment.now.advanced(by: moment.settings.sessionTimeout)
        self.members[id]?.session.endsAt = end
        self.check(by: end)
    }

    /// The member has its rebalance timeout to do what it was told just now; or nothing to do.
    mutating func startRevocation(of id: MemberID, _ moment: GroupMoment) {
        guard let member = self.members[id], member.current.state == .unrevoked else {
            self.members[id]?.session.revocationEndsAt = nil
            return
        }
        let time = min(max(member.profile.rebalanceTimeout, .zero), Limits.rebalanceTimeoutMax)
        let end = moment.now.advanced(by: time)
        self.members[id]?.session.revocationEndsAt = end
        self.check(by: end)
    }

    private mutating func check(by end: Instant) {
        self.checkAt = self.checkAt.map { min($0, end) } ?? end
    }

    /// Members whose time is over are out. Looks through all of them, and that seldom: a heartbeat only moves the end
    /// of its session, so the next end that was noted here comes early, never late.
    mutating func expire(
        _ records: inout [ConsumerGroupRecord], _ work: inout [PatternWork], _ moment: GroupMoment
    ) {
        guard let checkAt = self.checkAt, checkAt <= moment.now else { return }
        let start = records.count
        var next: Instant?
        var late: [MemberID] = []
        for member in self.members.values {
            let ends = [member.session.endsAt, member.session.revocationEndsAt].compactMap { $0 }
            guard let end = ends.min() else { continue }
            if end <= moment.now { late.append(member.id) } else { next = next.map { min($0, end) } ?? end }
        }
        self.checkAt = next.map { max($0, moment.now.advanced(by: Limits.sessionCheckPause)) }
        for id in late.sorted() { self.expel(id, &records) }
        if !late.isEmpty { self.grow(&records, from: start, &work, moment) }
    }
}
