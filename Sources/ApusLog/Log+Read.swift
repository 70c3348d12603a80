package import ApusCore

extension Log {
    /// Plans a read of whole batches from the one that holds `from`.
    ///
    /// Reads see what is written; in a failed log, what is durable.
    /// - Parameters:
    ///   - below: batches that end above it are left out (the high watermark, or the last stable offset).
    ///   - limit: bytes of batches, except that one batch always comes whole. All come from one segment; a reader that
    ///     wants more reads on from ``LogRead/Result/continuation``.
    /// - Returns: nil when there is nothing to read there yet.
    /// - Throws: `.outOfRange`; `.damaged` for places that are known to be.
    package func read(from: Offset, below: Offset, upTo limit: ByteCount) throws(LogError) -> LogRead? {
        guard from >= self.startOffset, from <= self.endOffset else {
            throw .outOfRange(start: self.startOffset, end: self.endOffset)
        }
        let end = min(below, self.readableEnd)
        guard from < end else { return nil }
        if let damage = self.damage.first(where: { $0.offsets.contains(from) }) { throw .damaged(damage) }
        let known = self.hintedSegment(of: from)
        guard let source = known.source else { return nil }
        return LogRead(source: source, from: from, below: end, limit: limit, isExact: known.isExact)
    }

    /// What a read found out about places and damage, for the reads after it.
    package mutating func learned(from read: LogRead, _ outcome: Result<LogRead.Result, LogError>) {
        switch outcome {
        case .success(let result):
            if let hint = result.hint { self.hints.note(hint, after: read.from) }
        case .failure(.damaged(let damage)) where read.from >= self.startOffset:
            if !self.damage.contains(damage) { self.damage.append(damage) }
        case .failure: break
        }
    }

    /// Plans the search for the first record with a timestamp at or above `timestamp`; nil when no batch says it has
    /// one.
    package func lookup(timestamp: Timestamp, below: Offset) -> LogLookup? {
        var sources: [SegmentSource] = []
        for segment in self.closed where segment.end > self.startOffset && segment.base < below {
            guard !sources.isEmpty || segment.largestTimestamp >= timestamp else { continue }
            sources.append(self.source(of: segment, start: nil))
        }
        if !sources.isEmpty || self.writing.written.largestTimestamp >= timestamp, self.writing.isOnDisk {
            sources.append(
                self.writingSource(start: self.writing.index.position(ofTimestamp: timestamp))
            )
        }
        guard !sources.isEmpty else { return nil }
        return LogLookup(
            timestamp: timestamp, start: self.startOffset, below: min(below, self.readableEnd), sources: sources
        )
    }

    /// Plans the search for where a window of time begins: at the first record that is not older than `cutoff`. Where
    /// no record of a segment has a timestamp, all of them are as old as the segment; so the window begins at the first
    /// segment of that kind at the latest. Nil when everything is older.
    package func lookup(windowFrom cutoff: Timestamp, below: Offset) -> LogLookup? {
        var lookup = self.lookup(timestamp: cutoff, below: below)
        func begins(_ segment: ClosedSegment) -> Bool {
            segment.isTimeless && segment.age >= cutoff && segment.end > max(self.startOffset, segment.base)
                && segment.base < below
        }
        let written = self.writing.checked
        guard let timeless = self.closed.first(where: begins) ?? (begins(written) ? written : nil) else {
            return lookup
        }
        let start = LogLookup.Answer(
            offset: max(self.startOffset, timeless.base), timestamp: timeless.age, epoch: .none)
        if let first = lookup?.sources.first, first.base < timeless.base {
            lookup?.otherwise = start
            return lookup
        }
        return LogLookup(
            timestamp: cutoff, start: self.startOffset, below: below, sources: [], otherwise: start)
    }

    /// Plans the search for the record with the largest timestamp (KIP-734); nil in an empty log.
    package func lookupLargestTimestamp(below: Offset) -> LogLookup? {
        guard let largest = self.largestTimestamp else { return nil }
        return self.lookup(timestamp: largest.timestamp, below: below)
    }

    private var readableEnd: Offset {
        switch self.failure {
        case nil, .closed: self.writtenEnd
        case .disk, .endUnknown, .endLost: self.durableEnd
        }
    }

    private func hintedSegment(of offset: Offset) -> (source: SegmentSource?, isExact: Bool) {
        if offset >= self.writing.base {
            guard self.writing.isOnDisk else { return (nil, false) }
            if offset == self.writing.base {
                return (self.writingSource(start: SegmentHeader.byteCount), true)
            }
            if let hint = self.hints.position(of: offset, in: self.writing.salt) {
                return (self.writingSource(start: hint), true)
            }
            let start = self.writing.index.position(ofOffset: offset.rawValue - self.writing.base.rawValue)
            return (self.writingSource(start: start), false)
        }
        guard let index = self.closed.lastIndex(where: { $0.base <= offset }) else { return (nil, false) }
        let segment = self.closed[index]
        // Who comes from the segment before needs no index either.
        if offset == segment.base { return (self.source(of: segment, start: SegmentHeader.byteCount), true) }
        let hint = self.hints.position(of: offset, in: segment.salt)
        return (self.source(of: segment, start: hint), hint != nil)
    }

    private func writingSource(start: Int?) -> SegmentSource {
        SegmentSource(
            identity: self.identity, base: self.writing.base, end: self.writing.written.end, salt: self.writing.salt,
            generation: 0, byteCount: self.writing.written.byteCount, start: start ?? SegmentHeader.byteCount,
            interval: self.configuration.indexIntervalBytes
        )
    }

    func source(of segment: ClosedSegment, start: Int?) -> SegmentSource {
        SegmentSource(
            identity: self.identity, base: segment.base, end: segment.end, salt: segment.salt,
            generation: segment.generation, byteCount: segment.byteCount.rawValue, start: start,
            interval: self.configuration.indexIntervalBytes
        )
    }
}
