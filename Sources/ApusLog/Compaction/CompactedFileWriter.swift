import ApusCore
import KafkaWire
import NIOCore

/// The file that a pass of compaction writes: under a temporary name until it is whole and synced, so that a crash
/// leaves either litter that the next start removes, or a segment as good as what it was made of. Blocking.
struct CompactedFileWriter: Sendable {
    private let identity: LogIdentity
    /// As far as it is filled.
    private(set) var segment: ClosedSegment
    private let interval: ByteCount
    private let sealSeed: UInt32
    private var index = SparseIndex()
    private var waiting: [ByteBuffer] = []
    private var waitingBytes = 0

    /// - Parameter sources: in order, one behind the other, without a gap; one at least.
    init(_ sources: [ClosedSegment], of identity: LogIdentity, salt: UInt64, interval: ByteCount) {
        precondition(!sources.isEmpty)
        let (first, last) = (sources[0], sources[sources.count - 1])
        self.identity = identity
        self.interval = interval
        self.sealSeed = Seal.seed(salt: salt)
        self.segment = ClosedSegment(
            base: first.base, end: last.end, salt: salt, byteCount: .bytes(SegmentHeader.byteCount),
            largestTimestamp: .none, largestTimestampOffset: first.base,
            lastAppendAt: sources.map(\.lastAppendAt).max() ?? first.lastAppendAt,
            createdAt: sources.map(\.createdAt).min() ?? first.createdAt,
            generation: (sources.map(\.generation).max() ?? 0) + 1)
    }

    private var file: DiskPath { self.identity.directory.appending(self.segment.fileName) }
    private var temporary: DiskPath {
        self.identity.directory.appending(FileName.temporaryName(self.segment.fileName))
    }

    func begin(on disk: any Disk) throws(DiskError) {
        let header = SegmentHeader(
            topicPartition: self.identity.topicPartition, baseOffset: self.segment.base, salt: self.segment.salt,
            createdAt: self.segment.createdAt,
            offsetCount: UInt32(clamping: self.segment.end.rawValue - self.segment.base.rawValue))
        try disk.discard(self.temporary)
        try disk.create(self.temporary)
        try disk.write([header.encoded()], to: self.temporary, at: .start)
    }

    /// A batch that stays; written with others.
    /// - Parameter horizon: when its tombstones may go, if it has any.
    mutating func append(_ batch: ByteBuffer, _ header: RecordBatchHeader, horizon: Timestamp?) {
        let base = Offset(rawValue: header.baseOffset)
        let position = self.segment.byteCount.rawValue
        self.index.note(
            offset: base.rawValue - self.segment.base.rawValue, position: position,
            largestTimestampBefore: self.segment.largestTimestamp, interval: self.interval)
        self.segment.byteCount = .bytes(position + Seal.byteCount + batch.readableBytes)
        if header.largestRecordTimestamp > self.segment.largestTimestamp {
            self.segment.largestTimestamp = header.largestRecordTimestamp
            self.segment.largestTimestampOffset = base
        }
        if let horizon {
            let known = self.segment.tombstoneHorizon
            self.segment.tombstoneHorizon = known == .none ? horizon : min(known, horizon)
        }
        // A slice would keep all that was read with it.
        var own = ByteBufferAllocator().buffer(capacity: batch.readableBytes)
        own.writeImmutableBuffer(batch)
        self.waiting.append(own)
        self.waitingBytes += Seal.byteCount + own.readableBytes
    }

    /// Writes what waits, if it is worth it.
    mutating func writeIfDue(on disk: any Disk) throws(DiskError) {
        guard self.waitingBytes >= Limits.compactionPieceBytes.rawValue else { return }
        try self.write(on: disk)
    }

    private mutating func write(on disk: any Disk) throws(DiskError) {
        guard !self.waiting.isEmpty else { return }
        // These seals claim nothing about what stands in front: the file has its name only when all of it is synced.
        let sealed = SealedBatches(self.waiting, seed: self.sealSeed, isDurable: false)
        precondition(sealed.byteCount == self.waitingBytes, "batches of another length")
        let place = FilePosition(rawValue: Int64(self.segment.byteCount.rawValue - self.waitingBytes))
        try disk.write(sealed.buffers, to: self.temporary, at: place)
        self.waiting = []
        self.waitingBytes = 0
    }

    /// Makes the file and its name durable.
    mutating func finish(on disk: any Disk) throws(DiskError) -> ClosedSegment {
        try self.write(on: disk)
        try disk.sync(self.temporary)
        try disk.rename(self.temporary, to: self.file)
        if !self.index.entries.isEmpty {
            let index = IndexFile(
                topicPartition: self.identity.topicPartition, base: self.segment.base, salt: self.segment.salt,
                covered: self.segment.byteCount.rawValue, index: self.index)
            let name = FileName.temporaryName(self.segment.indexName)
            try disk.discard(self.identity.directory.appending(name))
            try SegmentSource.replace(
                self.identity.directory.appending(self.segment.indexName), with: index.encoded(), through: name,
                on: disk)
        }
        try disk.syncDirectory(self.identity.directory)
        return self.segment
    }

    /// The log does not take it.
    func discard(on disk: any Disk) {
        for path in [self.temporary, self.file, self.identity.directory.appending(self.segment.indexName)] {
            disk.close(path)
            // What can not be removed is litter that the next start removes.
            try? disk.discard(path)
        }
    }
}
