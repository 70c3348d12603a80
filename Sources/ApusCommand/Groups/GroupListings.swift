package import ApusClient
package import ApusCore

/// How groups are shown. The columns of partitions are those of Kafka's own tool.
extension Listing {
    package static func partitions(_ lags: [GroupLag], of group: GroupDescription) -> Listing {
        var listing = Listing([
            .init("topic"), .init("partition", isNumber: true), .init("current_offset", isNumber: true),
            .init("log_end_offset", isNumber: true), .init("lag", isNumber: true), .init("consumer_id"), .init("host"),
            .init("client_id"),
        ])
        let members = Dictionary(group.members.map { ($0.id, $0) }) { first, _ in first }
        for lag in lags {
            let member = lag.member.flatMap { members[$0] }
            listing.add([
                .text(lag.partition.topic), .number(lag.partition.partition.rawValue),
                lag.position.map { .number($0.offset.rawValue) } ?? .nothing,
                lag.end.map { .number($0.rawValue) } ?? .nothing, .lag(lag.lag),
                member.map { .text($0.id) } ?? .nothing, member.map { .text($0.host) } ?? .nothing,
                member.map { .text($0.clientID) } ?? .nothing,
            ])
        }
        return listing
    }

    package static func members(of group: GroupDescription) -> Listing {
        var listing = Listing([
            .init("consumer_id"), .init("instance"), .init("host"), .init("client_id"),
            .init("partitions", isNumber: true), .init("epoch", isNumber: true), .init("state"), .init("topics"),
        ])
        for member in group.members {
            let topics = member.topics + (member.topicPattern.map { $0.isEmpty ? [] : ["~\($0)"] } ?? [])
            listing.add([
                .text(member.id), member.instanceID.map { .text($0) } ?? .nothing, .text(member.host),
                .text(member.clientID), .count(member.partitions.count), member.epoch.map { .number($0) } ?? .nothing,
                .text(member.isSettled ? "settled" : "changing"),
                Cell(.array(topics.map { .string($0) }), text: topics.isEmpty ? "-" : topics.joined(separator: ",")),
            ])
        }
        return listing
    }
}

extension Cell {
    /// Nothing where it is not known.
    package static func lag(_ lag: Int64?) -> Cell { lag.map { .count($0) } ?? .nothing }
}

/// How far behind groups are, in sums. The largest come first; what is not known counts for nothing.
package struct LagTable: Sendable {
    /// What one row stands for.
    package enum Grain: String, CaseIterable, Sendable {
        case group, topic, partition
    }

    package struct Row: Hashable, Sendable {
        package var group: String
        package var topic: String?
        package var partition: PartitionIndex?
        package var partitions = 0
        /// Partitions in which the group has no position, or that are gone.
        package var unknown = 0
        package var lag: Int64 = 0
        package var lagMax: Int64 = 0
    }

    private struct Key: Hashable {
        var group: String
        var topic: String?
        var partition: PartitionIndex?
    }

    private let grain: Grain
    private var found: [Key: Row] = [:]

    package init(by grain: Grain) {
        self.grain = grain
    }

    package mutating func add(_ lags: [GroupLag], of group: String) {
        if self.grain == .group { self.found[Key(group: group), default: Row(group: group)].partitions += 0 }
        for lag in lags {
            let key = Key(
                group: group, topic: self.grain == .group ? nil : lag.partition.topic,
                partition: self.grain == .partition ? lag.partition.partition : nil)
            var row = self.found[key] ?? Row(group: group, topic: key.topic, partition: key.partition)
            row.partitions += 1
            if lag.lag == nil { row.unknown += 1 }
            row.lag += lag.lag ?? 0
            row.lagMax = max(row.lagMax, lag.lag ?? 0)
            self.found[key] = row
        }
    }

    /// Largest lag first, then by name.
    package var rows: [Row] {
        self.found.values.sorted { left, right in
            if left.lag != right.lag { return left.lag > right.lag }
            return (left.group, left.topic ?? "", left.partition?.rawValue ?? 0)
                < (right.group, right.topic ?? "", right.partition?.rawValue ?? 0)
        }
    }

    /// - Parameter count: no more rows than this.
    package func listing(first count: Int = .max) -> Listing {
        var columns: [Listing.Column] = [.init("group")]
        if self.grain != .group { columns.append(.init("topic")) }
        if self.grain == .partition { columns.append(.init("partition", isNumber: true)) }
        if self.grain != .partition {
            columns += [.init("partitions", isNumber: true), .init("unknown", isNumber: true)]
        }
        columns.append(.init("lag", isNumber: true))
        if self.grain != .partition { columns.append(.init("lag_max", isNumber: true)) }
        var listing = Listing(columns)
        for row in self.rows.prefix(count) {
            var cells = [Cell.text(row.group)]
            if self.grain != .group { cells.append(row.topic.map { .text($0) } ?? .nothing) }
            if self.grain == .partition {
                cells.append(row.partition.map { .number($0.rawValue) } ?? .nothing)
                cells.append(row.unknown > 0 ? .nothing : .count(row.lag))
            } else {
                cells += [.count(row.partitions), .count(row.unknown), .count(row.lag), .count(row.lagMax)]
            }
            listing.add(cells)
        }
        return listing
    }
}
