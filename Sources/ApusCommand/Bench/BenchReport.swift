package import ApusCore
package import Histogram

/// What a load run found: rates, latencies and, where the broker's process is known, what it cost the broker.
package struct BenchReport: Sendable {
    /// `sent`, `read` or `delivered`.
    package var verb: String
    package var records: Int64
    package var bytes: ByteCount
    package var elapsed: Duration
    /// In nanoseconds.
    package var latency: Histogram<UInt64>?
    /// What the latency is of: `request`, `record`, `push` or `resume`.
    package var latencyOf: String = "request"
    package var errors: Int64 = 0
    /// The rate asked for, in records a second, with an open loop.
    package var rateWanted: Double?
    /// CPU time of all the broker's threads during the run.
    package var brokerTime: Duration?
    /// The connections that were pushed to.
    package var audience: BenchAudience?
    /// All of them were cut, and came back.
    package var reconnection: BenchReconnection?

    package init(verb: String, records: Int64, bytes: ByteCount, elapsed: Duration) {
        self.verb = verb
        self.records = records
        self.bytes = bytes
        self.elapsed = elapsed
    }

    package var recordsPerSecond: Double { Double(self.records) / self.seconds }
    /// In 10^6 bytes.
    package var megabytesPerSecond: Double { Double(self.bytes.rawValue) / 1e6 / self.seconds }
    package var brokerSecondsPerMillion: Double? { self.cost(per: Double(self.records) / 1e6) }
    package var brokerSecondsPerGigabyte: Double? { self.cost(per: Double(self.bytes.rawValue) / 1e9) }

    /// An open loop that did not keep its rate measured something else than what was asked.
    package var isVoid: Bool { self.rateWanted.map { self.recordsPerSecond < 0.99 * $0 } ?? false }

    private var seconds: Double { max(Double(self.elapsed.wholeNanoseconds) / 1e9, 1e-9) }

    private func cost(per amount: Double) -> Double? {
        guard let time = self.brokerTime, amount > 0 else { return nil }
        return Double(time.wholeNanoseconds) / 1e9 / amount
    }

    /// The percentiles reported, by the key they have in JSON.
    package static let percentiles: [(key: String, title: String, percentile: Double)] = [
        ("p50", "50th", 50), ("p90", "90th", 90), ("p95", "95th", 95), ("p99", "99th", 99), ("p999", "99.9th", 99.9),
        ("p9999", "99.99th", 99.99),
    ]

    package var json: JSON {
        var fields: [(String, JSON)] = [
            ("verb", .string(self.verb)), ("records", .integer(self.records)),
            ("bytes", .integer(Int64(self.bytes.rawValue))), ("seconds", Self.rounded(self.seconds, 6)),
            ("records_per_second", Self.rounded(self.recordsPerSecond, 1)),
            ("megabytes_per_second", Self.rounded(self.megabytesPerSecond, 3)), ("errors", .integer(self.errors)),
        ]
        if let audience = self.audience { fields += audience.fields }
        if let reconnection = self.reconnection { fields += reconnection.fields }
        if let rateWanted = self.rateWanted {
            fields.append(("rate_wanted", .number(rateWanted)))
            fields.append(("void", .bool(self.isVoid)))
        }
        if let latency = self.latency, latency.totalCount > 0 {
            var values: [(String, JSON)] = Self.percentiles.map { key, _, percentile in
                (key, Self.milliseconds(latency.valueAtPercentile(percentile)))
            }
            values.append(("mean", Self.rounded(latency.mean / 1e6, 4)))
            values.append(("max", Self.milliseconds(latency.max)))
            fields.append(("latency_of", .string(self.latencyOf)))
            fields.append(("latency_ms", .object(values)))
        }
        if let time = self.brokerTime {
            fields.append(("broker_cpu_seconds", Self.rounded(Double(time.wholeNanoseconds) / 1e9, 4)))
            fields.append(
                ("broker_cpu_seconds_per_million", self.brokerSecondsPerMillion.map { Self.rounded($0, 4) } ?? .null))
            fields.append(
                ("broker_cpu_seconds_per_gb", self.brokerSecondsPerGigabyte.map { Self.rounded($0, 4) } ?? .null))
        }
        return .object(fields)
    }

    /// One line in the shape of Kafka's own perf tools, so that results can be laid side by side (there, MB is 2^20
    /// bytes); a second one with the broker's cost.
    package var text: String {
        let megabytes = Double(self.bytes.rawValue) / 1_048_576 / self.seconds
        var text =
            "\(self.records) records \(self.verb), \(Numbers.fixed(self.recordsPerSecond, 1)) records/sec "
            + "(\(Numbers.fixed(megabytes, 2)) MB/sec)"
        if let latency = self.latency, latency.totalCount > 0 {
            text += ", \(Numbers.fixed(latency.mean / 1e6, 2)) ms avg latency"
            text += ", \(Self.text(latency.max)) ms max latency"
            for (_, title, percentile) in Self.percentiles where title != "90th" && title != "99.99th" {
                text += ", \(Self.text(latency.valueAtPercentile(percentile))) ms \(title)"
            }
        }
        text += ".\n"
        if let audience = self.audience { text += audience.text }
        if let reconnection = self.reconnection { text += reconnection.text }
        if self.errors > 0 { text += "\(Numbers.grouped(self.errors)) requests failed.\n" }
        if self.isVoid { text += "The rate asked for was not kept: this run says nothing about latency.\n" }
        if let time = self.brokerTime, let million = self.brokerSecondsPerMillion,
            let gigabyte = self.brokerSecondsPerGigabyte
        {
            text += "broker: \(Numbers.duration(time)) of CPU, \(Numbers.fixed(million, 3)) s per million records, "
            text += "\(Numbers.fixed(gigabyte, 3)) s per GB.\n"
        }
        return text
    }

    private static func text(_ nanoseconds: UInt64) -> String { Numbers.fixed(Double(nanoseconds) / 1e6, 3) }
    private static func milliseconds(_ nanoseconds: UInt64) -> JSON { Self.rounded(Double(nanoseconds) / 1e6, 4) }

    private static func rounded(_ value: Double, _ digits: Int) -> JSON {
        let scale = (0..<digits).reduce(1.0) { scale, _ in scale * 10 }
        return .number((value * scale).rounded() / scale)
    }
}
