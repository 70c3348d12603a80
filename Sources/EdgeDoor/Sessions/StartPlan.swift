package import ApusCore
import NIOCore
package import WebFormats

/// From what a client asks for to where it begins in each partition: first what is to be asked of the broker, then
/// what follows from the answers.
package struct StartPlan: Sendable {
    package let channel: EdgeChannel
    private let start: StartPoint
    private let seal: CursorSeal
    private let partitionCount: Int
    /// The one partition that the channel is in; nil when it is in all.
    private let partition: PartitionIndex?
    private let cursors: [EdgeCursor]

    /// - Throws: cursors that are none of this channel's, and what can not be begun with.
    package init(
        _ start: StartPoint, of channel: EdgeChannel, partitions: Int, placement: KeyPlacement, seal: CursorSeal
    ) throws(Problem) {
        self.channel = channel
        self.start = start
        self.seal = seal
        self.partitionCount = partitions
        self.partition = channel.partition(of: partitions, placement: placement)
        var cursors: [EdgeCursor] = []
        switch start {
        case .cursors(let texts):
            for text in texts {
                do throws(CursorError) { cursors.append(try seal.cursor(in: text)) } catch { throw Problem(error) }
            }
        case .earliest, .latest, .offset, .beforeEnd, .time, .lastValues: break
        }
        self.cursors = cursors
    }

    /// The partitions of which it must be known what they have, ascending. Those that a cursor names are asked about
    /// too: partitions may have been added since.
    package var asked: [PartitionIndex] {
        if case .latest = self.start { return [] }
        guard let partition = self.partition else { return Self.partitions(of: self.partitionCount) }
        var asked: Set<PartitionIndex> = [partition]
        for case .single(let other, _) in self.cursors where Int(other.rawValue) < self.partitionCount {
            asked.insert(other)
        }
        return asked.sorted()
    }

    /// The time of which the first offset must be known, in each of the partitions.
    package var time: Timestamp? { if case .time(let time) = self.start { time } else { nil } }

    /// Where reading begins in each partition that is read, and what is not to be had.
    /// - Parameters:
    ///   - kept: of the partitions ``asked`` about.
    ///   - times: the first offset of ``time`` or later; a partition that has none is not in it.
    package func starts(
        kept: [PartitionIndex: KeptRange], times: [PartitionIndex: Offset] = [:]
    ) throws(Problem) -> (starts: [PartitionIndex: Offset], gaps: [ResumeGap]) {
        var starts: [PartitionIndex: Offset] = [:]
        var gaps: [ResumeGap] = []
        func put(_ partition: PartitionIndex, _ range: KeptRange, from offset: Offset) {
            if offset < range.start { gaps.append(.expired(partition, from: offset, to: range.start)) }
            if offset > range.end { gaps.append(.beyondEnd(partition, position: offset, end: range.end)) }
            starts[partition] = min(max(offset, range.start), range.end)
        }
        if case .cursors = self.start {
            let nothing = KeptRange(start: .zero, end: .zero)
            do throws(CursorError) {
                let resumption = try Resumption(
                    self.cursors, kept: Self.partitions(of: self.partitionCount).map { kept[$0] ?? nothing },
                    partition: self.partition)
                return (resumption.starts, resumption.gaps)
            } catch {
                throw Problem(error)
            }
        }
        for (partition, range) in kept.sorted(by: { $0.key < $1.key }) {
            switch self.start {
            case .latest, .cursors: continue
            case .earliest, .lastValues: starts[partition] = range.start
            case .offset(let offset): put(partition, range, from: offset)
            case .beforeEnd(let count):
                // Never below zero: both are from zero on.
                let offset = Offset(rawValue: range.end.rawValue - min(count, range.end.rawValue))
                starts[partition] = max(range.start, offset)
            case .time: starts[partition] = min(max(times[partition] ?? range.end, range.start), range.end)
            }
        }
        return (starts, gaps)
    }

    /// What of the starts is read first, where a key is in another partition since some were added: the old one up to
    /// its end, and then the new.
    package func first(
        of starts: [PartitionIndex: Offset], kept: [PartitionIndex: KeptRange]
    ) -> [PartitionIndex: Offset] {
        guard let own = self.partition, starts.count > 1 else { return starts }
        let other = starts.first { partition, start in
            partition != own && start < kept[partition]?.end ?? .zero
        }
        return other.map { [$0.key: $0.value] } ?? starts.filter { $0.key == own }
    }

    /// The subscription that begins there, where live pushes of its channel stand at `live` now.
    package func begin(
        at live: ChannelPlace, kept: [PartitionIndex: KeptRange], times: [PartitionIndex: Offset] = [:],
        lastValues: [PartitionIndex: LastValues] = [:], keepsReceipts: Bool = false
    ) throws(Problem) -> SubscriptionStart {
        let (starts, gaps) = try self.starts(kept: kept, times: times)
        let catchUp = CatchUp(
            from: starts.merging(lastValues.mapValues(\.start)) { max($0, $1) }, to: live,
            ends: kept.mapValues(\.end), seal: self.seal, lastValues: lastValues)
        let cursor = catchUp?.cursor ?? SealedCursor(live.cursor, by: self.seal)
        var start = SubscriptionStart(cursor: cursor, gaps: gaps, catchUp: catchUp)
        if keepsReceipts { start.given = GivenRecords(from: catchUp?.place ?? live.cursor) }
        return start
    }

    private static func partitions(of count: Int) -> [PartitionIndex] {
        (0..<count).map { PartitionIndex(rawValue: Int32(truncatingIfNeeded: $0)) }
    }
}
