package import ApusCore

extension Log {
    /// What retention took.
    package struct Dropped: Hashable, Sendable {
        package var segments: Int
        package var byteCount: ByteCount
    }

    /// Drops whole segments from the front: those whose newest record is older than `retentionAge`, and the oldest
    /// ones while what is left still holds `retentionBytes`. The files go with the next jobs.
    ///
    /// A segment's age is that of its newest record, but never younger than its last append: a timestamp from the
    /// future keeps nothing (KIP-937). Where no record has a timestamp it is that of the last append. The caller
    /// vouches for `wall`: see a jump of the wall clock there, before records go.
    /// - Parameter limit: nothing at or above it is dropped (the high watermark).
    @discardableResult
    package mutating func applyRetention(wall: Timestamp, below limit: Offset) -> Dropped {
        guard self.takesAppends else { return Dropped(segments: 0, byteCount: .zero) }
        if self.work.isStateOwed { self.work.isStateDue = true }
        self.rollIfExpired(wall: wall, below: limit)
        var dropped = 0
        var bytes = ByteCount.zero
        let total = self.byteCount
        let expired = self.configuration.retentionAge.map { wall.earlier(by: $0) }
        for segment in self.closed {
            guard segment.end <= limit else { break }
            let isOld = expired.map { segment.age < $0 } ?? false
            let isMuch = self.configuration.retentionBytes.map { total - bytes - segment.byteCount >= $0 } ?? false
            guard isOld || isMuch || segment.end <= self.startOffset else { break }
            dropped += 1
            bytes = bytes + segment.byteCount
        }
        guard dropped > 0 else { return Dropped(segments: 0, byteCount: .zero) }
        self.startOffset = max(self.startOffset, self.closed[dropped - 1].end)
        self.drop(segments: dropped)
        return Dropped(segments: dropped, byteCount: bytes)
    }

    /// The last segment of a topic that nobody writes to any more expires too: it is closed, so that it can go.
    ///
    /// So is one that compaction must have been over soon (`max.compaction.lag.ms`): it never touches the last.
    private mutating func rollIfExpired(wall: Timestamp, below limit: Offset) {
        guard self.ahead.isEmpty, self.writing.isOnDisk, self.writing.mark == self.writing.written,
            self.work.flight == nil, self.writing.mark.end > self.writing.base, self.writing.mark.end <= limit
        else { return }
        let isExpired = self.configuration.retentionAge.map { self.writing.closed.age < wall.earlier(by: $0) } ?? false
        let isLate =
            self.configuration.compaction?.lagMax.map { self.writing.createdAt < wall.earlier(by: $0) } ?? false
        if isExpired || isLate { self.closeWriting(wall: wall) }
    }

    /// Closes the segment that is written to, although nothing waits to be written behind it.
    /// - Precondition: it has batches, all of it is written, and no job is in flight.
    mutating func closeWriting(wall: Timestamp) {
        self.roll(wall: wall)
        self.startNextSegment()
        self.work.isStateDue = true
    }

    /// Moves the start of the log up for ever (DeleteRecords). It is in force at once, and durable when a job reports a
    /// `durableStart` at or above it. Segments wholly below it are removed.
    /// - Parameter offset: up to the high watermark. Below the start it changes nothing.
    /// - Throws: `.outOfRange` above what is written; `.failed`.
    package mutating func advanceStart(to offset: Offset) throws(LogError) {
        if let failure = self.failure { throw .failed(failure) }
        guard offset <= self.writtenEnd, offset.rawValue >= 0 else {
            throw .outOfRange(start: self.startOffset, end: self.writtenEnd)
        }
        guard offset > self.startOffset else {
            if self.work.isStateOwed { self.work.isStateDue = true }
            return
        }
        self.startOffset = offset
        self.drop(segments: self.closed.prefix { $0.end <= offset }.count)
    }

    /// A segment as retention sees it.
    package struct SegmentSummary: Hashable, Sendable {
        package var offsets: Range<Offset>
        /// Its newest record.
        package var newest: Timestamp
        package var byteCount: ByteCount
    }

    /// Its segments, oldest first, with what was appended and not written yet.
    package var segments: [SegmentSummary] {
        let open = [self.writing] + self.ahead
        let all = self.closed + open.filter { $0.mark.end > $0.base }.map(\.closed)
        return all.map { SegmentSummary(offsets: $0.base..<$0.end, newest: $0.age, byteCount: $0.byteCount) }
    }

    /// Where the oldest segment that takes no more batches ends; nil when there is none.
    package var oldestSegmentEnd: Offset? { self.closed.first?.end }

    /// Its files go once the `state` file says that it is not in the log any more.
    mutating func doom(_ segment: ClosedSegment) {
        self.work.doomed.append(self.identity.directory.appending(segment.fileName))
        self.work.doomed.append(self.identity.directory.appending(segment.indexName))
        self.work.isStateDue = true
    }

    /// Takes segments out of the log; their files are removed once the disk knows.
    private mutating func drop(segments count: Int) {
        for segment in self.closed.prefix(count) {
            self.doom(segment)
        }
        self.closed.removeFirst(count)
        self.damage.removeAll { $0.offsets.upperBound <= self.startOffset }
        self.epochs.forget(below: self.startOffset)
        self.hints.forget(below: self.startOffset)
        self.work.isStateDue = true
    }
}
