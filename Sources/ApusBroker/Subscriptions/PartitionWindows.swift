import ApusCore

/// Where windows of time begin in one partition, as offsets: one for each different period in use.
///
/// The time index answers which record is the first that is not older than a period. While that record stays in the
/// window, so does the answer; after that it is asked again, at most once a second. A start never goes back, whatever
/// the clock does.
///
/// Owner: the partition's slot.
struct PartitionWindows {
    /// What is to be done before a start may be used.
    enum Answer: Hashable {
        /// As it was a second ago or less.
        case known(Offset)
        /// The same; and the time index should be asked again meanwhile.
        case old(Offset)
        /// Nobody asked for a while: ask first.
        case unknown
    }

    /// What the time index said.
    struct Finding: Hashable {
        /// The first record that is not older; the high watermark when there is none.
        var start: Offset
        /// That record's time; nil when there is none.
        var timestamp: Timestamp?
        /// The first record that can not be read and may be younger; nil when there is none before `start`.
        var damagedFrom: Offset?
    }

    private struct Start {
        var finding: Finding
        var askedAt: UInt32
    }

    private var starts: [Duration: Start] = [:]

    /// - Parameters:
    ///   - cutoff: now, less the period.
    ///   - end: the high watermark.
    ///   - second: the shard's count of them.
    func answer(for period: Duration, cutoff: Timestamp, end: Offset, second: UInt32) -> Answer {
        guard let start = self.starts[period] else { return .unknown }
        let holds = start.finding.timestamp.map { $0 >= cutoff } ?? (start.finding.start >= end)
        if holds || start.askedAt == second { return .known(start.finding.start) }
        return second &- start.askedAt == 1 ? .old(start.finding.start) : .unknown
    }

    /// - Returns: where the window begins now.
    @discardableResult
    mutating func found(_ finding: Finding, for period: Duration, second: UInt32) -> Offset {
        var finding = finding
        if let before = self.starts[period]?.finding, before.start > finding.start { finding = before }
        if self.starts[period] == nil, self.starts.count >= Limits.windowPeriodsPerPartitionMax,
            let oldest = self.starts.min(by: { $0.value.askedAt < $1.value.askedAt })
        {
            self.starts[oldest.key] = nil
        }
        self.starts[period] = Start(finding: finding, askedAt: second)
        return finding.start
    }

    /// What was older for certain when it was found last lies below; nil when it was not found.
    func last(_ period: Duration) -> Offset? {
        self.starts[period].map { min($0.finding.start, $0.finding.damagedFrom ?? $0.finding.start) }
    }
}

/// Who reads, as windows see it.
enum WindowReader: Hashable, Sendable {
    /// A fetch that names no subscription: the widest of the principal's on the topic.
    case principal(ConsumerName)
    /// A door that names it.
    case subscription(SubscriptionName)
    /// This broker itself.
    case broker
}
