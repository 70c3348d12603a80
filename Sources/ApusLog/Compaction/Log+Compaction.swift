package import ApusCore

extension Log {
    /// Whether and how much this log needs to be compacted; nil when it does not.
    ///
    /// - Parameters:
    ///   - wall: as for ``applyRetention(wall:below:)``.
    ///   - limit: nothing at or above it is touched (the high watermark).
    package func compactionNeed(wall: Timestamp, below limit: Offset) -> CompactionNeed? {
        guard let policy = self.configuration.compaction, self.takesAppends else { return nil }
        let segments = self.compactable(wall: wall, below: limit, policy)
        let done = max(self.compactedEnd, self.startOffset)
        var (dirty, clean) = (0, 0)
        var isLate = false
        var hasExpired = false
        for segment in segments {
            if segment.end > done {
                dirty += segment.byteCount.rawValue
                isLate = isLate || policy.lagMax.map { segment.createdAt < wall.earlier(by: $0) } ?? false
            } else {
                clean += segment.byteCount.rawValue
                hasExpired = hasExpired || segment.hasExpiredTombstones(at: wall)
            }
        }
        let ratio = dirty == 0 ? 0 : Double(dirty) / Double(dirty + clean)
        guard hasExpired || dirty > 0 && (isLate || ratio > policy.dirtyRatioMin) else { return nil }
        return CompactionNeed(dirtyRatio: ratio, isOverdue: isLate || hasExpired)
    }

    /// A pass over what can be compacted now. At most one at a time.
    package mutating func beginCompaction(
        wall: Timestamp, below limit: Offset, keysBytesMax: ByteCount = Limits.compactionKeysBytesMax
    ) -> Compaction? {
        guard let policy = self.configuration.compaction, self.takesAppends else { return nil }
        let segments = self.compactable(wall: wall, below: limit, policy)
        guard !segments.isEmpty else { return nil }
        let batches = self.producers.all.flatMap { $0.batches.map(\.lastOffset.rawValue) }
        return Compaction(
            Compaction.Plan(
                identity: self.identity, segments: segments,
                compactedEnd: min(self.compactedEnd, segments[segments.count - 1].end), start: self.startOffset,
                segmentBytes: self.configuration.segmentBytes, interval: self.configuration.indexIntervalBytes,
                wall: wall, tombstoneAge: policy.tombstoneAge, producerBatches: Set(batches),
                salts: SaltSequence(seed: self.salts.next()), keysBytesMax: keysBytesMax))
    }

    /// Closed segments from the front that nothing speaks against.
    private func compactable(wall: Timestamp, below limit: Offset, _ policy: CompactionPolicy) -> [ClosedSegment] {
        let young = wall.earlier(by: policy.lagMin)
        var segments: [ClosedSegment] = []
        for segment in self.closed {
            // A file that the next job has yet to finish is not as it will be.
            guard segment.end <= limit, segment.base != self.work.unfinished?.base,
                segments.last.map({ $0.end == segment.base }) ?? true,
                !self.damage.contains(where: { $0.offsets.overlaps(segment.base..<segment.end) })
            else { break }
            guard segment.end <= self.compactedEnd || policy.lagMin <= .zero || segment.age <= young else { break }
            segments.append(segment)
        }
        return segments
    }

    /// Puts a compacted segment in the place of those it was made of. The next job writes it down; the old files go
    /// after that. Reads that were planned before find the old files, or `.gone`, and are planned again.
    ///
    /// - Returns: false when the log does not want it any more. Then the pass must end: behind a group that was not
    ///   swapped, no tombstone may go.
    package mutating func take(_ swap: CompactedSegments) -> Bool {
        guard self.takesAppends else { return false }
        let wanted = Set(swap.sources.map(\.salt))
        let places = self.closed.indices.filter { wanted.contains(self.closed[$0].salt) }
        guard let first = places.first, let last = places.last else {
            // All of it lies below the log's start by now.
            self.doom(swap.result)
            return true
        }
        // Retention takes segments from the front only.
        guard last - first + 1 == places.count, places.count == swap.sources.count || first == 0,
            self.closed[last].end == swap.result.end
        else {
            self.doom(swap.result)
            return false
        }
        for segment in self.closed[first...last] { self.doom(segment) }
        self.closed.replaceSubrange(first...last, with: [swap.result])
        self.work.isStateDue = true
        return true
    }

    /// A pass is over and has compacted everything below `end`.
    package mutating func compacted(through end: Offset) {
        guard end > self.compactedEnd, self.takesAppends else { return }
        self.compactedEnd = end
        self.work.isStateDue = true
    }

    /// A pass found something that does not hold.
    package mutating func learned(_ damage: LogDamage) {
        if !self.damage.contains(damage) { self.damage.append(damage) }
    }
}
