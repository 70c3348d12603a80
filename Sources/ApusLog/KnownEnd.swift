import ApusCore
import NIOCore

/// The file `known-end`: where a log ended before some of its records were lost.
///
///     APUSKEND │ format UInt32 │ partition Int32 │ topic id 2 × UInt64 │ end Int64 │ CRC-32C UInt32
///
/// Made when a log is found to end below what it ended at when it was closed cleanly, or its end to be damaged. The
/// broker's own list of ends knows no more than the last orderly stop; this one stays with the log. Every recovery
/// looks for it, and until the log ends there again it takes no appends: the offsets in between were given out. Who
/// accepts the loss renames it to `accept-loss`.
struct KnownEnd: Hashable {
    static let magic: UInt64 = 0x4150_5553_4B45_4E44
    static let format: UInt32 = 1
    static let byteCount = 44

    var topicPartition: TopicPartition
    var end: Offset

    func encoded() -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.reserveCapacity(Self.byteCount)
        let topic = self.topicPartition.topic
        buffer.writeMultipleIntegers(Self.magic, Self.format, self.topicPartition.partition.rawValue)
        buffer.writeMultipleIntegers(topic.high, topic.low, self.end.rawValue)
        buffer.writeInteger(buffer.crc32c())
        return buffer
    }

    init(_ topicPartition: TopicPartition, end: Offset) {
        self.topicPartition = topicPartition
        self.end = end
    }

    /// Nil unless it is whole.
    init?(from bytes: ByteBuffer) {
        var bytes = bytes
        guard bytes.readableBytes == Self.byteCount, var covered = bytes.readSlice(length: Self.byteCount - 4),
            let crc = bytes.readInteger(as: UInt32.self), covered.crc32c() == crc,
            let (magic, format, partition) = covered.readMultipleIntegers(as: (UInt64, UInt32, Int32).self),
            let (high, low, end) = covered.readMultipleIntegers(as: (UInt64, UInt64, Int64).self),
            magic == Self.magic, format == Self.format, end > 0, end <= Offset.storedMax.rawValue
        else { return nil }
        self.topicPartition = TopicPartition(
            topic: TopicID(high: high, low: low), partition: PartitionIndex(rawValue: partition))
        self.end = Offset(rawValue: end)
    }
}

extension LogRecovery {
    /// Refuses appends to a log that ends below what is known to have been in it.
    mutating func compareEnd(of log: inout Log) throws(DiskError) {
        let file = self.path(FileName.knownEndName)
        if self.isLossAccepted { return try self.acceptLoss(of: log, file) }
        var known = self.knownEnd
        var isWritten = false
        if self.hasKnownEnd {
            let bytes = try self.disk.read(file, at: .start, upTo: .bytes(KnownEnd.byteCount + 1))
            guard let read = KnownEnd(from: bytes), read.topicPartition == self.identity.topicPartition else {
                let damage = LogDamage(.knownEnd, file, offsets: .zero ..< .zero)
                self.report.damage.append(damage)
                if log.failure == nil { log.failure = .endLost(damage, record: file) }
                return
            }
            isWritten = read.end >= known
            known = max(known, read.end)
        }
        if case .endUnknown(let damage, _)? = log.failure { known = max(known, damage.offsets.upperBound) }
        guard log.failure != nil || log.endOffset < known else {
            if self.hasKnownEnd {
                try self.remove(file)
                // Were it back after a power cut, the torn end of a later write would be taken for damage.
                try self.disk.syncDirectory(self.identity.directory)
            }
            return
        }
        if !isWritten { try self.writeKnownEnd(known, file) }
        guard log.failure == nil else { return }
        self.end(&log, at: known, file)
    }

    /// What the log has is all there is. The word for it goes last: a crash before then finds it again.
    private mutating func acceptLoss(of log: Log, _ file: DiskPath) throws(DiskError) {
        guard log.failure == nil else { return }
        self.report.acceptedLoss = true
        if self.hasKnownEnd { try self.remove(file) }
        try self.disk.syncDirectory(self.identity.directory)
        try self.remove(self.path(FileName.acceptedLossName))
        try self.disk.syncDirectory(self.identity.directory)
    }

    /// Readers of the lost offsets are told so, and not that these were never given.
    private mutating func end(_ log: inout Log, at known: Offset, _ file: DiskPath) {
        let damage = self.lostEnd(of: log, known)
        self.report.damage.append(damage)
        if log.writing.mark.end > log.writing.base { log.closed.append(log.writing.closed) }
        log.writing = OpenSegment(
            base: known, salt: log.salts.next(), createdAt: self.wall, directory: self.identity.directory)
        log.endOffset = known
        log.writtenEnd = known
        log.durableEnd = known
        log.work.recovery = RecoveryPoint(offset: known, position: SegmentHeader.byteCount)
        log.work.isStateDue = false
        log.failure = .endLost(damage, record: file)
    }

    private func lostEnd(of log: Log, _ known: Offset) -> LogDamage {
        let offsets = log.endOffset..<known
        if self.segments.isEmpty, !self.hasState {
            return LogDamage(.missing, self.identity.directory, offsets: offsets)
        }
        let file = self.path(FileName.segmentName(log.writing.base))
        guard log.writing.isOnDisk else { return LogDamage(.missing, file, offsets: offsets) }
        let place = FilePosition(rawValue: Int64(log.writing.written.byteCount))
        return LogDamage(.shorter, file, at: place, offsets: offsets)
    }

    private func writeKnownEnd(_ end: Offset, _ file: DiskPath) throws(DiskError) {
        let temporary = self.path(FileName.temporaryName(FileName.knownEndName))
        try self.disk.createDirectory(self.identity.directory)
        try self.disk.discard(temporary)
        try self.disk.create(temporary)
        try self.disk.write(
            [KnownEnd(self.identity.topicPartition, end: end).encoded()], to: temporary, at: .start)
        try self.disk.sync(temporary)
        try self.disk.rename(temporary, to: file)
        self.disk.close(file)
        try self.disk.syncDirectory(self.identity.directory)
    }
}
