import ApusCore
import KafkaWire
import NIOCore

/// What recovery does about compaction.
///
/// A swap is one replacement of the `state` file: before it the log is made of the old files, after it of the new one.
/// So with a state there is only litter to remove: a new file that no state came to name, or old files that were not
/// removed any more. Litter is removed only where what took its place is there and is what `state` says.
///
/// Without a state (it was lost, which is reported) the files speak for themselves. A compacted file was whole and
/// synced before it had its name, so it is as good as what it was made of; and some of that may be gone already. So it
/// wins, the newest generation first.
extension LogRecovery {
    /// The name of a compacted segment's file.
    struct CompactedFile: Hashable {
        var base: Offset
        var generation: UInt32
    }

    // MARK: With a state

    /// Removes what a swap that was cut off left behind.
    mutating func finishSwaps(of state: LogState) throws(DiskError) {
        let known = Set(state.closed.map { CompactedFile(base: $0.base, generation: $0.generation) })
        let damaged = self.report.damage
        /// What `state` says is there, and is.
        let sound = state.closed.filter { segment in !damaged.contains { $0.file.name == segment.fileName } }
        for file in self.compacted where !known.contains(file) {
            let path = self.path(FileName.segmentName(file.base, file.generation))
            if case .success(let header) = try self.header(of: path), header.isCompacted,
                Self.cover(sound, header.baseOffset..<header.compactedEnd)
            {
                try self.removeCompacted(file)
            } else {
                self.report.damage.append(LogDamage(.overlap, path, offsets: .zero ..< .zero))
            }
        }
        for segment in sound where segment.isCompacted {
            for base in self.segments where base >= segment.base && base < segment.end {
                try self.removeSegment(base)
            }
        }
    }

    /// Whether these segments, which are in order, hold every offset of a range.
    private static func cover(_ segments: [ClosedSegment], _ range: Range<Offset>) -> Bool {
        var expected = range.lowerBound
        for segment in segments where segment.base <= expected && segment.end > expected { expected = segment.end }
        return expected >= range.upperBound
    }

    // MARK: Without one

    /// Those compacted files that the log is made of, in order. What they took the place of is removed.
    mutating func chooseCompacted() throws(DiskError) -> [CompactedFile] {
        var chosen: [(file: CompactedFile, end: Offset)] = []
        for file in self.compacted.sorted(by: { ($0.generation, $1.base) > ($1.generation, $0.base) }) {
            let path = self.path(FileName.segmentName(file.base, file.generation))
            guard case .success(let header) = try self.header(of: path),
                header.topicPartition == self.identity.topicPartition, header.baseOffset == file.base,
                header.isCompacted
            else {
                // What it held is in older files, or is missed in front of the segment behind it; or it was the last.
                let damage = LogDamage(.header, path, offsets: file.base..<file.base.next)
                self.report.damage.append(damage)
                self.unreadableCompacted.append(damage)
                continue
            }
            let end = header.compactedEnd
            if chosen.contains(where: { $0.file.base <= file.base && $0.end >= end }) {
                try self.removeCompacted(file)
            } else if chosen.contains(where: { $0.file.base < end && $0.end > file.base }) {
                self.report.damage.append(LogDamage(.overlap, path, offsets: .zero ..< .zero))
            } else {
                chosen.append((file, end))
            }
        }
        for (file, end) in chosen {
            for base in self.segments where base >= file.base && base < end { try self.removeSegment(base) }
        }
        return chosen.map(\.file).sorted { $0.base < $1.base }
    }

    /// Reads a compacted segment whole, and adds it to the log. Answers where it ends.
    mutating func read(_ file: CompactedFile, into log: inout Log) throws(DiskError) -> Offset {
        let path = self.path(FileName.segmentName(file.base, file.generation))
        // It was read a moment ago.
        guard case .success(let header) = try self.header(of: path) else { return file.base }
        let end = header.compactedEnd
        let extent = Extent(base: file.base, salt: header.salt, createdAt: header.createdAt)
        var scan = try self.scan(
            path, extent, from: nil, provenPosition: try self.disk.size(of: path).rawValue, provenEnd: end,
            isLast: false, isSparse: true)
        scan.epoch = log.epochs.latest ?? .none
        var horizon = Timestamp.none
        try scan.run { header in
            if header.attributes.hasDeleteHorizon, header.recordCount > 0 {
                let next = Timestamp(rawValue: header.baseTimestamp)
                horizon = horizon == .none ? next : min(horizon, next)
            }
            self.replay(header, into: &log)
        }
        self.report.scannedBytes = self.report.scannedBytes + .bytes(scan.scanner.position - SegmentHeader.byteCount)
        self.report.damage += scan.damage
        if scan.expected < end {
            let place = FilePosition(rawValue: Int64(scan.scanner.position))
            self.report.damage.append(LogDamage(.shorter, path, at: place, offsets: scan.expected..<end))
        }
        var segment = scan.segment.closed
        segment.end = end
        segment.generation = file.generation
        segment.tombstoneHorizon = horizon
        log.closed.append(segment)
        return end
    }
}
