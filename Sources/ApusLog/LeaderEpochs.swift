package import ApusCore

/// Which leader wrote what: the offset each epoch starts at, in order (KIP-101, KIP-279).
///
/// This is what followers compare to find where their logs part, and what `OffsetForLeaderEpoch` answers from.
package struct LeaderEpochs: Hashable, Sendable {
    package struct Entry: Hashable, Sendable {
        package var epoch: Epoch
        package var start: Offset

        package init(epoch: Epoch, start: Offset) {
            self.epoch = epoch
            self.start = start
        }
    }

    package private(set) var entries: [Entry] = []

    package init() {}

    /// - Returns: nil unless epochs and starts both ascend.
    init?(entries: [Entry]) {
        for (earlier, later) in zip(entries, entries.dropFirst()) {
            guard earlier.epoch < later.epoch, earlier.start <= later.start else { return nil }
        }
        self.entries = entries
    }

    package var latest: Epoch? { self.entries.last?.epoch }

    /// A batch of `epoch` was appended at `offset`. Batches without an epoch say nothing.
    mutating func note(_ epoch: Epoch, at offset: Offset) {
        guard epoch.rawValue >= 0, self.entries.last.map({ $0.epoch < epoch }) ?? true else { return }
        self.entries.append(Entry(epoch: epoch, start: offset))
    }

    /// The largest epoch not above `epoch`, and where it ends: the start of the next, or `logEnd` for the latest.
    /// Nil when `epoch` is above the latest, or nothing is known.
    package func end(of epoch: Epoch, logEnd: Offset) -> (epoch: Epoch, end: Offset)? {
        guard let latest = self.entries.last, epoch <= latest.epoch else { return nil }
        if epoch == latest.epoch { return (epoch, logEnd) }
        guard let next = self.entries.firstIndex(where: { epoch < $0.epoch }) else { return nil }
        return (next == 0 ? epoch : self.entries[next - 1].epoch, self.entries[next].start)
    }

    /// The epoch of the record at `offset`; nil when it is older than all that is known.
    package func epoch(at offset: Offset) -> Epoch? {
        self.entries.last { $0.start <= offset }?.epoch
    }

    /// Records below `start` are gone. The epoch that `start` is in stays, and starts there.
    mutating func forget(below start: Offset) {
        guard let kept = self.entries.lastIndex(where: { $0.start <= start }) else { return }
        self.entries.removeSubrange(..<kept)
        self.entries[0].start = max(self.entries[0].start, start)
    }

    /// Records at `end` and above are gone.
    mutating func rewind(to end: Offset) {
        while let last = self.entries.last, last.start >= end { self.entries.removeLast() }
    }
}
