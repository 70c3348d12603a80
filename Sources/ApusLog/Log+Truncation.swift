package import ApusCore
import KafkaWire
import NIOCore

extension Log {
    /// The log without everything from `end` on: what a follower does that finds its leader's log to be another one.
    /// Blocking; takes the place of the log it is asked of, which is not used any more.
    ///
    /// Whole batches go: the new end is the base of the first batch that reaches beyond `end`, if any. A crash in the
    /// middle leaves the old end or the new one. A follower that comes back with the old one truncates again.
    /// - Precondition: `isIdle`.
    /// - Throws: `.outOfRange` below the start, `.failed`, `.disk`.
    package func truncated(
        to end: Offset, on disk: any Disk, wall: Timestamp, seed: UInt64
    ) throws(LogError) -> OpenedLog {
        precondition(self.isIdle, "truncated in work")
        if let failure = self.failure { throw .failed(failure) }
        guard end < self.endOffset else { return OpenedLog(log: self, report: LogReport()) }
        // Compaction touches nothing that may have to be taken back (it stays below the high watermark).
        let least = max(self.startOffset, self.closed.last(where: \.isCompacted)?.end ?? .zero)
        guard end >= least else { throw .outOfRange(start: least, end: self.endOffset) }
        do throws(DiskError) {
            try self.cut(to: end, on: disk)
        } catch {
            throw .disk(error)
        }
        return try Log.open(
            identity: self.identity, configuration: self.configuration, on: disk, cleanShutdown: false, wall: wall,
            seed: seed
        )
    }

    private func cut(to end: Offset, on disk: any Disk) throws(DiskError) {
        let all = self.closed + (self.writing.isOnDisk ? [self.writing.checked] : [])
        guard let index = all.lastIndex(where: { $0.base <= end }) else { return }
        let last = try self.prefix(of: all[index], to: end, on: disk)
        let directory = self.identity.directory
        func segment(_ base: Offset) -> DiskPath { directory.appending(FileName.segmentName(base)) }
        func indexFile(_ base: Offset) -> DiskPath { directory.appending(FileName.indexName(base)) }

        var epochs = self.epochs
        epochs.rewind(to: last.end)
        let state = LogState(
            topicPartition: self.identity.topicPartition, start: self.startOffset,
            compactedEnd: min(self.compactedEnd, last.end), active: last,
            closed: Array(all[..<index]), epochs: epochs, producers: self.producers.rewound(to: last.end).all
        )
        let temporary = directory.appending(FileName.temporaryName(FileName.stateName))
        try disk.discard(temporary)
        let file = directory.appending(FileName.stateName)
        try SegmentSource.replace(file, with: state.encoded(), through: temporary.name, on: disk)
        try disk.syncDirectory(directory)
        // The newest first, each for certain: what is left is always without a gap.
        for gone in all[(index + 1)...].reversed() {
            disk.close(segment(gone.base))
            try disk.discard(segment(gone.base))
            try disk.discard(indexFile(gone.base))
            try disk.syncDirectory(directory)
        }
        try disk.discard(indexFile(last.base))
        try disk.truncate(segment(last.base), to: last.byteCount)
        try disk.sync(segment(last.base))
        try disk.syncDirectory(directory)
    }

    /// A segment up to the last batch that ends at or below `end`.
    private func prefix(
        of segment: ClosedSegment, to end: Offset, on disk: any Disk
    ) throws(DiskError) -> ClosedSegment {
        let source = self.source(of: segment, start: nil)
        var scanner = source.scanner(on: disk, from: SegmentHeader.byteCount)
        var kept = segment
        (kept.end, kept.largestTimestamp, kept.largestTimestampOffset) = (segment.base, .none, segment.base)
        scan: while true {
            switch try scanner.look(whole: false) {
            case .batch(let header, _) where header.nextOffset <= end.rawValue:
                kept.end = Offset(rawValue: header.nextOffset)
                if header.maxTimestamp > kept.largestTimestamp.rawValue {
                    kept.largestTimestamp = Timestamp(rawValue: header.maxTimestamp)
                    kept.largestTimestampOffset = Offset(rawValue: header.baseOffset)
                }
                scanner.skip(header)
            case .bad:
                // Damaged batches below the new end stay where they are.
                let next = try scanner.search(from: scanner.position + 1) { header, _, _ in
                    header.nextOffset <= end.rawValue
                }
                guard let next else { break scan }
                scanner.move(to: next.position)
            case .batch, .end: break scan
            }
        }
        kept.byteCount = .bytes(scanner.position)
        return kept
    }
}
