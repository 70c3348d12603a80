import ApusCore

/// What a load of one large group found.
package struct GroupReport: Sendable {
    package var protocolName: String
    package var members: Int
    package var partitions: Int
    /// From the first request to join until every partition had one owner and all were in one generation.
    package var settled: Duration
    /// Requests of all members until then.
    package var requestsToSettle: Int64
    package var settleTime: Duration?
    /// How long the settled group was left alone, and the broker's CPU time in it.
    package var idle: Duration = .zero
    package var idleTime: Duration?
    package var commits: Int64 = 0
    /// Positions in all the commits.
    package var positions: Int64 = 0
    package var committing: Duration = .zero
    package var commitTime: Duration?
    package var errors: Int64 = 0

    package init(
        protocolName: String, members: Int, partitions: Int, settled: Duration, requestsToSettle: Int64
    ) {
        self.protocolName = protocolName
        self.members = members
        self.partitions = partitions
        self.settled = settled
        self.requestsToSettle = requestsToSettle
    }

    package var commitsPerSecond: Double { self.commits > 0 ? Double(self.commits) / self.committing.inSeconds : 0 }
    package var positionsPerSecond: Double {
        self.positions > 0 ? Double(self.positions) / self.committing.inSeconds : 0
    }
    /// CPU-seconds of the broker for a million commits; nil when its process is not known.
    package var brokerSecondsPerMillion: Double? {
        guard let time = self.commitTime, self.commits > 0 else { return nil }
        return time.inSeconds * 1e6 / Double(self.commits)
    }
    /// Part of one core that the settled group costs the broker, in percent.
    package var idlePercent: Double? {
        guard let time = self.idleTime, self.idle > .zero else { return nil }
        return 100 * time.inSeconds / self.idle.inSeconds
    }

    package var json: JSON {
        func number(_ value: Double?, _ digits: Int) -> JSON {
            value.map { .number(Double(Numbers.fixed($0, digits)) ?? $0) } ?? .null
        }
        return .object([
            ("protocol", .string(self.protocolName)), ("members", .integer(Int64(self.members))),
            ("partitions", .integer(Int64(self.partitions))), ("settle_seconds", number(self.settled.inSeconds, 4)),
            ("settle_requests", .integer(self.requestsToSettle)),
            ("settle_broker_cpu_seconds", number(self.settleTime?.inSeconds, 4)),
            ("idle_seconds", number(self.idle.inSeconds, 2)), ("idle_core_percent", number(self.idlePercent, 3)),
            ("commits", .integer(self.commits)), ("commit_seconds", number(self.committing.inSeconds, 3)),
            ("commits_per_second", number(self.commitsPerSecond, 0)),
            ("positions_per_second", number(self.positionsPerSecond, 0)),
            ("broker_cpu_seconds_per_million_commits", number(self.brokerSecondsPerMillion, 3)),
            ("errors", .integer(self.errors)),
        ])
    }

    package var text: String {
        var text = "\(Numbers.grouped(Int64(self.members))) members, \(Numbers.grouped(Int64(self.partitions))) "
        text += "partitions, \(self.protocolName) protocol: settled in \(Numbers.duration(self.settled))"
        text += " with \(Numbers.grouped(self.requestsToSettle)) requests"
        if let time = self.settleTime { text += ", \(Numbers.duration(time)) of the broker's CPU" }
        text += ".\n"
        if self.idle > .zero {
            text += "Idle for \(Numbers.duration(self.idle))"
            if let percent = self.idlePercent { text += ": \(Numbers.fixed(percent, 2)) % of a core" }
            text += ".\n"
        }
        if self.commits > 0 {
            text += "\(Numbers.grouped(self.commits)) commits, \(Numbers.fixed(self.commitsPerSecond, 0)) commits/sec"
            text += ", \(Numbers.fixed(self.positionsPerSecond, 0)) positions/sec"
            if let cost = self.brokerSecondsPerMillion {
                text += ", \(Numbers.fixed(cost, 2)) s of the broker's CPU per million commits"
            }
            text += ".\n"
        }
        if self.errors > 0 { text += "\(Numbers.grouped(self.errors)) requests failed.\n" }
        return text
    }
}

extension Duration {
    fileprivate var inSeconds: Double { Double(self.wholeNanoseconds) / 1e9 }
}
