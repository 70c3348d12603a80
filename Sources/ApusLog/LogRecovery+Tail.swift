import ApusCore
import KafkaWire
import NIOCore

extension LogRecovery {
    /// What is known of a segment before its batches are read.
    struct Extent {
        var base: Offset
        var salt: UInt64
        var createdAt: Timestamp

        init(base: Offset, salt: UInt64, createdAt: Timestamp) {
            self.base = base
            self.salt = salt
            self.createdAt = createdAt
        }

        init(_ segment: ClosedSegment) {
            let createdAt = segment.createdAt == .none ? segment.lastAppendAt : segment.createdAt
            self.init(base: segment.base, salt: segment.salt, createdAt: createdAt)
        }
    }

    /// Reads the segment that `state` says was written to, and all after it; without a state, all.
    /// - Parameter compacted: those that belong to the log, in order, when there is no state to say so.
    mutating func readTail(
        of state: LogState?, compacted: [CompactedFile], into log: inout Log
    ) throws(DiskError) {
        let first = state?.active.base ?? log.startOffset
        let files = Dictionary(uniqueKeysWithValues: compacted.map { ($0.base, $0) })
        let bases = (self.segments.filter { $0 >= first } + compacted.map(\.base)).sorted()
        var expected = first
        var current: SegmentRecovery?
        var strangers = 0
        if let state, bases.first != first, state.active.end > first {
            self.report.damage.append(
                LogDamage(.missing, self.path(FileName.segmentName(first)), offsets: first..<state.active.end)
            )
            expected = state.active.end
            if bases.isEmpty { log.failure = self.report.damage.last.map { .endUnknown($0, record: nil) } }
        }
        for (index, base) in bases.enumerated() {
            let isLast = index == bases.count - 1
            let file = self.path(FileName.segmentName(base))
            guard base >= expected else {
                self.report.damage.append(LogDamage(.overlap, file, offsets: base..<base))
                continue
            }
            if base > expected {
                let missing = self.path(FileName.segmentName(expected))
                self.report.damage.append(LogDamage(.missing, missing, offsets: expected..<base))
            }
            expected = base
            let next = isLast ? nil : bases[index + 1]
            if let compacted = files[base] {
                if let done = current { log.closed.append(done.segment.closed) }
                current = nil
                strangers += 1
                expected = try self.read(compacted, into: &log)
                continue
            }
            guard let extent = try self.extent(of: base, next: next, state, &log) else {
                expected = next ?? base
                continue
            }
            if let done = current { log.closed.append(done.segment.closed) }
            if base != state?.active.base { strangers += 1 }
            let known = base == state?.active.base ? state?.active : nil
            current = try self.read(extent, known: known, next: next, replayFrom: state?.active.end, into: &log)
            expected = current?.expected ?? expected
        }
        try self.settle(current, at: expected, into: &log)
        // What `state` did not know, it is told by the next job; and a lost state is made anew.
        log.work.isStateDue =
            log.failure == nil && (strangers > (state == nil ? 1 : 0) || (state == nil && self.isStateLost))
    }

    private var isStateLost: Bool {
        self.report.damage.contains { $0.file.name == FileName.stateName }
    }

    /// Who a segment is by its own header; nil when it can not be read at all.
    private mutating func extent(
        of base: Offset, next: Offset?, _ state: LogState?, _ log: inout Log
    ) throws(DiskError) -> Extent? {
        let file = self.path(FileName.segmentName(base))
        let kind: LogDamage.Kind
        switch try self.header(of: file) {
        case .success(let header):
            if header.topicPartition == self.identity.topicPartition, header.baseOffset == base,
                base != state?.active.base || header.salt == state?.active.salt
                    || state?.active.end == state?.active.base
            {
                return Extent(base: base, salt: header.salt, createdAt: header.createdAt)
            }
            kind = .wrongIdentity
        case .failure:
            let size = try self.disk.size(of: file).rawValue
            let behind = min(SegmentHeader.byteCount, size)
            var scanner = SegmentScanner(self.disk, file, seed: 0, from: behind, to: size, chunk: Self.chunk)
            guard case .end = try scanner.look(whole: false), next == nil,
                base != state?.active.base || state?.active.end == base
            else {
                kind = .header
                break
            }
            // No batch is written before the header is durable: its making was cut off, and it is made again.
            try self.remove(file)
            return nil
        }
        if kind == .header, let state, state.active.base == base {
            // `state` knows the salt: the batches can still be checked.
            self.report.damage.append(LogDamage(.header, file, offsets: base..<base))
            return Extent(state.active)
        }
        let damage = LogDamage(kind, file, offsets: base..<(next ?? base.next))
        self.report.damage.append(damage)
        if next == nil { log.failure = .endUnknown(damage, record: nil) }
        return nil
    }

    /// Reads one segment into a recovery of it, replaying what the log must know of its batches.
    private mutating func read(
        _ extent: Extent, known: ClosedSegment?, next: Offset?, replayFrom: Offset?, into log: inout Log
    ) throws(DiskError) -> SegmentRecovery {
        let file = self.path(FileName.segmentName(extent.base))
        let size = try self.disk.size(of: file)
        let isShort = known.map { size < $0.byteCount } ?? false
        let proven = next == nil && !isShort ? known?.byteCount.rawValue ?? SegmentHeader.byteCount : size.rawValue
        var scan = try self.scan(
            file, extent, from: next == nil && !isShort ? known : nil, provenPosition: proven,
            provenEnd: next ?? known?.end ?? extent.base, isLast: next == nil)
        let start = scan.scanner.position
        if start > SegmentHeader.byteCount || known == nil { scan.epoch = log.epochs.latest ?? .none }
        try scan.run { header in
            guard header.baseOffset >= replayFrom?.rawValue ?? 0 else { return }
            self.replay(header, into: &log)
        }
        self.report.scannedBytes = self.report.scannedBytes + .bytes(scan.scanner.position - start)
        if let known, scan.segment.mark.end == known.end {
            // `state` knows when the last of them came; the batches, read again, may not.
            scan.segment.mark.lastAppendAt = known.lastAppendAt
        }
        if isShort, next == nil, let known {
            let damage = LogDamage(
                .shorter, file, at: FilePosition(rawValue: Int64(size.rawValue)),
                offsets: min(scan.expected, known.end)..<known.end
            )
            scan.blind = SegmentRecovery.Blind(damage: damage, isCutting: false)
        }
        self.report.damage += scan.damage
        return scan
    }

    /// A batch is in the log.
    func replay(_ header: RecordBatchHeader, into log: inout Log) {
        log.epochs.note(Epoch(rawValue: header.partitionLeaderEpoch), at: Offset(rawValue: header.baseOffset))
        var arrival = header.arrival(by: self.wall)
        // Times of records that came over HTTP are often of what they tell, which may be long ago.
        if header.isKeyed, arrival < self.wall.earlier(by: Limits.keyedWriteWindowMax / 2) { arrival = self.wall }
        log.producers.note(header, wall: arrival, written: Offset(rawValue: header.nextOffset))
    }

    /// A reader of one segment, placed where it has to begin.
    mutating func scan(
        _ file: DiskPath, _ extent: Extent, from known: ClosedSegment?, provenPosition: Int,
        provenEnd: Offset? = nil, isLast: Bool, isSparse: Bool = false
    ) throws(DiskError) -> SegmentRecovery {
        let size = try self.disk.size(of: file).rawValue
        var segment = OpenSegment(
            base: extent.base, salt: extent.salt, createdAt: extent.createdAt, directory: self.identity.directory
        )
        segment.isOnDisk = true
        segment.allocated = size
        if let known { self.resume(&segment, at: known) }
        let end = min(size, Limits.segmentFileBytesMax.rawValue)
        let scanner = SegmentScanner(
            self.disk, file, seed: segment.sealSeed, from: segment.mark.byteCount, to: end, chunk: Self.chunk
        )
        return SegmentRecovery(
            file: file, provenPosition: min(provenPosition, end), provenEnd: provenEnd ?? extent.base, isLast: isLast,
            isSparse: isSparse, cleanShutdown: self.cleanShutdown, knownEnd: self.knownEnd,
            isLossAccepted: self.isLossAccepted,
            interval: self.configuration.indexIntervalBytes, wall: self.wall, scanner: scanner, segment: segment,
            expected: segment.mark.end, epoch: .none
        )
    }

    /// Goes on at the recovery point, if the index of what lies before it is at hand or not worth having.
    private mutating func resume(_ segment: inout OpenSegment, at known: ClosedSegment) {
        guard known.byteCount.rawValue > SegmentHeader.byteCount else { return }
        let indexFile = self.path(FileName.indexName(segment.base))
        let source = SegmentSource(
            identity: self.identity, base: known.base, end: known.end, salt: known.salt,
            generation: 0, byteCount: known.byteCount.rawValue, start: nil,
            interval: self.configuration.indexIntervalBytes
        )
        if let index = SegmentSource.load(indexFile, of: source, on: self.disk) {
            segment.index = index
            segment.index.cut(to: known.byteCount.rawValue)
        } else if known.byteCount.rawValue > self.configuration.indexIntervalBytes.rawValue * 2 {
            self.report.rebuiltIndexes.append(indexFile)
            return
        }
        segment.mark = OpenSegment.Mark(
            end: known.end, byteCount: known.byteCount.rawValue, largestTimestamp: known.largestTimestamp,
            largestTimestampOffset: known.largestTimestampOffset, lastAppendAt: known.lastAppendAt
        )
    }

    // MARK: The end

    /// Makes the end of the log final, and the log go on from there.
    private mutating func settle(
        _ current: SegmentRecovery?, at expected: Offset, into log: inout Log
    ) throws(DiskError) {
        defer {
            log.endOffset = log.writing.mark.end
            log.writtenEnd = log.endOffset
            log.durableEnd = log.endOffset
        }
        guard let current, current.expected == expected else {
            // The last file was never made, or can not be read.
            if let current { log.closed.append(current.segment.closed) }
            log.writing = OpenSegment(
                base: expected, salt: log.salts.next(), createdAt: self.wall, directory: self.identity.directory
            )
            log.work.recovery = RecoveryPoint(offset: expected, position: SegmentHeader.byteCount)
            return
        }
        var segment = current.segment
        if let cut = current.cut {
            segment.allocated = cut
            self.report.cut = FilePosition(rawValue: Int64(cut))
            self.report.cutBytes = .bytes(current.scanner.end - cut)
            try self.disk.truncate(current.file, to: .bytes(cut))
        }
        if let blind = current.blind {
            self.report.damage.append(blind.damage)
            log.failure = .endUnknown(
                blind.damage, record: blind.isCutting ? self.path(FileName.knownEndName) : nil)
        } else if !self.cleanShutdown {
            try self.makeDurable(current)
        }
        segment.written = segment.mark
        log.writing = segment
        log.work.recovery = RecoveryPoint(
            offset: current.provenEnd, position: min(current.provenPosition, segment.mark.byteCount)
        )
    }

    /// Writes what may never have reached the disk once more, so that this sync has something to sync.
    private func makeDurable(_ scan: SegmentRecovery) throws(DiskError) {
        var position = max(scan.provenPosition, SegmentHeader.byteCount)
        if scan.segment.mark.end == scan.segment.base {
            position = 0
        } else if scan.lastJobIsDurable, let start = scan.lastJobStart {
            position = max(position, start)
        }
        let end = scan.segment.mark.byteCount
        while position < end {
            let place = FilePosition(rawValue: Int64(position))
            let bytes = try self.disk.read(scan.file, at: place, upTo: .bytes(min(Self.chunk, end - position)))
            guard bytes.readableBytes > 0 else { break }
            try self.disk.write([bytes], to: scan.file, at: place)
            position += bytes.readableBytes
        }
        try self.disk.sync(scan.file)
        try self.disk.syncDirectory(self.identity.directory)
    }
}
