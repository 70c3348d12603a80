import ApusCore
import KafkaWire
import NIOCore

/// One segment as readers on disk threads see it: enough to read it without asking the log again.
struct SegmentSource: Hashable, Sendable {
    let identity: LogIdentity
    let base: Offset
    /// The offset after the last batch that may be read.
    let end: Offset
    let salt: UInt64
    /// How often it was compacted; see ``ClosedSegment/generation``.
    let generation: UInt32
    /// Bytes of the file that may be read.
    let byteCount: Int
    /// A place in the file to start looking, known from memory; nil when the index file has to be asked.
    let start: Int?
    /// Bytes between two entries of its index.
    let interval: ByteCount

    /// Offsets may be missing between its batches, never behind the last.
    var isSparse: Bool { self.generation > 0 }
    var file: DiskPath { self.identity.directory.appending(FileName.segmentName(self.base, self.generation)) }
    private var indexFile: DiskPath {
        self.identity.directory.appending(FileName.indexName(self.base, self.generation))
    }
    private static let walkChunk = 16 * 1024

    func scanner(on disk: any Disk, from position: Int, chunk: Int = Self.walkChunk) -> SegmentScanner {
        SegmentScanner(
            disk, self.file, seed: Seal.seed(salt: self.salt), from: position, to: self.byteCount, chunk: chunk
        )
    }

    /// Where to start looking for an offset.
    func start(for offset: Offset, on disk: any Disk) throws(DiskError) -> Int {
        if let start = self.start { return start }
        return try self.index(on: disk)?.position(ofOffset: offset.rawValue - self.base.rawValue)
            ?? SegmentHeader.byteCount
    }

    /// Where to start looking for a timestamp.
    func start(for timestamp: Timestamp, on disk: any Disk) throws(DiskError) -> Int {
        if let start = self.start { return start }
        return try self.index(on: disk)?.position(ofTimestamp: timestamp) ?? SegmentHeader.byteCount
    }

    /// The index file, or a new one from the segment when it does not hold. Nil when the segment is too short for one.
    private func index(on disk: any Disk) throws(DiskError) -> SparseIndex? {
        guard self.byteCount > self.interval.rawValue * 2 else { return nil }
        if let index = Self.load(self.indexFile, of: self, on: disk) { return index }
        return try self.rebuild(on: disk)
    }

    /// What an index file says, if it is whole and about this very segment up to its end.
    static func load(_ file: DiskPath, of source: SegmentSource, on disk: any Disk) -> SparseIndex? {
        // Whatever keeps the file from being read, the segment itself says the same.
        guard let size = try? disk.size(of: file), size <= Limits.indexFileBytesMax,
            let bytes = try? disk.read(file, at: .start, upTo: size), let index = IndexFile(from: bytes),
            index.topicPartition == source.identity.topicPartition, index.base == source.base,
            index.salt == source.salt, index.covered >= source.byteCount
        else { return nil }
        return index.index
    }

    /// Reads the seals of the whole segment and replaces the index file.
    private func rebuild(on disk: any Disk) throws(DiskError) -> SparseIndex {
        var index = SparseIndex()
        var scanner = self.scanner(on: disk, from: SegmentHeader.byteCount)
        var largest = Timestamp.none
        scan: while true {
            switch try scanner.look(whole: false) {
            case .end: break scan
            case .bad:
                guard let next = try scanner.search(from: scanner.position + 1, where: { _, _, _ in true }) else {
                    break scan
                }
                scanner.move(to: next.position)
            case .batch(let header, _):
                index.note(
                    offset: header.baseOffset - self.base.rawValue, position: scanner.position,
                    largestTimestampBefore: largest, interval: self.interval
                )
                largest = max(largest, header.largestRecordTimestamp)
                scanner.skip(header)
            }
        }
        let file = IndexFile(
            topicPartition: self.identity.topicPartition, base: self.base, salt: self.salt, covered: self.byteCount,
            index: index
        )
        // A reader that can not keep the index has read it all the same. The next one tries again.
        let temporary = FileName.readerTemporaryName(self.indexFile.name)
        try? Self.replace(self.indexFile, with: file.encoded(), through: temporary, on: disk)
        return index
    }

    static func replace(
        _ file: DiskPath, with bytes: ByteBuffer, through name: String, on disk: any Disk
    ) throws(DiskError) {
        let temporary = file.directory.appending(name)
        // Fails when another reader is at it: then it is done there.
        try disk.create(temporary)
        do throws(DiskError) {
            try disk.write([bytes], to: temporary, at: .start)
            try disk.sync(temporary)
            try disk.rename(temporary, to: file)
            disk.close(temporary)
        } catch {
            // It would stand in the way of the next one until the broker starts again, which removes it should it
            // stay all the same.
            do throws(DiskError) { try disk.remove(temporary) } catch { disk.close(temporary) }
            throw error
        }
    }

    /// The damaged offsets around a batch that does not hold at `position`: from `offset` to the next batch that does.
    func damage(from offset: Offset, at position: Int, on disk: any Disk) throws(DiskError) -> LogDamage {
        let scanner = self.scanner(on: disk, from: position)
        let next = try scanner.search(from: position + 1) { header, _, _ in header.baseOffset > offset.rawValue }
        let end = next.map { Offset(rawValue: $0.header.baseOffset) } ?? self.end
        return LogDamage(
            .batch, self.file, at: FilePosition(rawValue: Int64(position)), offsets: offset..<max(end, offset.next)
        )
    }
}

extension RecordBatchHeader {
    /// Of a batch that compaction emptied there is no record left to have one.
    var largestRecordTimestamp: Timestamp {
        self.recordCount == 0 ? .none : Timestamp(rawValue: self.maxTimestamp)
    }

    /// When the batch may have come, for all that can be told from it at `wall`: no later than now, and now when it
    /// says nothing about itself. Too late keeps records and producers longer than need be; too early would lose them.
    func arrival(by wall: Timestamp) -> Timestamp {
        let newest = Timestamp(rawValue: self.maxTimestamp)
        return newest <= .none ? wall : min(wall, newest)
    }
}
