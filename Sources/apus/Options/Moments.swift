import ApusCore
import ApusSystem

extension Timestamp {
    /// The wall clock.
    static var now: Timestamp { SystemClock().wallTime }
}

extension Instant {
    /// The monotonic clock.
    static var now: Instant { SystemClock().now }
}
