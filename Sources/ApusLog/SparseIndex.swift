import ApusCore

/// Where in a segment an offset or a timestamp can be looked for: one entry for about every 32 KiB of batches.
///
/// An entry is a hint. Whoever follows it finds a seal there and believes the seal, so a wrong entry costs time only.
struct SparseIndex: Hashable, Sendable {
    struct Entry: Hashable, Sendable {
        /// Offset of the batch at `position`, counted from the segment's base.
        var offset: UInt32
        var position: UInt32
        /// The largest timestamp of all batches of the segment *in front of* `position`.
        var largestTimestampBefore: Int64
    }

    private(set) var entries: [Entry] = []
    private var lastPosition: UInt32 = 0

    init() {}

    init(entries: [Entry]) {
        self.entries = entries
        self.lastPosition = entries.last?.position ?? 0
    }

    /// Told of every batch in order; keeps one of each interval.
    mutating func note(offset: Int64, position: Int, largestTimestampBefore: Timestamp, interval: ByteCount) {
        guard position - Int(self.lastPosition) >= interval.rawValue, let offset = UInt32(exactly: offset),
            let place = UInt32(exactly: position)
        else { return }
        self.lastPosition = place
        self.entries.append(
            Entry(offset: offset, position: place, largestTimestampBefore: largestTimestampBefore.rawValue)
        )
    }

    /// Forgets what lies at `position` and behind it.
    mutating func cut(to position: Int) {
        while let last = self.entries.last, Int(last.position) >= position { self.entries.removeLast() }
        self.lastPosition = self.entries.last?.position ?? 0
    }

    /// The last indexed place at or before an offset, counted from the segment's base; nil for the segment's first
    /// batch.
    func position(ofOffset offset: Int64) -> Int? {
        let count = self.count { Int64($0.offset) <= offset }
        return count == 0 ? nil : Int(self.entries[count - 1].position)
    }

    /// The last indexed place in front of which every timestamp is smaller; nil for the segment's first batch.
    func position(ofTimestamp timestamp: Timestamp) -> Int? {
        let count = self.count { $0.largestTimestampBefore < timestamp.rawValue }
        return count == 0 ? nil : Int(self.entries[count - 1].position)
    }

    /// How many entries at the start satisfy a condition that none satisfies after the first that does not.
    private func count(while holds: (Entry) -> Bool) -> Int {
        var low = 0
        var high = self.entries.count
        while low < high {
            let middle = (low + high) / 2
            if holds(self.entries[middle]) { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
