package import ApusCore
import Synchronization

/// Both clocks, moved by hand. The wall clock may jump either way; the other one only goes on.
package final class SimulatedClock: Clock {
    private struct Hands {
        var now: Instant
        var wallTime: Timestamp
    }

    private let hands: Mutex<Hands>

    /// Starts at an hour that is not zero, so that nobody takes zero for "now".
    package init(
        now: Instant = Instant(nanoseconds: 3_600_000_000_000),
        wallTime: Timestamp = Timestamp(rawValue: 1_750_000_000_000)
    ) {
        self.hands = Mutex(Hands(now: now, wallTime: wallTime))
    }

    package var now: Instant { self.hands.withLock { $0.now } }
    package var wallTime: Timestamp { self.hands.withLock { $0.wallTime } }

    /// Time passes on both.
    package func advance(by duration: Duration) {
        self.hands.withLock { hands in
            hands.now = hands.now.advanced(by: duration)
            hands.wallTime.rawValue += duration.wholeMilliseconds
        }
    }

    /// Somebody sets the wall clock.
    package func jump(to wallTime: Timestamp) {
        self.hands.withLock { $0.wallTime = wallTime }
    }
}
