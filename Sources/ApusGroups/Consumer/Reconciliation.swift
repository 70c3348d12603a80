import ApusCore

/// How one member is led from what it has to what it should have (KIP-848, "member reconciliation").
///
/// Three states. *Stable*: it has what its epoch gives it. *Unrevoked*: it was told to give partitions up, and until it
/// says in a heartbeat that it has none of them it may use them, and stays at its epoch. *Unreleased*: it has given up
/// what it had to, and waits for partitions that others still have.
struct Reconciliation {
    let current: ConsumerMember.Current
    /// The target assignment's epoch, and the member's part of it.
    let targetEpoch: GroupEpoch
    let target: PartitionSet
    let report: OwnershipReport

    /// - Parameter isFree: whether nobody has this partition, or still has to give it up.
    func next(isFree: (TopicPartition) -> Bool) -> ConsumerMember.Current {
        switch self.current.state {
        case .stable:
            return self.current.epoch == self.targetEpoch ? self.current : self.step(from: self.current.epoch, isFree)
        case .unrevoked:
            guard self.report.hasGivenUp(self.current.revoking, wasTold: true) else { return self.current }
            return self.step(from: min(self.current.epoch.next, self.targetEpoch), isFree)
        case .unreleased: return self.step(from: self.current.epoch, isFree)
        case .unknown:
            let revoking = self.current.revoking
            guard revoking.isEmpty || self.report.hasGivenUp(revoking, wasTold: true) else { return self.current }
            return self.step(from: self.current.epoch, isFree)
        }
    }

    private func step(from epoch: GroupEpoch, _ isFree: (TopicPartition) -> Bool) -> ConsumerMember.Current {
        let kept = self.current.assigned.intersection(self.target)
        let revoking = self.current.assigned.subtracting(self.target)
        if !revoking.isEmpty, !self.report.hasGivenUp(revoking, wasTold: false) {
            return self.with(.unrevoked, epoch, kept, revoking: revoking)
        }
        // What this very member gives up in this step is not free for it: that is not in its target.
        let missing = self.target.subtracting(kept)
        let free = PartitionSet(missing.filter(isFree))
        let state: ConsumerMember.State = free.count == missing.count ? .stable : .unreleased
        return self.with(state, self.targetEpoch, kept.union(free))
    }

    private func with(
        _ state: ConsumerMember.State, _ epoch: GroupEpoch, _ assigned: PartitionSet, revoking: PartitionSet = .empty
    ) -> ConsumerMember.Current {
        var next = self.current
        next.state = state
        if epoch != next.epoch {
            next.previousEpoch = next.epoch
            next.epoch = epoch
        }
        if assigned != next.assigned {
            let before = self.current
            next.assigned = assigned
            next.assignedAt = assigned.map { partition in
                before.assigned.index(of: partition).flatMap {
                    $0 < before.assignedAt.count ? before.assignedAt[$0] : nil
                } ?? epoch
            }
        }
        next.revoking = revoking
        return next
    }
}

/// What a member lets know of what it has.
///
/// "I do not have it" is not "I will not take it": a member that was told of a partition may be about to take it, and
/// says so only when it has. Whoever gives such a partition to another makes two owners. So it counts as given up when
/// the member said before that it had it, and says now that it has not; or when it says so after it must have heard
/// that it shall not have it. It has heard the last answer if it does not repeat everything: a full request is what
/// follows a lost answer. (A member whose list did not change by all this says nothing of it again; then what it said
/// counts from its next word on.)
struct OwnershipReport {
    /// In this request; nil for "as I said last".
    var owned: PartitionSet?
    /// What it said last before this request; nil when the coordinator has not heard it yet.
    var before: PartitionSet?
    /// It said before, but not before it was told, that it does not have what it is to give up.
    var hasDenied = false
    /// It may have missed the last answer.
    var mayHaveMissed = false
    /// It begins anew: it has nothing, and is about to take nothing.
    var isJoin = false

    /// - Parameter wasTold: whether the answer to its last request told it to give these up.
    func hasGivenUp(_ partitions: PartitionSet, wasTold: Bool) -> Bool {
        if self.isJoin { return true }
        guard self.owned?.isDisjoint(with: partitions) ?? (wasTold && self.hasDenied) else { return false }
        if wasTold, !self.mayHaveMissed { return true }
        return self.before.map { partitions.isSubset(of: $0) } ?? false
    }
}
