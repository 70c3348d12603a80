package import ApusCore
package import NIOCore
package import WebFormats

/// What a client says that it has seen of a channel.
package enum Confirmation: Hashable, Sendable {
    /// All in front of these cursors, as they came with pushes.
    case cursors([ByteBuffer])
    /// All of the partition up to the record with this offset.
    case offset(PartitionIndex, Offset)
}

/// What a connection was given of a channel that keeps receipts, as far as it may confirm it.
package struct GivenRecords: Sendable {
    /// Where it began.
    private let starts: [PartitionIndex: Offset]
    /// Behind the last that was pushed.
    private var ends: [PartitionIndex: Offset]

    package init(from cursor: EdgeCursor) {
        self.starts = cursor.positions
        self.ends = self.starts
    }

    /// All in front of the cursor was pushed.
    package mutating func give(upTo cursor: EdgeCursor) {
        for (partition, next) in cursor.positions { self.give(partition, upTo: next) }
    }

    package mutating func give(_ delivery: HubDelivery) {
        if let place = delivery.place { self.give(upTo: place.cursor) }
        self.give(delivery.range.partition, upTo: delivery.range.to)
    }

    private mutating func give(_ partition: PartitionIndex, upTo next: Offset) {
        if next > self.ends[partition] ?? .zero { self.ends[partition] = next }
    }

    /// The positions that say something new of what this connection has seen.
    /// - Parameter isOffset: a record is meant, and not a cursor, which may stand where the connection began.
    /// - Throws: `.offsetOutOfRange` for what it was not given.
    package func confirmed(
        _ positions: [PartitionIndex: Offset], isOffset: Bool
    ) throws(Problem) -> [PartitionIndex: Offset] {
        for (partition, next) in positions.sorted(by: { $0.key < $1.key }) {
            // A partition that was added later was begun from its start.
            let start = (self.starts[partition] ?? .zero).advanced(by: isOffset ? 1 : 0)
            guard let end = self.ends[partition], next >= start, next <= end else {
                throw Problem(
                    .offsetOutOfRange,
                    "up to offset \(next.rawValue - 1) of partition \(partition) this connection was not given",
                    hint: "confirm the cursor of a push, or the offset of one of its records")
            }
        }
        return positions.filter { $0.value > self.starts[$0.key] ?? .zero }
    }
}

extension EdgeCursor {
    /// The next offset of each partition that it names.
    package var positions: [PartitionIndex: Offset] {
        switch self {
        case .single(let partition, let next), .step(let partition, _, let next): return [partition: next]
        case .whole(let offsets):
            var positions: [PartitionIndex: Offset] = [:]
            for (index, offset) in offsets.enumerated() {
                positions[PartitionIndex(rawValue: Int32(truncatingIfNeeded: index))] = offset
            }
            return positions
        }
    }
}
