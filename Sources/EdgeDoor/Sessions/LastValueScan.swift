package import ApusCore
import NIOCore
package import WebFormats

/// Finds the newest record of each key of a channel, in one pass over its partitions: first only which they are, so
/// that no values are held. Then they are read once more and given like any past, the others left out (``CatchUp``),
/// and what comes behind the end of the pass follows, newer records of the same keys among it. So nothing is missed
/// in between, and nothing comes twice.
///
/// Owner: the connection whose client begins so.
package struct LastValueScan: Sendable {
    package enum Fault: Error, Hashable, Sendable {
        /// The channel has more keys than are remembered.
        case tooManyKeys
    }

    private struct Lane: Sendable {
        var next: Offset
        let end: Offset
        var newest: [ByteBuffer: Offset] = [:]
    }

    private var lanes: [PartitionIndex: Lane] = [:]
    private var keyCount = 0
    private var keyBytes = 0

    /// - Parameter kept: what the channel's partitions have now.
    package init(_ kept: [PartitionIndex: KeptRange]) {
        self.lanes = kept.mapValues { Lane(next: $0.start, end: $0.end) }
    }

    /// What is to be read next; nil when all was read.
    package var wish: CatchUp.Wish? {
        let lane = self.lanes.filter { $0.value.next < $0.value.end }.min { $0.key < $1.key }
        return lane.map { CatchUp.Wish(partition: $0.key, from: $0.value.next) }
    }

    /// A piece was read: the channel's records in it.
    package mutating func found(_ found: CatchUp.Found) throws(Fault) {
        switch found {
        case .gone(let partition, let start, _):
            guard let lane = self.lanes[partition] else { return }
            // What was in front of it can not be read, and what was not read is not given.
            self.lanes[partition]?.next = min(max(start, lane.next.next), lane.end)
        case .records(let partition, let records, let next):
            guard var lane = self.lanes.removeValue(forKey: partition) else { return }
            for record in records where record.offset < lane.end {
                guard let key = record.key else { continue }
                self.take(key, record.value == nil ? nil : record.offset, &lane)
            }
            lane.next = max(lane.next, min(next, lane.end))
            self.lanes[partition] = lane
            guard self.keyCount <= Limits.lastValuesMax, self.keyBytes <= Limits.lastValueKeyBytesMax.rawValue else {
                throw .tooManyKeys
            }
        }
    }

    private mutating func take(_ key: ByteBuffer, _ offset: Offset?, _ lane: inout Lane) {
        guard let offset else {
            if lane.newest.removeValue(forKey: key) != nil {
                self.keyCount -= 1
                self.keyBytes -= key.readableBytes
            }
            return
        }
        if lane.newest[key] != nil {
            lane.newest[key] = offset
        } else {
            // A copy: a slice would keep all alive that it was read with.
            lane.newest[ByteBuffer(bytes: key.readableBytesView)] = offset
            self.keyCount += 1
            self.keyBytes += key.readableBytes
        }
    }

    /// Behind the pass: what each partition begins with.
    package var lastValues: [PartitionIndex: LastValues] {
        self.lanes.mapValues { LastValues(end: $0.end, offsets: $0.newest.values.sorted()) }
    }
}

/// The newest record of each key in a partition, in front of an end.
package struct LastValues: Hashable, Sendable {
    package let end: Offset
    /// Ascending.
    package let offsets: [Offset]

    package init(end: Offset, offsets: [Offset]) {
        self.end = end
        self.offsets = offsets
    }

    /// Where reading them begins.
    package var start: Offset { self.offsets.first ?? self.end }

    /// Whether a record is given: it is the newest of its key, or it came behind the pass.
    package func takes(_ offset: Offset) -> Bool {
        guard offset < self.end else { return true }
        var (low, high) = (0, self.offsets.count)
        while low < high {
            let middle = low + (high - low) / 2
            if self.offsets[middle] < offset { low = middle + 1 } else { high = middle }
        }
        return low < self.offsets.count && self.offsets[low] == offset
    }
}
