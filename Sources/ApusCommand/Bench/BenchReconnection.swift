import ApusCore

/// What came of connections that were all cut, and all came back with their cursors.
package struct BenchReconnection: Sendable {
    /// Records that each of them had to be given.
    package var records: Int64
    /// Connections that were being made at a time, each until it was subscribed. No client waited before it tried.
    package var atOnce: Int
    /// From the first attempt until the last connection was subscribed again.
    package var connecting: Duration
    /// From the first attempt until the last connection had every record.
    package var caughtUp: Duration
    package var connections: Int
    /// Records that a connection was not given, and such as it was given twice.
    package var gaps: Int64
    package var duplicates: Int64

    package init(
        records: Int64, atOnce: Int, connecting: Duration, caughtUp: Duration, connections: Int, gaps: Int64,
        duplicates: Int64
    ) {
        self.records = records
        self.atOnce = atOnce
        self.connecting = connecting
        self.caughtUp = caughtUp
        self.connections = connections
        self.gaps = gaps
        self.duplicates = duplicates
    }

    private var perSecond: Double {
        Double(self.connections) / max(Double(self.connecting.wholeNanoseconds) / 1e9, 1e-9)
    }

    var fields: [(String, JSON)] {
        func seconds(_ duration: Duration) -> JSON {
            let seconds = Double(duration.wholeNanoseconds) / 1e9
            return .number(Double(Numbers.fixed(seconds, 3)) ?? seconds)
        }
        return [
            ("reconnect_records", .integer(self.records)), ("reconnect_at_once", .integer(Int64(self.atOnce))),
            ("reconnect_jitter", .bool(false)), ("reconnect_seconds", seconds(self.connecting)),
            ("reconnects_per_second", .number(self.perSecond.rounded())),
            ("caught_up_seconds", seconds(self.caughtUp)), ("gaps", .integer(self.gaps)),
            ("duplicates", .integer(self.duplicates)),
        ]
    }

    var text: String {
        "All were cut and came back, \(Numbers.grouped(Int64(self.atOnce))) at a time and without jitter: "
            + "subscribed in \(Numbers.duration(self.connecting)) (\(Numbers.fixed(self.perSecond, 0)) connections/s), "
            + "\(Numbers.grouped(self.records)) records each in \(Numbers.duration(self.caughtUp)), "
            + "gaps \(Numbers.grouped(self.gaps)), duplicates \(Numbers.grouped(self.duplicates)).\n"
    }
}
