import ApusCore

/// How long to wait before attempt number n: doubling from `base` up to `limit`, half of it random so that clients
/// which failed together do not come back together.
struct Backoff: Hashable, Sendable {
    var base: Duration
    var limit: Duration

    /// - Parameters:
    ///   - failures: attempts that failed in a row, 1 or more.
    ///   - chance: 64 random bits.
    func wait(afterFailures failures: Int, chance: UInt64) -> Duration {
        let doublings = min(max(failures - 1, 0), 20)
        let base = max(self.base.wholeNanoseconds, 0)
        let (grown, overflow) = base.multipliedReportingOverflow(by: 1 << doublings)
        let whole = overflow ? self.limit.wholeNanoseconds : min(grown, max(self.limit.wholeNanoseconds, 0))
        let half = whole / 2
        return .nanoseconds(half + Int64(chance % UInt64(whole - half + 1)))
    }
}
