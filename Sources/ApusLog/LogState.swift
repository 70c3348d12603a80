import ApusCore
package import NIOCore

/// The `state` file: what of a log must survive and can not be read off its segments quickly.
///
///     APUSSTA1 │ format UInt32 │ partition Int32 │ topic id 2 × UInt64 │ start Int64 │ compacted end Int64
///     │ active segment, as far as it is checked: { base, end Int64, salt UInt64, bytes UInt32,
///     │                                            largest timestamp, its offset, last append Int64,
///     │                                            created at, tombstone horizon Int64, generation UInt32 }
///     │ count UInt32 │ closed segments, each like the active one
///     │ count UInt32 │ { epoch Int32, start Int64 }
///     │ count UInt32 │ { id Int64, epoch Int16, flags UInt8, next sequence Int32, last append, last offset Int64,
///     │                  count UInt8 × { first, last sequence Int32, base, last offset, timestamp Int64 } }
///     │ CRC-32C UInt32
///
/// Written when a segment is closed, when the log's start moves, at checkpoints, and at the end of a clean
/// life; always whole, through a temporary file. A log of one short segment from offset 0 has none. Epochs and
/// producers are as of the recovery point: recovery adds what it reads behind it. Format 1, before there was
/// compaction, lacks the compacted end and each segment's last three fields.
package struct LogState: Hashable {
    static let magic: UInt64 = 0x4150_5553_5354_4131
    static let format: UInt32 = 2
    static let formatBeforeCompaction: UInt32 = 1

    var topicPartition: TopicPartition
    var start: Offset
    /// Compaction has been over everything below.
    var compactedEnd: Offset
    /// The segment that is written to, up to the recovery point: `end` and `byteCount`. Its file may not be made yet.
    var active: ClosedSegment
    var closed: [ClosedSegment]
    var epochs: LeaderEpochs
    var producers: [ProducerStates.Producer]

    init(
        topicPartition: TopicPartition, start: Offset, compactedEnd: Offset = .zero, active: ClosedSegment,
        closed: [ClosedSegment], epochs: LeaderEpochs, producers: [ProducerStates.Producer]
    ) {
        self.topicPartition = topicPartition
        self.start = start
        self.compactedEnd = compactedEnd
        self.active = active
        self.closed = closed
        self.epochs = epochs
        self.producers = producers
    }

    package func encoded() -> ByteBuffer {
        var buffer = ByteBufferAllocator().buffer(
            capacity: 190 + self.closed.count * ByteBuffer.segmentByteCount + self.epochs.entries.count * 12 + self
                .producers.count * 192
        )
        buffer.writeInteger(Self.magic)
        buffer.writeInteger(Self.format)
        buffer.writeInteger(self.topicPartition.partition.rawValue)
        buffer.writeInteger(self.topicPartition.topic.high)
        buffer.writeInteger(self.topicPartition.topic.low)
        buffer.writeInteger(self.start.rawValue)
        buffer.writeInteger(self.compactedEnd.rawValue)
        buffer.write(self.active)
        buffer.writeInteger(UInt32(clamping: self.closed.count))
        for segment in self.closed { buffer.write(segment) }
        buffer.writeInteger(UInt32(clamping: self.epochs.entries.count))
        for entry in self.epochs.entries {
            buffer.writeInteger(entry.epoch.rawValue)
            buffer.writeInteger(entry.start.rawValue)
        }
        buffer.writeInteger(UInt32(clamping: self.producers.count))
        for producer in self.producers { buffer.write(producer) }
        buffer.writeInteger(buffer.crc32c())
        return buffer
    }

    /// Nil for anything that is not a whole state with a right checksum that makes sense in itself.
    package init?(from buffer: ByteBuffer) {
        let isOld: Bool
        var reader: ByteBuffer
        if let body = buffer.checked(magic: Self.magic, format: Self.format) {
            (isOld, reader) = (false, body)
        } else if let body = buffer.checked(magic: Self.magic, format: Self.formatBeforeCompaction) {
            (isOld, reader) = (true, body)
        } else {
            return nil
        }
        guard let topicPartition = reader.readTopicPartition(), let start = reader.readOffset(),
            let compactedEnd = isOld ? .zero : reader.readOffset(), let active = reader.readSegment(isOld: isOld),
            active.byteCount.rawValue >= SegmentHeader.byteCount, start <= active.end, active.generation == 0,
            let closed = reader.readClosedSegments(before: active.base, isOld: isOld),
            let epochs = reader.readEpochs(), let producers = reader.readProducers(), reader.readableBytes == 0
        else { return nil }
        self.topicPartition = topicPartition
        self.start = start
        self.compactedEnd = compactedEnd
        self.active = active
        self.closed = closed
        self.epochs = epochs
        self.producers = producers
    }
}

extension ByteBuffer {
    fileprivate static let segmentByteCount = 72
    private static let oldSegmentByteCount = 52

    fileprivate mutating func write(_ segment: ClosedSegment) {
        self.writeInteger(segment.base.rawValue)
        self.writeInteger(segment.end.rawValue)
        self.writeInteger(segment.salt)
        self.writeInteger(UInt32(clamping: segment.byteCount.rawValue))
        self.writeInteger(segment.largestTimestamp.rawValue)
        self.writeInteger(segment.largestTimestampOffset.rawValue)
        self.writeInteger(segment.lastAppendAt.rawValue)
        self.writeInteger(segment.createdAt.rawValue)
        self.writeInteger(segment.tombstoneHorizon.rawValue)
        self.writeInteger(segment.generation)
    }

    fileprivate mutating func write(_ producer: ProducerStates.Producer) {
        self.writeInteger(producer.id)
        self.writeInteger(producer.epoch)
        self.writeInteger((producer.hasOlder ? 1 : 0) | (producer.nextSequence == nil ? 0 : 2) as UInt8)
        self.writeInteger(producer.nextSequence ?? 0)
        self.writeInteger(producer.lastAppendAt.rawValue)
        self.writeInteger(producer.lastOffset.rawValue)
        let batches = producer.batches.suffix(Limits.producerBatchesKept)
        self.writeInteger(UInt8(batches.count))
        for batch in batches {
            self.writeInteger(batch.firstSequence)
            self.writeInteger(batch.lastSequence)
            self.writeInteger(batch.baseOffset.rawValue)
            self.writeInteger(batch.lastOffset.rawValue)
            self.writeInteger(batch.timestamp.rawValue)
        }
    }

    fileprivate mutating func readOffset() -> Offset? {
        guard let offset = self.readInteger(as: Int64.self), offset >= 0, offset <= Offset.storedMax.rawValue else {
            return nil
        }
        return Offset(rawValue: offset)
    }

    fileprivate mutating func readTimestamp() -> Timestamp? {
        self.readInteger(as: Int64.self).map { Timestamp(rawValue: $0) }
    }

    /// A count of elements of at least `byteCount` bytes; nil when so many do not fit into what is left.
    private mutating func readCount(ofBytes byteCount: Int) -> Int? {
        guard let count = self.readInteger(as: UInt32.self), Int(count) <= self.readableBytes / byteCount else {
            return nil
        }
        return Int(count)
    }

    fileprivate mutating func readSegment(isOld: Bool) -> ClosedSegment? {
        guard let base = self.readOffset(), let end = self.readOffset(),
            let salt = self.readInteger(as: UInt64.self), let byteCount = self.readInteger(as: UInt32.self),
            let largest = self.readTimestamp(), let largestOffset = self.readOffset(),
            let lastAppendAt = self.readTimestamp(), base <= end
        else { return nil }
        var segment = ClosedSegment(
            base: base, end: end, salt: salt, byteCount: .bytes(Int(byteCount)), largestTimestamp: largest,
            largestTimestampOffset: largestOffset, lastAppendAt: lastAppendAt, createdAt: lastAppendAt
        )
        guard !isOld else { return segment }
        guard let createdAt = self.readTimestamp(), let horizon = self.readTimestamp(),
            let generation = self.readInteger(as: UInt32.self),
            generation == 0 || base < end && end.rawValue - base.rawValue <= Int64(UInt32.max)
        else { return nil }
        segment.createdAt = createdAt
        segment.tombstoneHorizon = horizon
        segment.generation = generation
        return segment
    }

    fileprivate mutating func readClosedSegments(before activeBase: Offset, isOld: Bool) -> [ClosedSegment]? {
        let byteCount = isOld ? Self.oldSegmentByteCount : Self.segmentByteCount
        guard let count = self.readCount(ofBytes: byteCount) else { return nil }
        var segments: [ClosedSegment] = []
        segments.reserveCapacity(count)
        for _ in 0..<count {
            guard let segment = self.readSegment(isOld: isOld), segment.base < segment.end, segment.end <= activeBase,
                segments.last.map({ $0.end <= segment.base }) ?? true
            else { return nil }
            segments.append(segment)
        }
        return segments
    }

    fileprivate mutating func readEpochs() -> LeaderEpochs? {
        guard let count = self.readCount(ofBytes: 12) else { return nil }
        var entries: [LeaderEpochs.Entry] = []
        entries.reserveCapacity(count)
        for _ in 0..<count {
            guard let epoch = self.readInteger(as: Int32.self), let start = self.readOffset() else { return nil }
            entries.append(LeaderEpochs.Entry(epoch: Epoch(rawValue: epoch), start: start))
        }
        return LeaderEpochs(entries: entries)
    }

    fileprivate mutating func readProducers() -> [ProducerStates.Producer]? {
        guard let count = self.readCount(ofBytes: 32) else { return nil }
        var producers: [ProducerStates.Producer] = []
        producers.reserveCapacity(count)
        for _ in 0..<count {
            guard let producer = self.readProducer() else { return nil }
            producers.append(producer)
        }
        return producers
    }

    private mutating func readProducer() -> ProducerStates.Producer? {
        guard let id = self.readInteger(as: Int64.self), let epoch = self.readInteger(as: Int16.self),
            let flags = self.readInteger(as: UInt8.self), let next = self.readInteger(as: Int32.self),
            let lastAppendAt = self.readTimestamp(), let lastOffset = self.readOffset(),
            let count = self.readInteger(as: UInt8.self), Int(count) <= Limits.producerBatchesKept
        else { return nil }
        var batches: [ProducerStates.Batch] = []
        for _ in 0..<count {
            guard let first = self.readInteger(as: Int32.self), let last = self.readInteger(as: Int32.self),
                let base = self.readOffset(), let end = self.readOffset(), let timestamp = self.readTimestamp()
            else { return nil }
            batches.append(
                ProducerStates.Batch(
                    firstSequence: first, lastSequence: last, baseOffset: base, lastOffset: end, timestamp: timestamp
                )
            )
        }
        return ProducerStates.Producer(
            id: id, epoch: epoch, batches: batches, nextSequence: flags & 2 == 0 ? nil : next,
            hasOlder: flags & 1 != 0, lastAppendAt: lastAppendAt, lastOffset: lastOffset
        )
    }
}
