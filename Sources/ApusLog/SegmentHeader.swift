import CApus
package import ApusCore
package import NIOCore

/// # The segment file
///
/// A partition's log is a row of segment files, each named by the offset it starts at: `00000000000000000000.segment`.
/// A file is a header, then batches as the producer sent them, each behind a *seal*, then zeros.
///
///     0        8        12         16                32           40      48          56      60      64
///     ┌────────┬────────┬──────────┬─────────────────┬────────────┬───────┬───────────┬───────┬───────┬──────┬───────
///     │APUSSEG1│ format │ partition│ topic id        │ base offset│ salt  │ created at│ zeros │CRC-32C│ seal │ batch …
///     │        │ UInt32 │ Int32    │ 2 × UInt64      │ Int64      │ UInt64│ Int64 ms  │       │ 0..<60│ 8    │
///     └────────┴────────┴──────────┴─────────────────┴────────────┴───────┴───────────┴───────┴───────┴──────┴───────
///
/// Numbers are big-endian. A batch says its own length; nothing is aligned. Positions are below 4 GiB.
///
/// **Why a seal.** Kafka's batch CRC leaves out the first 21 bytes: base offset, length, leader epoch, magic, and the
/// CRC itself, because a broker sets some of them. On a disk exactly those bytes must be believed: a block that was
/// written elsewhere, or in an earlier life of the same blocks, has a right CRC and a wrong place. The seal's
/// checksum covers the file's salt, the seal's mark and those 21 bytes. So offset, epoch, partition (by the salt) and
/// life of the file are in the checksummed part, and the record bytes stay untouched. See ``Seal``.
///
/// **The end.** The file is set aside ahead of what is written, in growing steps, so it ends in zeros. A mark is never
/// zero: the first zero mark with nothing but zeros behind it is the end of the log. Anything else where a seal should
/// be is a torn tail or damage, and ``LogRecovery`` says how it tells them apart.
///
/// **Compacted segments** are files of another format (2) and another name, `<base>.<generation>.compacted`, so that
/// whoever reads or recovers an ordinary segment may go on demanding offsets without a gap. In place of the zeros they
/// say how many offsets they stand for: batches, and offsets within batches, may be missing in between, but the last
/// batch always ends where the segment does. They are written whole, synced, and named after that
/// (`docs/decisions/0018-compaction.md`).
package struct SegmentHeader: Hashable, Sendable {
    package static let byteCount = 64
    static let magic: UInt64 = 0x4150_5553_5345_4731
    static let format: UInt32 = 1
    static let compactedFormat: UInt32 = 2

    package var topicPartition: TopicPartition
    package var baseOffset: Offset
    /// Random for each file, known to nobody outside: what makes a seal of this file differ from all others.
    package var salt: UInt64
    /// Wall clock when the file was made. Bounds its age whatever its records' timestamps say.
    package var createdAt: Timestamp
    /// How many offsets a compacted segment stands for; 0 for an ordinary one, whose batches say so.
    package var offsetCount: UInt32

    package init(
        topicPartition: TopicPartition, baseOffset: Offset, salt: UInt64, createdAt: Timestamp, offsetCount: UInt32 = 0
    ) {
        self.topicPartition = topicPartition
        self.baseOffset = baseOffset
        self.salt = salt
        self.createdAt = createdAt
        self.offsetCount = offsetCount
    }

    package var isCompacted: Bool { self.offsetCount > 0 }
    /// The offset behind the last one of a compacted segment; its base for an ordinary one.
    package var compactedEnd: Offset { Offset(rawValue: self.baseOffset.rawValue + Int64(self.offsetCount)) }

    /// The checksum that closes every file of a log, over the readable bytes.
    package static func checksum(of bytes: ByteBuffer) -> UInt32 { bytes.crc32c() }

    package func encoded() -> ByteBuffer {
        var buffer = ByteBufferAllocator().buffer(capacity: Self.byteCount)
        buffer.writeInteger(Self.magic)
        buffer.writeInteger(self.isCompacted ? Self.compactedFormat : Self.format)
        buffer.writeInteger(self.topicPartition.partition.rawValue)
        buffer.writeInteger(self.topicPartition.topic.high)
        buffer.writeInteger(self.topicPartition.topic.low)
        buffer.writeInteger(self.baseOffset.rawValue)
        buffer.writeInteger(self.salt)
        buffer.writeInteger(self.createdAt.rawValue)
        buffer.writeInteger(self.offsetCount)
        buffer.writeInteger(buffer.crc32c())
        return buffer
    }

    /// Reads the first 64 bytes of a file.
    /// - Throws: what is wrong with them. `.blank` when they are all zero or not there: a file whose making was cut
    ///   off.
    package init(from buffer: ByteBuffer) throws(LogDamage.Kind) {
        var rest = buffer
        guard let bytes = rest.readSlice(length: Self.byteCount), !bytes.isAllZero else {
            throw buffer.isAllZero ? .blank : .header
        }
        var reader = bytes
        let covered = bytes.getSlice(at: bytes.readerIndex, length: Self.byteCount - 4)
        guard let magic = reader.readInteger(as: UInt64.self), let format = reader.readInteger(as: UInt32.self),
            let partition = reader.readInteger(as: Int32.self), let high = reader.readInteger(as: UInt64.self),
            let low = reader.readInteger(as: UInt64.self), let base = reader.readInteger(as: Int64.self),
            let salt = reader.readInteger(as: UInt64.self), let createdAt = reader.readInteger(as: Int64.self),
            let count = reader.readInteger(as: UInt32.self), let crc = reader.readInteger(as: UInt32.self),
            magic == Self.magic, format == (count > 0 ? Self.compactedFormat : Self.format), base >= 0,
            base <= Offset.storedMax.rawValue, crc == covered?.crc32c()
        else { throw .header }
        self.topicPartition = TopicPartition(
            topic: TopicID(high: high, low: low), partition: PartitionIndex(rawValue: partition)
        )
        self.baseOffset = Offset(rawValue: base)
        self.salt = salt
        self.createdAt = Timestamp(rawValue: createdAt)
        self.offsetCount = count
    }
}

extension ByteBuffer {
    /// CRC-32C of the readable bytes. Unsafe: one call into C over memory that is borrowed for the call.
    package func crc32c(continuing crc: UInt32 = 0) -> UInt32 {
        self.withUnsafeReadableBytes { capus_crc32c(crc, $0.baseAddress, $0.count) }
    }

    /// Also true of no bytes at all.
    var isAllZero: Bool { self.zeroPrefixByteCount == self.readableBytes }

    /// How many zeros the readable bytes start with. Word by word: a preallocated tail is megabytes of them.
    var zeroPrefixByteCount: Int {
        self.withUnsafeReadableBytes { bytes in
            var index = 0
            while index + 8 <= bytes.count, bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self) == 0 {
                index += 8
            }
            while index < bytes.count, bytes[index] == 0 { index += 1 }
            return index
        }
    }
}
