package import ApusCore
import Glibc

/// The machine's own clocks.
package struct SystemClock: Clock {
    package init() {}

    package var now: Instant {
        let time = Self.read(CLOCK_MONOTONIC)
        return Instant(nanoseconds: UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec))
    }

    package var wallTime: Timestamp {
        let time = Self.read(CLOCK_REALTIME)
        return Timestamp(rawValue: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
    }

    private static func read(_ clock: clockid_t) -> timespec {
        var time = timespec()
        let result = clock_gettime(clock, &time)
        // It fails only for a clock the kernel does not have.
        precondition(result == 0, "clock_gettime failed")
        return time
    }
}
