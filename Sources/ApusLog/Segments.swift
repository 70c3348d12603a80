package import ApusCore
import NIOCore

/// A segment that takes no more batches. Every byte of it is on the disk.
package struct ClosedSegment: Hashable, Sendable {
    package var base: Offset
    /// The offset after its last batch: the base of the next segment.
    package var end: Offset
    /// The file's salt: what its seals are checked with.
    package var salt: UInt64
    /// Length of the file.
    package var byteCount: ByteCount
    package var largestTimestamp: Timestamp
    /// Base offset of the first batch that has it.
    package var largestTimestampOffset: Offset
    /// Wall clock of the last append. Retention by time believes no timestamp that is later than this, and goes by it
    /// where there is none. What came after the recovery point and says no time came when the broker started again.
    package var lastAppendAt: Timestamp
    /// Wall clock when the first of its batches could have been appended: the age that compaction goes by.
    package var createdAt = Timestamp.none
    /// How often it, or what it was made of, was compacted. 0: never, its batches are without a gap.
    package var generation: UInt32 = 0
    /// The first moment at which a tombstone in it may go; none when there is no such tombstone.
    package var tombstoneHorizon = Timestamp.none

    package var isCompacted: Bool { self.generation > 0 }
    var fileName: String { FileName.segmentName(self.base, self.generation) }
    var indexName: String { FileName.indexName(self.base, self.generation) }

    /// None of its records has a timestamp: producers may leave it out (-1).
    var isTimeless: Bool { self.largestTimestamp <= .none }

    /// What retention goes by: the newest record, but never later than when it was written (KIP-937: a timestamp from
    /// the future must not keep a segment for ever). Without timestamps, when it was written: -1 is not long ago.
    var age: Timestamp { self.isTimeless ? self.lastAppendAt : min(self.largestTimestamp, self.lastAppendAt) }
}

/// A segment that takes batches, or will be written to before the next one is.
struct OpenSegment: Sendable {
    /// How far the segment is filled, and what follows from that.
    struct Mark: Hashable, Sendable {
        var end: Offset
        /// Where the next seal goes.
        var byteCount: Int
        var largestTimestamp: Timestamp
        var largestTimestampOffset: Offset
        var lastAppendAt: Timestamp
    }

    let base: Offset
    let salt: UInt64
    let sealSeed: UInt32
    let createdAt: Timestamp
    let file: DiskPath
    /// With everything that was appended, written or not.
    var mark: Mark
    /// With what was written.
    var written: Mark
    /// The file is there and its header is durable.
    var isOnDisk: Bool
    /// Length of the file: at least `written.byteCount`, the rest zeros.
    var allocated: Int
    var index = SparseIndex()
    /// Appended and not handed to a job yet.
    var waiting: [ByteBuffer] = []

    init(base: Offset, salt: UInt64, createdAt: Timestamp, directory: DiskPath) {
        self.base = base
        self.salt = salt
        self.sealSeed = Seal.seed(salt: salt)
        self.createdAt = createdAt
        self.file = directory.appending(FileName.segmentName(base))
        self.mark = Mark(
            end: base, byteCount: SegmentHeader.byteCount, largestTimestamp: .none, largestTimestampOffset: base,
            lastAppendAt: createdAt
        )
        self.written = self.mark
        self.isOnDisk = false
        self.allocated = 0
    }

    /// As it is when it takes nothing more.
    var closed: ClosedSegment { self.summary(self.mark) }
    /// As far as it is written.
    var checked: ClosedSegment { self.summary(self.written) }

    private func summary(_ mark: Mark) -> ClosedSegment {
        ClosedSegment(
            base: self.base, end: mark.end, salt: self.salt, byteCount: .bytes(mark.byteCount),
            largestTimestamp: mark.largestTimestamp, largestTimestampOffset: mark.largestTimestampOffset,
            lastAppendAt: mark.lastAppendAt, createdAt: self.createdAt
        )
    }

    /// Takes a batch that ends at `end`, without writing it.
    mutating func append(
        base: Offset, end: Offset, byteCount: Int, largestTimestamp: Timestamp, wall: Timestamp, interval: ByteCount
    ) {
        self.index.note(
            offset: base.rawValue - self.base.rawValue, position: self.mark.byteCount,
            largestTimestampBefore: self.mark.largestTimestamp, interval: interval
        )
        self.mark.byteCount += Seal.byteCount + byteCount
        self.mark.end = end
        self.mark.lastAppendAt = max(self.mark.lastAppendAt, wall)
        if largestTimestamp > self.mark.largestTimestamp {
            self.mark.largestTimestamp = largestTimestamp
            self.mark.largestTimestampOffset = base
        }
    }

    /// Forgets what was appended and not written.
    mutating func withdraw() {
        self.waiting = []
        self.mark = self.written
        self.index.cut(to: self.written.byteCount)
    }
}

/// Salts for one log's segments after another, from one seed that the shell drew (SplitMix64, Steele and others 2014).
/// So a decision to roll needs no randomness of its own.
struct SaltSequence: Sendable {
    private var state: UInt64

    init(seed: UInt64) { self.state = seed }

    mutating func next() -> UInt64 {
        self.state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = self.state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
