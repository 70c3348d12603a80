import ApusCore

/// When positions go that nobody needs any more, and with the last of them their group.
///
/// What members are subscribed to stays. From when the last member goes everything lives for the whole retention,
/// however old it is; what never had members, from its own commit on (KIP-211). Time is that of the retention clock,
/// and nothing goes before the groups of a coordinator that was just loaded had time to come back.
extension GroupCoordinator {
    /// What keeps a group's positions from expiring.
    func use(of id: GroupID) -> Positions.Use {
        if let group = self.consumers[id] {
            if !group.isEmpty { return .active(topics: group.topicsTold) }
        } else if let group = self.classic[id] {
            if !group.isEmpty { return .active(topics: group.topicsSubscribed) }
            if let since = group.emptySince { return .emptySince(since) }
        }
        return self.emptySince[id].map { .emptySince($0) } ?? .none
    }

    /// The last member of a group went, and no record of the group itself says so.
    mutating func becameEmpty(_ id: GroupID, at now: Moment) {
        self.emptySince[id] = now.wall
        self.lookForExpiry(id, in: Limits.offsetsExpiryPeriod, at: now)
    }

    /// A coordinator begins to live: when its consumer groups became empty is told by the time of the last record that
    /// each of them wrote, and where none is known, it is now.
    mutating func beginExpiry(at now: Moment) {
        self.expiresNothingBefore = now.instant.advanced(by: self.settings.expiryGrace)
        let newest = self.emptySince
        self.emptySince = [:]
        for (id, group) in self.consumers.groups where group.isEmpty {
            self.emptySince[id] = newest[id].map { min($0, now.wall) } ?? now.wall
        }
    }

    /// Takes away what has expired of a group, and at last the group.
    mutating func expire(_ id: GroupID, at now: Moment, into actions: inout GroupActions) {
        if let earliest = self.expiresNothingBefore, now.instant < earliest {
            return self.lookForExpiry(id, in: earliest.since(now.instant), at: now)
        }
        let coming = self.pending.positions(of: id)
        let (facts, next) = self.positions.expired(
            of: id, self.use(of: id), at: now.retention, self.settings.offsetsRetention, except: coming
        )
        let hasPositionsLeft = facts.count < self.positions.count(of: id) || coming.values.contains(true)
        var isOver = false
        if !hasPositionsLeft {
            if self.classic[id]?.isIdle == true {
                isOver = (try? self.classic[id]?.delete()) ?? false  // Refused: it is being deleted already.
            }
            if self.consumers[id]?.isEmpty == true { self.endConsumerGroup(id, into: &actions) }
            if self.consumers[id] == nil { self.emptySince[id] = nil }
        }
        self.writeDeletion(facts, of: isOver ? id : nil, nil, nil, into: &actions)
        guard hasPositionsLeft || self.classic[id] != nil else { return }
        let wait = min(next ?? self.settings.offsetsRetention, self.settings.offsetsRetention)
        // More has expired than one write holds: its turn is soon.
        let isMore = facts.count >= Limits.groupRecordsPerWriteMax
        self.lookForExpiry(id, in: isMore ? .seconds(1) : max(wait, Limits.offsetsExpiryPeriod), at: now)
    }

    /// Looks at a group's positions after that time, or when it was going to anyway, whichever is earlier.
    mutating func lookForExpiry(_ id: GroupID, in wait: Duration, at now: Moment) {
        let look = now.instant.advanced(by: max(wait, .zero))
        if let earlier = self.deadlines[.expiry(id)], earlier <= look { return }
        self.deadlines.set(.expiry(id), look)
    }
}
