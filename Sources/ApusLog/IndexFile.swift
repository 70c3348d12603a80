import ApusCore
package import NIOCore

/// A segment's sparse index on the disk, `<base>.index`: written when the segment is closed and at checkpoints.
///
///     APUSIDX1 │ format UInt32 │ partition Int32 │ topic id 2 × UInt64 │ base Int64 │ salt UInt64 │ covered UInt32
///     │ count UInt32 │ count × { offset UInt32, position UInt32, largest timestamp before Int64 } │ CRC-32C UInt32
///
/// It names the segment by its salt, so the index of another segment, or of an earlier life of this name, is found
/// out. A file that does not hold is not an error: the segment is read instead and the index made anew.
package struct IndexFile: Hashable {
    static let magic: UInt64 = 0x4150_5553_4944_5831
    static let format: UInt32 = 1
    private static let fixedByteCount = 8 + 4 + 4 + 16 + 8 + 8 + 4 + 4
    private static let entryByteCount = 16

    var topicPartition: TopicPartition
    var base: Offset
    var salt: UInt64
    /// The index knows the segment up to this byte.
    var covered: Int
    var index: SparseIndex

    init(topicPartition: TopicPartition, base: Offset, salt: UInt64, covered: Int, index: SparseIndex) {
        self.topicPartition = topicPartition
        self.base = base
        self.salt = salt
        self.covered = covered
        self.index = index
    }

    package func encoded() -> ByteBuffer {
        var buffer = ByteBufferAllocator().buffer(
            capacity: Self.fixedByteCount + self.index.entries.count * Self.entryByteCount + 4
        )
        buffer.writeInteger(Self.magic)
        buffer.writeInteger(Self.format)
        buffer.writeInteger(self.topicPartition.partition.rawValue)
        buffer.writeInteger(self.topicPartition.topic.high)
        buffer.writeInteger(self.topicPartition.topic.low)
        buffer.writeInteger(self.base.rawValue)
        buffer.writeInteger(self.salt)
        buffer.writeInteger(UInt32(clamping: self.covered))
        buffer.writeInteger(UInt32(clamping: self.index.entries.count))
        for entry in self.index.entries {
            buffer.writeInteger(entry.offset)
            buffer.writeInteger(entry.position)
            buffer.writeInteger(entry.largestTimestampBefore)
        }
        buffer.writeInteger(buffer.crc32c())
        return buffer
    }

    /// Nil for anything that is not a whole index with a right checksum and entries that ascend.
    package init?(from buffer: ByteBuffer) {
        guard var reader = buffer.checked(magic: Self.magic, format: Self.format),
            let topicPartition = reader.readTopicPartition(),
            let base = reader.readInteger(as: Int64.self), base >= 0,
            let salt = reader.readInteger(as: UInt64.self), let covered = reader.readInteger(as: UInt32.self),
            let count = reader.readInteger(as: UInt32.self),
            Int(count) == reader.readableBytes / Self.entryByteCount,
            reader.readableBytes % Self.entryByteCount == 0
        else { return nil }
        var entries: [SparseIndex.Entry] = []
        entries.reserveCapacity(reader.readableBytes / Self.entryByteCount)
        while let offset = reader.readInteger(as: UInt32.self), let position = reader.readInteger(as: UInt32.self),
            let timestamp = reader.readInteger(as: Int64.self)
        {
            if let last = entries.last {
                guard last.offset < offset, last.position < position, last.largestTimestampBefore <= timestamp else {
                    return nil
                }
            }
            guard Int(position) >= SegmentHeader.byteCount, position < covered else { return nil }
            entries.append(.init(offset: offset, position: position, largestTimestampBefore: timestamp))
        }
        self.topicPartition = topicPartition
        self.base = Offset(rawValue: base)
        self.salt = salt
        self.covered = Int(covered)
        self.index = SparseIndex(entries: entries)
    }
}

extension ByteBuffer {
    /// What is between a file's magic number and format and its closing CRC-32C; nil unless all three are right.
    func checked(magic: UInt64, format: UInt32) -> ByteBuffer? {
        let length = self.readableBytes - 4
        guard length >= 12, let crc = self.getInteger(at: self.readerIndex + length, as: UInt32.self),
            var body = self.getSlice(at: self.readerIndex, length: length), body.crc32c() == crc,
            body.readInteger(as: UInt64.self) == magic, body.readInteger(as: UInt32.self) == format
        else { return nil }
        return body
    }

    mutating func readTopicPartition() -> TopicPartition? {
        guard let partition = self.readInteger(as: Int32.self), let high = self.readInteger(as: UInt64.self),
            let low = self.readInteger(as: UInt64.self)
        else { return nil }
        return TopicPartition(topic: TopicID(high: high, low: low), partition: PartitionIndex(rawValue: partition))
    }
}
