package import ApusCore

/// When each record of an open loop is due: record `i` at `start + i / rate`, whatever became of those before it.
///
/// Latency is measured from these moments and not from when the generator got round to sending: that way time spent
/// waiting behind a slow answer counts (no coordinated omission).
package struct OpenLoopSchedule: Sendable {
    package let start: Instant
    /// Records a second, more than 0.
    package let rate: Double

    package init(start: Instant, rate: Double) {
        precondition(rate > 0, "a schedule needs a rate")
        self.start = start
        self.rate = rate
    }

    package func due(_ index: Int64) -> Instant {
        self.start.advanced(by: .nanoseconds(Int64((Double(index) * 1e9 / self.rate).rounded())))
    }

    /// How many records are due at `now`, from the first.
    package func count(at now: Instant) -> Int64 {
        guard now >= self.start else { return 0 }
        var count = Int64(Double(now.since(self.start).wholeNanoseconds) * self.rate / 1e9) + 1
        // Rounding may put it one off either way.
        while count > 0, self.due(count - 1) > now { count -= 1 }
        while self.due(count) <= now { count += 1 }
        return count
    }
}
