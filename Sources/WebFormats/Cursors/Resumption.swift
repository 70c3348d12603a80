package import ApusCore

/// The records that a partition has: from `start` up to, not including, `end`.
package struct KeptRange: Hashable, Sendable {
    package var start: Offset
    package var end: Offset

    package init(start: Offset, end: Offset) {
        self.start = start
        self.end = end
    }
}

/// What a client that resumes can not be given.
package enum ResumeGap: Hashable, Sendable {
    /// Retention has passed the cursor: the offsets from `from` up to, not including, `to` are gone.
    case expired(PartitionIndex, from: Offset, to: Offset)
    /// The partition ends before the cursor: it lost records, or was put back from an older copy.
    case beyondEnd(PartitionIndex, position: Offset, end: Offset)
}

/// Where a client that brings a cursor goes on: exactly behind what it saw, or told what is gone in between (promise
/// P9).
package struct Resumption: Hashable, Sendable {
    /// Where each partition that the channel reads goes on.
    package private(set) var starts: [PartitionIndex: Offset] = [:]
    package private(set) var gaps: [ResumeGap] = []

    package var isRecovered: Bool { self.gaps.isEmpty }

    /// - Parameters:
    ///   - cursors: as the client brought them: one whole or single cursor, and steps that count from it.
    ///   - kept: what the partitions of the topic have, from partition 0 on.
    ///   - partition: the one that the channel is in; nil when it reads all.
    package init(
        _ cursors: [EdgeCursor], kept: [KeptRange], partition: PartitionIndex?
    ) throws(CursorError) {
        let positions = try Self.positions(of: cursors, in: kept.count)
        guard positions.keys.allSatisfy({ kept.indices.contains(Int($0.rawValue)) }) else { throw .unknownPartitions }
        for index in kept.indices {
            let this = PartitionIndex(rawValue: Int32(truncatingIfNeeded: index))
            // When partitions were added, a key's channel may be in another one since; what it has not seen of the one
            // before is still to be read.
            guard partition == nil || partition == this || (positions.count == 1 && positions[this] != nil) else {
                continue
            }
            // A partition that the cursor does not name was added since: all of it is new.
            self.go(on: this, from: positions[this] ?? .zero, in: kept[index])
        }
    }

    private mutating func go(on partition: PartitionIndex, from position: Offset, in kept: KeptRange) {
        if position < kept.start {
            self.gaps.append(.expired(partition, from: position, to: kept.start))
        } else if position > kept.end {
            self.gaps.append(.beyondEnd(partition, position: position, end: kept.end))
        }
        self.starts[partition] = min(max(position, kept.start), kept.end)
    }

    /// The positions that the cursors come to, in a topic of `count` partitions.
    private static func positions(
        of cursors: [EdgeCursor], in count: Int
    ) throws(CursorError) -> [PartitionIndex: Offset] {
        var positions: [PartitionIndex: Offset]?
        for cursor in cursors {
            switch cursor {
            case .step: continue
            case .whole(let offsets):
                guard positions == nil else { throw .noWholeCursor }
                positions = Dictionary(
                    uniqueKeysWithValues: offsets.enumerated().map {
                        (PartitionIndex(rawValue: Int32(truncatingIfNeeded: $0.offset)), $0.element)
                    })
            case .single(let partition, let next):
                guard positions == nil else { throw .noWholeCursor }
                positions = [partition: next]
            }
        }
        guard var positions else { throw .noWholeCursor }
        let whole = positions
        for case .step(let partition, let since, let next) in cursors {
            guard since <= whole[partition] ?? .zero else { throw .stepMissing(partition) }
            positions[partition] = max(positions[partition] ?? .zero, next)
        }
        return positions
    }
}
