import ApusCore
import Foundation

extension Timestamp {
    /// The wall clock.
    static var now: Timestamp {
        let (seconds, nanoseconds) = Self.read(CLOCK_REALTIME)
        return Timestamp(rawValue: seconds * 1000 + nanoseconds / 1_000_000)
    }

    fileprivate static func read(_ clock: clockid_t) -> (Int64, Int64) {
        var time = timespec()
        clock_gettime(clock, &time)
        return (Int64(time.tv_sec), Int64(time.tv_nsec))
    }
}

extension Instant {
    /// The monotonic clock.
    static var now: Instant {
        let (seconds, nanoseconds) = Timestamp.read(CLOCK_MONOTONIC)
        return Instant(nanoseconds: UInt64(seconds) * 1_000_000_000 + UInt64(nanoseconds))
    }
}
