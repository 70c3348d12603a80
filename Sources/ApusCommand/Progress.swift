package import ApusCore

/// The one line of progress that a long command keeps rewriting on a terminal. Decides what and when; never writes.
package struct Progress: Sendable {
    /// Rewriting more often than this makes a terminal flicker.
    private static let interval = Duration.milliseconds(200)

    private let began: Instant
    /// How much there will be in all, where that is known.
    private let recordsExpected: Int64?
    private var shown: Instant?

    package init(at now: Instant, recordsExpected: Int64? = nil) {
        self.began = now
        self.recordsExpected = recordsExpected
    }

    /// The line to show now, if it is time for one.
    package mutating func line(records: Int64, bytes: ByteCount, at now: Instant) -> String? {
        if let shown = self.shown, now.since(shown) < Self.interval { return nil }
        // Short commands show none at all.
        guard now.since(self.began) >= Self.interval else { return nil }
        self.shown = now
        return self.text(records: records, bytes: bytes, at: now)
    }

    /// What was done, for the end.
    package func text(records: Int64, bytes: ByteCount, at now: Instant) -> String {
        let elapsed = now.since(self.began)
        let seconds = max(Double(elapsed.wholeNanoseconds) / 1e9, 1e-9)
        var text = "\(Numbers.grouped(records)) records  \(bytes)"
        text += "  \(Numbers.grouped(Int64(Double(records) / seconds))) records/s"
        text += "  \(ByteCount.bytes(Int(Double(bytes.rawValue) / seconds)))/s"
        if let expected = self.recordsExpected, expected > records, records > 0 {
            let left = Double(expected - records) * seconds / Double(records)
            text += "  \(100 * records / expected) %  \(Numbers.duration(.seconds(left))) left"
        } else {
            text += "  \(Numbers.duration(elapsed))"
        }
        return text
    }
}
