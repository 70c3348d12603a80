package import ApusCore
package import WebFormats

/// Where a channel stands: the next offset in each partition that it reads.
package enum ChannelPlace: Hashable, Sendable {
    /// The channel is in one partition only.
    case one(PartitionIndex, Offset)
    /// In all partitions of its topic, from partition 0 on.
    case all([Offset])

    /// The cursor that says the same.
    package var cursor: EdgeCursor {
        switch self {
        case .one(let partition, let next): .single(partition, next: next)
        case .all(let positions): .whole(positions)
        }
    }

    /// The partitions, ascending.
    package var partitions: [PartitionIndex] {
        switch self {
        case .one(let partition, _): [partition]
        case .all(let positions): positions.indices.map { PartitionIndex(rawValue: Int32(truncatingIfNeeded: $0)) }
        }
    }

    /// Nil for a partition that the channel is not in.
    package subscript(partition: PartitionIndex) -> Offset? {
        switch self {
        case .one(let own, let next): return own == partition ? next : nil
        case .all(let positions):
            let index = Int(partition.rawValue)
            return positions.indices.contains(index) ? positions[index] : nil
        }
    }

    /// The partition came to this offset. A place goes forward only.
    package mutating func advance(_ partition: PartitionIndex, to offset: Offset) {
        switch self {
        case .one(let own, let next):
            guard own == partition, offset > next else { return }
            self = .one(own, offset)
        case .all(var positions):
            let index = Int(partition.rawValue)
            guard positions.indices.contains(index), offset > positions[index] else { return }
            // Emptied first, so that the change does not copy what it holds.
            self = .all([])
            positions[index] = offset
            self = .all(positions)
        }
    }

    /// What a delivery says about where the channel stands.
    package mutating func advance(by delivery: HubDelivery) {
        if case .all(let there) = delivery.place, case .all(let here) = self, there.count == here.count {
            self = .all(zip(here, there).map { max($0, $1) })
        }
        self.advance(delivery.range.partition, to: delivery.range.to)
    }
}
