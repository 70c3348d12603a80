package import ApusCore

/// What a topic says about keeping records.
package struct RetentionPolicy: Hashable, Sendable {
    package enum Mode: String, Hashable, Sendable, CaseIterable {
        /// By age alone.
        case time
        /// When every subscription has read them, but not before the floor and not after the ceiling.
        case consumed
    }

    /// `retention.ms`: what is kept for everybody; nil: for ever.
    package var floor: Duration?
    /// `apus.retention.ceiling.ms`: subscriptions can not ask for more; nil: no ceiling. It caps what they add; records
    /// that the topic itself keeps longer stay.
    package var ceiling: Duration?
    /// `apus.retention.mode`.
    package var mode: Mode

    package init(floor: Duration?, ceiling: Duration? = nil, mode: Mode = .time) {
        self.floor = floor
        self.ceiling = ceiling
        self.mode = mode
    }

    /// How far back any subscription may hold or see; nil: without end.
    package var reach: Duration? {
        guard let floor = self.floor, let ceiling = self.ceiling else { return nil }
        return max(floor, ceiling)
    }

    /// What a stated period comes to here. Without one, a subscription sees what the topic keeps for everybody.
    package func period(stated: Duration?) -> Duration? {
        guard let stated else { return self.floor }
        return self.reach.map { min(stated, $0) } ?? stated
    }

    /// How far back a subscription may read; nil: all that is there.
    ///
    /// One that states no period sees what the topic keeps for everybody. With `consumed` that is whatever it has not
    /// read: records are kept for it.
    package func window(stated: Duration?) -> Duration? {
        stated == nil && self.mode == .consumed ? nil : self.period(stated: stated)
    }

    /// How long the topic's records stay on the disk; nil: for ever.
    ///
    /// The larger of the floor and what live subscriptions ask for, under the ceiling. With `consumed` records may go
    /// sooner or stay until the ceiling: ``PartitionReaders/free(below:readers:policy:startOfAge:)`` says which.
    package func retention(for widest: WidestPeriod) -> Duration? {
        guard let floor = self.floor else { return nil }
        guard let stated = self.period(stated: widest.stated ?? .zero) else { return nil }
        return max(floor, stated)
    }

    /// Why a new period can not be; nil when it can. Longer than the ceiling would be a promise that is not kept.
    package func refusal(of period: Duration?, topic: String) -> InvalidField? {
        guard let period, let reach = self.reach, period > reach else { return nil }
        return InvalidField(
            "period",
            "\(period.inWords) is longer than topic '\(topic)' allows: \(reach.inWords) (apus.retention.ceiling.ms)")
    }
}

/// How far back somebody may read a topic. Older offsets are out of range, and "earliest" answers the window's start,
/// even while older bytes remain.
package enum ReadWindow: Hashable, Sendable {
    /// No subscription restricts it: all that is there.
    case unrestricted
    /// Records not older than this.
    case last(Duration)

    /// The oldest time that may be read; nil: any.
    package func start(at now: Timestamp) -> Timestamp? {
        switch self {
        case .unrestricted: nil
        case .last(let period): now.earlier(by: period)
        }
    }
}

/// Who holds records of a topic, and what that costs.
package struct RetentionHolding: Hashable, Sendable {
    package var id: SubscriptionID
    /// As stated; nil: it asks for nothing and holds nothing.
    package var stated: Duration?
    /// What that comes to under the topic's ceiling; nil: for ever.
    package var period: Duration?
    /// Bytes beyond the floor that it asks for, alone or with others.
    package var heldBytes: ByteCount
    /// Bytes that would go if it went: nobody else asks for them.
    package var ownBytes: ByteCount
}

/// A closed part of a log: retention takes it as a whole.
package struct AgedBytes: Hashable, Sendable {
    /// Its newest record, as retention sees it.
    package var newest: Timestamp
    package var byteCount: ByteCount

    package init(newest: Timestamp, byteCount: ByteCount) {
        self.newest = newest
        self.byteCount = byteCount
    }
}

extension SubscriptionIndex {
    /// How long the topic's records stay on the disk; nil: for ever.
    package func retention(of topic: String, _ policy: RetentionPolicy) -> Duration? {
        policy.retention(for: self.widest(of: topic))
    }

    /// The window of a door that names the subscription.
    /// - Returns: nil when it does not read this topic.
    package func window(of name: SubscriptionName, topic: String, _ policy: RetentionPolicy) -> ReadWindow? {
        guard let subscription = self.subscription(named: name)?.subscription,
            subscription.interest.matches(topic: topic)
        else { return nil }
        if subscription.period == nil, !self.holdsBeyondFloor(topic, policy) { return .unrestricted }
        return policy.window(stated: subscription.period).map { .last($0) } ?? .unrestricted
    }

    /// The window of a fetch that names no subscription: the widest of the principal's subscriptions on the topic.
    /// - Returns: nil when it has none there; then nothing but its rights restricts it.
    package func window(of owner: ConsumerName, topic: String, _ policy: RetentionPolicy) -> ReadWindow? {
        let widest = self.widest(of: topic, ownedBy: owner)
        guard !widest.isNobody else { return nil }
        var period = widest.stated.map { policy.period(stated: $0) ?? $0 } ?? .zero
        if widest.hasUnstated {
            guard let floor = policy.window(stated: nil), self.holdsBeyondFloor(topic, policy) else {
                return .unrestricted
            }
            period = max(period, floor)
        }
        return .last(period)
    }

    /// Whether somebody makes bytes remain that the topic itself would not keep. If not, all that is there is what the
    /// topic keeps for everybody, to the segment.
    private func holdsBeyondFloor(_ topic: String, _ policy: RetentionPolicy) -> Bool {
        guard let floor = policy.floor else { return false }
        return self.retention(of: topic, policy).map { $0 > floor } ?? true
    }

    /// Who holds what, the widest first.
    /// - Parameters:
    ///   - parts: of all the topic's partitions, in any order.
    ///   - now: as retention sees it.
    package func holdings(
        of topic: String, _ policy: RetentionPolicy, parts: [AgedBytes], at now: Timestamp
    ) -> [RetentionHolding] {
        let scale = AgeScale(parts)
        let beyondFloor = policy.floor.map { scale.bytes(newestFrom: .min, before: now.earlier(by: $0)) } ?? .zero
        let readers = self.readers(of: topic)
        /// Bytes beyond the floor that a period asks for.
        func held(_ period: Duration?) -> ByteCount {
            guard let period, let floor = policy.floor, period > floor else { return .zero }
            return scale.bytes(newestFrom: now.earlier(by: period), before: now.earlier(by: floor))
        }
        return readers.enumerated().map { place, reader in
            let period = policy.period(stated: reader.period)
            let asked = reader.period == nil ? ByteCount.zero : held(period)
            var own = ByteCount.zero
            if place == 0, reader.period != nil {
                // Sorted by period: only the first holds anything that the second does not.
                let second = readers.count > 1 ? readers[1].period.map { held(policy.period(stated: $0)) } : nil
                own = asked - (second ?? .zero)
            }
            return RetentionHolding(
                id: reader.id, stated: reader.period, period: period, heldBytes: min(asked, beyondFloor), ownBytes: own)
        }
    }
}

/// Bytes by age, so that ten thousand periods are answered by ten thousand searches and not by as many passes.
private struct AgeScale {
    private var newest: [Timestamp] = []
    /// Bytes of the first n parts.
    private var sums: [ByteCount] = [.zero]

    init(_ parts: [AgedBytes]) {
        for part in parts.sorted(by: { $0.newest < $1.newest }) {
            self.newest.append(part.newest)
            self.sums.append((self.sums.last ?? .zero) + part.byteCount)
        }
    }

    /// The parts whose newest record is at or after `from` and before `end`.
    func bytes(newestFrom from: Timestamp, before end: Timestamp) -> ByteCount {
        let first = self.count(before: from)
        return self.sums[max(first, self.count(before: end))] - self.sums[first]
    }

    private func count(before time: Timestamp) -> Int {
        var low = 0
        var high = self.newest.count
        while low < high {
            let middle = low + (high - low) / 2
            if self.newest[middle] < time { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

extension Timestamp {
    fileprivate static let min = Timestamp(rawValue: .min)
}
