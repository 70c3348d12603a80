package import ApusCore
import KafkaWire
import NIOCore

/// # One pass of compaction over one log
///
/// Of every key the newest record stays. The pass reads what was never compacted and notes the newest offset of each
/// key, as many keys as memory is set aside for; then it writes every segment below that point anew, in groups that
/// together make one segment, without the records that a newer one of the same key stands behind.
///
/// **Offsets never change.** A batch keeps its base offset, last offset delta, producer and sequence; records go out of
/// it. A batch without any is left out, except where somebody still needs it, empty: the last batches of each producer
/// that the log remembers, so that its sequence numbers can be read off the log again; and the last batch of every
/// file, so that a file ends where it says and a reader in a gap always finds a batch to go on behind.
///
/// **Tombstones.** A record without a value says that its key is gone, and must outlive what it deletes: a reader who
/// saw the old value must see the tombstone. When a tombstone is first compacted, everything older of its key goes, and
/// its batch is given the moment when it may go itself: `delete.retention.ms` later (KIP-534). Groups are swapped in
/// ascending order and a pass that can not swap one ends, so a tombstone never goes before what it deletes. Behind a
/// batch that stays unread none is given such a moment: what it deletes may be in there.
///
/// **What stays as it is**: control batches; batches whose records can not be read, although their checksum holds (what
/// their keys are nobody knows), until they lie wholly in front of the log's start; everything behind the last key that
/// fitted. Records without a key can not be told apart and go (Kafka does the same; a compacted topic refuses them when
/// they are produced).
///
/// A value that is moved between a disk thread, for ``step(on:upTo:)``, and the log's owner. Reads and writes closed
/// files only, which never change, and files of its own.
package struct Compaction: Sendable {
    package enum Step: Sendable {
        /// Not done; go on when it is convenient.
        case more
        /// Give this to the log before the next step, and end the pass if the log does not take it.
        case swap(CompactedSegments)
        /// All of it is done: tell the log that it was compacted up to here.
        case done(Offset)
    }

    /// What the pass must know of the log; all of it may have moved on meanwhile.
    struct Plan: Sendable {
        var identity: LogIdentity
        /// Closed, without a gap between them, none of them damaged as far as is known.
        var segments: [ClosedSegment]
        /// Was compacted before: its keys are noted only if something newer has them.
        var compactedEnd: Offset
        var start: Offset
        var segmentBytes: ByteCount
        var interval: ByteCount
        var wall: Timestamp
        var tombstoneAge: Duration
        /// Last offsets of batches that the log's producers are known by.
        var producerBatches: Set<Int64>
        var salts: SaltSequence
        var keysBytesMax: ByteCount
    }

    enum Phase {
        case mapping(segment: Int)
        case rewriting(group: Int)
        case done
    }

    var plan: Plan
    var keys: KeyOffsets
    var phase = Phase.mapping(segment: 0)
    var groups: [[ClosedSegment]] = []
    /// Everything below was compacted when the pass is done.
    var end: Offset
    var walk: SegmentWalk?
    var writer: CompactedFileWriter?
    /// Bytes of batches read so far.
    package internal(set) var bytesRead = 0
    /// What does not hold, and where the pass therefore ended early.
    package internal(set) var damage: LogDamage?
    /// Records that went, and batches that could not be looked into.
    package internal(set) var recordsRemoved = 0
    package internal(set) var batchesUnreadable = 0

    init(_ plan: Plan) {
        var plan = plan
        let secret = (plan.salts.next(), plan.salts.next())
        self.keys = KeyOffsets(KeyHasher(secret: secret), limit: plan.keysBytesMax)
        self.end = plan.segments.last?.end ?? plan.compactedEnd
        self.plan = plan
    }

    /// Goes on until about so many bytes more were read. Blocking.
    /// - Throws: once; then the pass is over, and ``abandon(on:)`` cleans up.
    package mutating func step(on disk: any Disk, upTo limit: ByteCount) throws(CompactionFailure) -> Step {
        let goal = self.bytesRead + limit.rawValue
        while self.bytesRead < goal {
            switch self.phase {
            case .mapping(let index): try self.map(index, on: disk)
            case .rewriting(let group):
                if let swap = try self.rewrite(group, on: disk) { return .swap(swap) }
            case .done: return .done(self.end)
            }
        }
        return .more
    }

    /// Removes what is half made. Blocking.
    package mutating func abandon(on disk: any Disk) {
        self.writer?.discard(on: disk)
        self.writer = nil
        self.walk = nil
        self.phase = .done
    }

    // MARK: Keys

    /// Notes the keys of one more batch.
    private mutating func map(_ index: Int, on disk: any Disk) throws(CompactionFailure) {
        let dirty = max(self.plan.compactedEnd, self.plan.start)
        guard index < self.plan.segments.count else { return self.beginRewriting() }
        let segment = self.plan.segments[index]
        guard segment.end > dirty else {
            self.phase = .mapping(segment: index + 1)
            return
        }
        var walk = self.walk ?? SegmentWalk(self.source(of: segment), start: self.plan.start, on: disk)
        do throws(CompactionFailure) {
            switch try walk.next() {
            case .end:
                self.walk = nil
                self.phase = .mapping(segment: index + 1)
            case .batch(let header, let bytes):
                self.walk = walk
                self.bytesRead += bytes.readableBytes
                guard header.nextOffset > dirty.rawValue, !header.attributes.isControl else { return }
                try self.note(header, bytes)
            }
        } catch {
            guard case .damaged(let damage) = error else { throw error }
            self.damage = damage
            self.end = max(segment.base, self.plan.compactedEnd)
            self.beginRewriting()
        }
    }

    private mutating func note(_ header: RecordBatchHeader, _ bytes: ByteBuffer) throws(CompactionFailure) {
        guard self.keys.hasRoom(for: Int(header.recordCount)) else {
            guard self.keys.count > 0 else { throw .tooManyKeys(at: Offset(rawValue: header.baseOffset)) }
            self.end = Offset(rawValue: header.baseOffset)
            return self.beginRewriting()
        }
        do throws(WireError) {
            try self.survey(bytes)?.forEach { record in
                guard let key = record.key else { return }
                self.keys.note(key, at: record.offset)
            }
        } catch {
            preconditionFailure("records that could be read a moment ago")
        }
    }

    /// Nil for a batch that nobody can look into, from the first record to the last.
    func survey(_ bytes: ByteBuffer) -> RecordSurvey? {
        do throws(WireError) {
            let limit = Limits.compactionBatchBytesMax.rawValue
            let survey = try RecordSurvey(RecordBatch(from: bytes), decompressedBytesMax: limit)
            try survey.forEach { _ in }
            return survey
        } catch {
            return nil
        }
    }

    func source(of segment: ClosedSegment) -> SegmentSource {
        SegmentSource(
            identity: self.plan.identity, base: segment.base, end: segment.end, salt: segment.salt,
            generation: segment.generation, byteCount: segment.byteCount.rawValue, start: nil,
            interval: self.plan.interval)
    }

    // MARK: Groups

    private mutating func beginRewriting() {
        self.walk = nil
        self.groups = self.end > self.plan.compactedEnd ? self.groupsBelowEnd() : self.groupsOfTombstones()
        self.phase = self.groups.isEmpty ? .done : .rewriting(group: 0)
    }

    /// Neighbours that together are no larger than one segment become one.
    private func groupsBelowEnd() -> [[ClosedSegment]] {
        var groups: [[ClosedSegment]] = []
        var bytes = 0
        let limit = min(self.plan.segmentBytes, Limits.segmentFileBytesMax).rawValue
        for segment in self.plan.segments where segment.base < self.end {
            bytes += segment.byteCount.rawValue
            if let first = groups.last?.first, bytes <= limit,
                segment.end.rawValue - first.base.rawValue <= Limits.segmentOffsetsMax
            {
                groups[groups.count - 1].append(segment)
            } else {
                groups.append([segment])
                bytes = segment.byteCount.rawValue
            }
        }
        return groups
    }

    /// Nothing new: only what has tombstones whose time is over.
    private func groupsOfTombstones() -> [[ClosedSegment]] {
        self.plan.segments.filter { $0.hasExpiredTombstones(at: self.plan.wall) && $0.end <= self.end }.map { [$0] }
    }
}

extension ClosedSegment {
    func hasExpiredTombstones(at wall: Timestamp) -> Bool {
        self.tombstoneHorizon != .none && self.tombstoneHorizon <= wall
    }
}
