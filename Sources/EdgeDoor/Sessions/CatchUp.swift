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
/// and read, too; so the slowest client costs one piece and no more. What it is given of a read ends at the goals as
/// they were when the read began, so that it is alike for all who began there (``PastPiece``).
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
        /// Pushed without a record before what is held: live pushes may carry steps, which count from a place that the
        /// client has come to, and was not told.
        package var cursor: SealedCursor?
    }

    private struct Lane: Sendable {
        let partition: PartitionIndex
        var next: Offset
        var goal: Offset
    }

    private let seal: CursorSeal
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
    /// It came further without a push that says so.
    private var isUntold = false

    /// Nil when there is nothing to catch up with.
    /// - Parameters:
    ///   - starts: where the client begins; a partition that is not named begins live.
    ///   - live: where the channel's live pushes stand.
    ///   - ends: up to where a partition is read that is not the channel's any more.
    package init?(
        from starts: [PartitionIndex: Offset], to live: ChannelPlace, ends: [PartitionIndex: Offset] = [:],
        seal: CursorSeal, lastValues: [PartitionIndex: LastValues] = [:]
    ) {
        self.lastValues = lastValues
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

    /// A read begins.
    package mutating func begin() -> PastReading {
        precondition(self.isBehind, "nothing is there to be read")
        self.isReading = true
        if let before = self.before { return self.reading([before]) }
        self.goals = self.lanes.map(\.goal)
        self.isHolding = true
        let order = self.lanes[self.turn...] + self.lanes[..<self.turn]
        self.turn = (self.turn + 1) % self.lanes.count
        return self.reading(order.filter { $0.next < $0.goal })
    }

    private func reading(_ lanes: [Lane]) -> PastReading {
        let wishes = lanes.map { Wish(partition: $0.partition, from: $0.next) }
        return PastReading(
            PastReading.Start(wishes, at: self.place), upTo: lanes.map(\.goal), lastValues: self.lastValues)
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
    package mutating func found(_ piece: PastPiece) -> Step {
        precondition(self.isReading, "nothing was being read")
        self.isReading = false
        var step = Step(push: piece.push, recordCount: piece.recordCount)
        self.isUntold = piece.push == nil && (self.isUntold || !piece.finds.isEmpty)
        defer { self.letGo() }
        if var before = self.before {
            for place in piece.finds where place.partition == before.partition {
                Self.take(place, &before, &step.missing)
            }
            self.before = before.next < before.goal ? before : nil
        } else {
            for place in piece.finds {
                guard let index = self.index(of: place.partition) else { continue }
                Self.take(place, &self.lanes[index], &step.missing)
            }
            // One that is ahead of its goal is not where its goal is.
            if self.isHolding, self.lanes.map(\.next) == self.goals {
                (step.held, step.isLive) = (self.held, true)
            }
        }
        step.isLive = step.isLive || (self.before == nil && self.lanes.allSatisfy { $0.next == $0.goal })
        if step.isLive, self.isUntold, self.lanes.count > Limits.cursorPartitionsCheap { step.cursor = self.cursor }
        return step
    }
}

extension CatchUp {
    private static func take(_ place: Place, _ lane: inout Lane, _ missing: inout [MissedRange]) {
        if case .gone(let partition, let start, _) = place, lane.next < start {
            missing.append(MissedRange(partition: partition, from: lane.next, to: start))
        }
        lane.next = place.next(from: lane.next)
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
