package import ApusCore
import NIOCore
package import WebFormats

/// The way of one subscription from where it begins to what is pushed live, so that its client is given each record
/// once and in the order of each partition.
///
/// In each partition there are two places: `next`, up to which the client was given what there is, and `goal`, from
/// which on records come live. What lies between is read from the log, a bounded piece at a time. Meanwhile the goal
/// runs away with every live push, which is not for this client: it reads the same records. **It meets the live
/// pushes** when a read found all that lay before the goals as they were when the read began: then what was pushed
/// since, held back for that long, follows it exactly. If that was more than ``Limits/edgeHeldBytesMax``, it is let go
/// and read, too; so the slowest client costs one piece and no more.
///
/// All partitions change over together, for a live push carries the places of all.
///
/// Owner: the subscription, in its ``EdgeSession``.
package struct CatchUp: Sendable {
    /// Read this partition from there on.
    package struct Wish: Hashable, Sendable {
        package var partition: PartitionIndex
        package var from: Offset
    }

    /// What a read of one partition came to.
    package enum Found: Sendable {
        /// The channel's records at or behind where it began, in their order; all in front of `next` was looked at.
        case records(PartitionIndex, [EdgeRecord], next: Offset)
        /// The partition has no such offset: it begins at `start` by now, and ends at `end`.
        case gone(PartitionIndex, start: Offset, end: Offset)

        var partition: PartitionIndex {
            switch self {
            case .records(let partition, _, _), .gone(let partition, _, _): partition
            }
        }
    }

    /// What the client is given of a read.
    package struct Step: Sendable {
        /// What retention took before it was read, told in front of the records.
        package var missing: [MissedRange] = []
        package var push: Push?
        package var recordCount = 0
        /// Live pushes that follow; with them the subscription is live.
        package var held: [HubDelivery] = []
        package var isLive = false
    }

    private struct Lane: Sendable {
        let partition: PartitionIndex
        var next: Offset
        var goal: Offset
    }

    private let channel: EdgeChannel
    private let seal: CursorSeal
    private let format: WireFormat
    private let isWide: Bool
    /// What is given of the past, where it is only the newest record of each key.
    private let lastValues: [PartitionIndex: LastValues]
    /// The partition that the channel's key was in before partitions were added, up to its end as it was when the
    /// subscription began: what the client has not seen there comes first.
    private var before: Lane?
    private var lanes: [Lane]
    /// The lane that is asked for first the next time, so that long ones do not starve the others.
    private var turn = 0
    private var isReading = false
    /// The goals when the read under way began.
    private var goals: [Offset] = []
    private var held: [HubDelivery] = []
    private var heldBytes = 0
    private var isHolding = false

    /// Nil when there is nothing to catch up with.
    /// - Parameters:
    ///   - starts: where the client begins; a partition that is not named begins live.
    ///   - live: where the channel's live pushes stand.
    ///   - ends: up to where a partition is read that is not the channel's any more.
    package init?(
        _ channel: EdgeChannel, from starts: [PartitionIndex: Offset], to live: ChannelPlace,
        ends: [PartitionIndex: Offset] = [:], seal: CursorSeal, lastValues: [PartitionIndex: LastValues] = [:],
        format: WireFormat = .json
    ) {
        self.lastValues = lastValues
        self.format = format
        self.channel = channel
        self.seal = seal
        self.isWide = if case .all = live { true } else { false }
        self.lanes = live.partitions.map { partition in
            let goal = live[partition] ?? .zero
            return Lane(partition: partition, next: starts[partition] ?? goal, goal: goal)
        }
        let others = starts.filter { live[$0.key] == nil }.sorted { $0.key < $1.key }
        if let (partition, next) = others.first, let end = ends[partition], next < end {
            self.before = Lane(partition: partition, next: next, goal: end)
        }
        if self.before == nil, self.lanes.allSatisfy({ $0.next == $0.goal }) { return nil }
    }

    /// Where the client stands.
    package var cursor: SealedCursor { SealedCursor(self.place, by: self.seal) }

    var place: EdgeCursor {
        if let before = self.before { return .single(before.partition, next: before.next) }
        if self.isWide { return .whole(self.lanes.map(\.next)) }
        return .single(self.lanes[0].partition, next: self.lanes[0].next)
    }

    /// Whether there is something to read now.
    package var isBehind: Bool {
        !self.isReading && (self.before != nil || self.lanes.contains { $0.next < $0.goal })
    }

    /// A read begins: of these partitions, together at most ``Limits/edgeCatchUpBytesMax``.
    package mutating func begin() -> [Wish] {
        precondition(self.isBehind, "nothing is there to be read")
        self.isReading = true
        if let before = self.before { return [Wish(partition: before.partition, from: before.next)] }
        self.goals = self.lanes.map(\.goal)
        self.isHolding = true
        let order = self.lanes[self.turn...] + self.lanes[..<self.turn]
        self.turn = (self.turn + 1) % self.lanes.count
        return order.filter { $0.next < $0.goal }.map { Wish(partition: $0.partition, from: $0.next) }
    }

    /// Something was pushed live to the channel.
    package mutating func delivered(_ delivery: HubDelivery) {
        if case .all(let positions) = delivery.place, positions.count == self.lanes.count {
            for index in self.lanes.indices { self.raise(index, to: positions[index]) }
        }
        if let index = self.index(of: delivery.range.partition) { self.raise(index, to: delivery.range.to) }
        guard self.isHolding else { return }
        self.heldBytes += delivery.push.byteCount
        if self.heldBytes <= Limits.edgeHeldBytesMax.rawValue {
            self.held.append(delivery)
        } else {
            self.letGo()
        }
    }

    /// Retention passed the live pushes. What the client is not given of it, its own reading tells.
    package mutating func lost(_ range: MissedRange) {
        if let index = self.index(of: range.partition) { self.raise(index, to: range.to) }
        self.letGo()
    }

    /// The read that was begun is over.
    package mutating func found(_ finds: [Found]) -> Step {
        precondition(self.isReading, "nothing was being read")
        self.isReading = false
        var step = Step()
        defer { self.letGo() }
        guard self.before == nil else {
            self.foundBefore(finds, &step)
            return step
        }
        let isReached = self.isHolding && self.reach(finds) == self.goals
        var records: [EdgeRecord] = []
        for found in finds {
            guard let index = self.index(of: found.partition) else { continue }
            let goal = isReached ? self.goals[index] : self.lanes[index].goal
            Self.take(found, upTo: goal, &self.lanes[index], &records, &step.missing)
        }
        self.finish(&step, records)
        if isReached { step.held = self.held }
        step.isLive = isReached || self.lanes.allSatisfy { $0.next == $0.goal }
        return step
    }
}

extension CatchUp {
    private mutating func foundBefore(_ finds: [Found], _ step: inout Step) {
        guard var lane = self.before else { return }
        var records: [EdgeRecord] = []
        for found in finds where found.partition == lane.partition {
            Self.take(found, upTo: lane.goal, &lane, &records, &step.missing)
        }
        self.before = lane
        self.finish(&step, records)
        if lane.next >= lane.goal { self.before = nil }
        step.isLive = self.before == nil && self.lanes.allSatisfy { $0.next == $0.goal }
    }

    /// Where each lane would be behind what was found. One that is ahead of its goal is not where its goal is.
    private func reach(_ finds: [Found]) -> [Offset] {
        var reach = self.lanes.map(\.next)
        for found in finds {
            guard let index = self.index(of: found.partition) else { continue }
            switch found {
            case .records(_, _, let next): reach[index] = max(reach[index], min(next, self.goals[index]))
            case .gone(_, let start, _): reach[index] = max(reach[index], start)
            }
        }
        return reach
    }

    private static func take(
        _ found: Found, upTo goal: Offset, _ lane: inout Lane, _ records: inout [EdgeRecord],
        _ missing: inout [MissedRange]
    ) {
        switch found {
        case .records(let partition, let all, let next):
            precondition(partition == lane.partition, "records of another partition")
            records += all.filter { $0.offset >= lane.next && $0.offset < goal }
            lane.next = max(lane.next, min(next, goal))
        case .gone(_, let start, let end):
            if lane.next < start {
                missing.append(MissedRange(partition: lane.partition, from: lane.next, to: start))
                lane.next = start
            } else if lane.next > end {
                // It lost records that the client has seen, or was put back from an older copy.
                lane.next = end
            }
        }
    }

    private func finish(_ step: inout Step, _ records: [EdgeRecord]) {
        let records =
            self.lastValues.isEmpty
            ? records : records.filter { self.lastValues[$0.partition]?.takes($0.offset) ?? true }
        step.recordCount = records.count
        if !records.isEmpty { step.push = Push(self.channel, records, self.cursor, as: [self.format]) }
    }

    private mutating func raise(_ index: Int, to offset: Offset) {
        self.lanes[index].goal = max(self.lanes[index].goal, offset)
    }

    private mutating func letGo() {
        self.isHolding = false
        self.held = []
        self.heldBytes = 0
    }

    private func index(of partition: PartitionIndex) -> Int? {
        if self.isWide {
            let index = Int(partition.rawValue)
            return self.lanes.indices.contains(index) ? index : nil
        }
        return self.lanes[0].partition == partition ? 0 : nil
    }
}
