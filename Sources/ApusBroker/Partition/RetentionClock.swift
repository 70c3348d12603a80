import ApusCore

/// The wall clock as retention may believe it: it goes forward no faster than time really passed since the start.
///
/// A wall clock that jumps a year ahead (a bad time server, a wrong battery) would otherwise delete everything at once.
/// A jump back only delays retention, so that is believed at once.
struct RetentionClock: Hashable, Sendable {
    private var wall: Timestamp
    private var at: Instant

    init(wall: Timestamp, now: Instant) {
        self.wall = wall
        self.at = now
    }

    /// What time it is for retention.
    mutating func read(wall: Timestamp, now: Instant) -> Timestamp {
        let passed = now.since(self.at).wholeMilliseconds
        let (expected, overflow) = self.wall.rawValue.addingReportingOverflow(passed)
        let limit = Timestamp(rawValue: overflow ? .max : expected)
        // Whole milliseconds only: the rest of one is not lost, because `at` moves by what was counted.
        self.at = self.at.advanced(by: .milliseconds(passed))
        self.wall = min(wall, limit)
        return self.wall
    }
}
