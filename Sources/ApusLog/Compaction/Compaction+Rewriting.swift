import ApusCore
import KafkaWire
import NIOCore

/// The second half of a pass: segments are written anew without what is not needed.
extension Compaction {
    /// One more batch of a group.
    /// - Returns: what became of the group, when it is through.
    mutating func rewrite(_ index: Int, on disk: any Disk) throws(CompactionFailure) -> CompactedSegments? {
        let group = self.groups[index]
        if self.writer == nil {
            guard group.allSatisfy({ $0.generation < .max }) else { throw .tooLong(at: group[0].base) }
            let writer = CompactedFileWriter(
                group, of: self.plan.identity, salt: self.plan.salts.next(), interval: self.plan.interval)
            self.writer = writer
            try Self.onDisk { () throws(DiskError) in try writer.begin(on: disk) }
            self.walk = SegmentWalk(self.source(of: group[0]), start: self.plan.start, on: disk)
        }
        guard var walk = self.walk else { preconditionFailure("a group without a walk through it") }
        switch try walk.next() {
        case .batch(let header, let bytes):
            self.walk = walk
            self.bytesRead += bytes.readableBytes
            try self.take(header, bytes, groupEnd: group[group.count - 1].end, on: disk)
            return nil
        case .end:
            if let next = group.first(where: { $0.base >= walk.source.end }) {
                self.walk = SegmentWalk(self.source(of: next), start: self.plan.start, on: disk)
                return nil
            }
            return try self.finish(index, on: disk)
        }
    }

    private static func onDisk<Answer>(
        _ body: () throws(DiskError) -> Answer
    ) throws(CompactionFailure) -> Answer {
        do throws(DiskError) { return try body() } catch { throw CompactionFailure(error) }
    }

    private mutating func finish(_ index: Int, on disk: any Disk) throws(CompactionFailure) -> CompactedSegments? {
        guard var writer = self.writer else { return nil }
        let result = try Self.onDisk { () throws(DiskError) in try writer.finish(on: disk) }
        self.walk = nil
        self.writer = nil
        self.phase = index + 1 < self.groups.count ? .rewriting(group: index + 1) : .done
        return CompactedSegments(sources: self.groups[index], result: result)
    }

    private mutating func take(
        _ header: RecordBatchHeader, _ bytes: ByteBuffer, groupEnd: Offset, on disk: any Disk
    ) throws(CompactionFailure) {
        let isLast = header.nextOffset == groupEnd.rawValue
        guard let kept = self.kept(of: header, bytes, isNeeded: isLast || self.isOfProducer(header)),
            // What was just written has a header that can be read.
            let new = try? RecordBatchHeader(from: kept.bytes)
        else { return }
        self.writer?.append(kept.bytes, new, horizon: kept.horizon)
        guard let size = self.writer?.segment.byteCount, size <= Limits.segmentFileBytesMax else {
            throw .tooLong(at: Offset(rawValue: header.nextOffset))
        }
        try Self.onDisk { () throws(DiskError) in try self.writer?.writeIfDue(on: disk) }
    }

    private func isOfProducer(_ header: RecordBatchHeader) -> Bool {
        header.producerID >= 0 && self.plan.producerBatches.contains(header.lastOffset)
    }

    private struct Kept {
        var bytes: ByteBuffer
        var horizon: Timestamp?
    }

    /// What stays of a batch; nil when nothing does.
    /// - Parameter isNeeded: it stays, if need be without records.
    private mutating func kept(of header: RecordBatchHeader, _ bytes: ByteBuffer, isNeeded: Bool) -> Kept? {
        if header.baseOffset >= self.end.rawValue || header.attributes.isControl { return Kept(bytes: bytes) }
        guard header.nextOffset > self.plan.start.rawValue else {
            // It is deleted, whatever it is: it need not be opened, nor can it keep what a tombstone behind it deletes.
            self.recordsRemoved += Int(header.recordCount)
            return isNeeded ? Kept(bytes: header.emptied()) : nil
        }
        guard let survey = self.survey(bytes), let verdict = self.verdict(on: survey) else {
            self.batchesUnreadable += 1
            return Kept(bytes: bytes)
        }
        self.recordsRemoved += verdict.keeps.count - verdict.count
        guard verdict.count > 0 else { return isNeeded ? Kept(bytes: header.emptied()) : nil }
        guard verdict.hasTombstones else {
            if verdict.count == verdict.keeps.count { return Kept(bytes: bytes) }
            return Kept(bytes: Self.rewritten(survey, verdict, horizon: nil) ?? bytes)
        }
        if header.attributes.hasDeleteHorizon {
            let horizon = Timestamp(rawValue: header.baseTimestamp)
            if verdict.count == verdict.keeps.count { return Kept(bytes: bytes, horizon: horizon) }
            return Kept(bytes: Self.rewritten(survey, verdict, horizon: nil) ?? bytes, horizon: horizon)
        }
        guard self.batchesUnreadable == 0 else {
            // What a tombstone deletes may be in there. Without a horizon it never goes, in this pass or another.
            if verdict.count == verdict.keeps.count { return Kept(bytes: bytes) }
            return Kept(bytes: Self.rewritten(survey, verdict, horizon: nil) ?? bytes)
        }
        let horizon = self.plan.wall.later(by: self.plan.tombstoneAge)
        guard let marked = Self.rewritten(survey, verdict, horizon: horizon) else { return Kept(bytes: bytes) }
        return Kept(bytes: marked, horizon: horizon)
    }

    /// Nil for a batch that would be longer than a batch can be: it stays as it is.
    private static func rewritten(_ survey: RecordSurvey, _ verdict: Verdict, horizon: Timestamp?) -> ByteBuffer? {
        do throws(WireError) {
            return try survey.rewritten(keeping: verdict.keeps, deleteHorizon: horizon?.rawValue)
        } catch {
            preconditionFailure("records that could be read a moment ago")
        }
    }

    private struct Verdict {
        var keeps: [Bool] = []
        /// How many stay.
        var count = 0
        /// Some of those that stay are tombstones.
        var hasTombstones = false
    }

    /// Which records of a batch stay; nil when they can not be read to the end.
    private func verdict(on survey: RecordSurvey) -> Verdict? {
        var verdict = Verdict()
        let header = survey.header
        let keepsTombstones =
            !header.attributes.hasDeleteHorizon || self.plan.wall.rawValue < header.baseTimestamp
        verdict.keeps.reserveCapacity(Int(header.recordCount))
        do throws(WireError) {
            try survey.forEach { record in
                let stays =
                    record.offset >= self.plan.start.rawValue && (keepsTombstones || !record.isTombstone)
                    && record.key.map { (self.keys.offset(of: $0) ?? -1) <= record.offset } ?? false
                verdict.keeps.append(stays)
                if stays {
                    verdict.count += 1
                    verdict.hasTombstones = verdict.hasTombstones || record.isTombstone
                }
            }
        } catch {
            return nil
        }
        return verdict
    }
}
