package import ApusCore
import NIOCore

/// Where a log ended when a broker closed it, and the start number of that broker.
package struct NotedEnd: Hashable, Sendable {
    package var end: Offset
    package var life: Epoch

    package init(_ end: Offset, in life: Epoch) {
        self.end = end
        self.life = life
    }

    /// Nothing was noted, or a log without records.
    package static let none = NotedEnd(.zero, in: .none)
}

/// The file `known-end`: where a log ended before some of its records were lost.
///
///     APUSKEND │ format UInt32 │ partition Int32 │ topic id 2 × UInt64 │ end Int64 │ accepted UInt32, 0 or 1
///     │ life Int32 │ CRC-32C UInt32
///
/// Made when a log is found to end below what it ended at when it was closed cleanly, or its end to be damaged. Every
/// recovery looks for it, and until the log ends there again it takes no appends: the offsets in between were given
/// out. Who accepts the loss renames it to `accept-loss`. Then it is made once more, to say so: what brokers up to that
/// life noted of the end counts no longer.
struct KnownEnd: Hashable {
    static let magic: UInt64 = 0x4150_5553_4B45_4E44
    static let format: UInt32 = 1
    static let byteCount = 52

    var topicPartition: TopicPartition
    var end: Offset
    /// Ends that were noted in this life or before are void.
    var life: Epoch
    /// The log goes on from `end`; otherwise it must get there first.
    var isAccepted: Bool

    func encoded() -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.reserveCapacity(Self.byteCount)
        let topic = self.topicPartition.topic
        buffer.writeMultipleIntegers(Self.magic, Self.format, self.topicPartition.partition.rawValue)
        buffer.writeMultipleIntegers(topic.high, topic.low, self.end.rawValue)
        buffer.writeMultipleIntegers(self.isAccepted ? 1 : 0 as UInt32, self.life.rawValue)
        buffer.writeInteger(buffer.crc32c())
        return buffer
    }

    init(_ topicPartition: TopicPartition, end: Offset, life: Epoch, isAccepted: Bool) {
        self.topicPartition = topicPartition
        self.end = end
        self.life = life
        self.isAccepted = isAccepted
    }

    /// Nil unless it is whole.
    init?(from bytes: ByteBuffer) {
        var bytes = bytes
        guard bytes.readableBytes == Self.byteCount, var covered = bytes.readSlice(length: Self.byteCount - 4),
            let crc = bytes.readInteger(as: UInt32.self), covered.crc32c() == crc,
            let (magic, format, partition) = covered.readMultipleIntegers(as: (UInt64, UInt32, Int32).self),
            let (high, low, end) = covered.readMultipleIntegers(as: (UInt64, UInt64, Int64).self),
            let (accepted, life) = covered.readMultipleIntegers(as: (UInt32, Int32).self),
            magic == Self.magic, format == Self.format, end >= 0, end <= Offset.storedMax.rawValue, accepted <= 1
        else { return nil }
        self.topicPartition = TopicPartition(
            topic: TopicID(high: high, low: low), partition: PartitionIndex(rawValue: partition))
        self.end = Offset(rawValue: end)
        self.life = Epoch(rawValue: life)
        self.isAccepted = accepted == 1
    }

    /// The least end there can be after `noted`.
    func bound(_ noted: NotedEnd) -> Offset {
        noted.life > self.life ? max(noted.end, self.end) : self.end
    }
}

extension LogRecovery {
    private var knownEndFile: DiskPath { self.path(FileName.knownEndName) }
    private var acceptedLossFile: DiskPath { self.path(FileName.acceptedLossName) }

    /// Finds out what is known of the end before anything of the log is read.
    mutating func readKnownEnd() throws(DiskError) {
        if self.isLossAccepted {
            (self.cleanShutdown, self.knownEnd) = (false, .zero)
            return
        }
        guard self.hasKnownEnd else { return }
        self.record = try self.knownEnd(in: self.knownEndFile)
        self.knownEnd = self.record?.bound(self.noted) ?? self.noted.end
        // Nothing was written to it since: what is torn now is damage, and not the end of a last write.
        if self.record?.isAccepted != true { self.cleanShutdown = true }
    }

    private func knownEnd(in file: DiskPath) throws(DiskError) -> KnownEnd? {
        let bytes = try self.disk.read(file, at: .start, upTo: .bytes(KnownEnd.byteCount + 1))
        self.disk.close(file)
        guard let read = KnownEnd(from: bytes), read.topicPartition == self.identity.topicPartition else { return nil }
        return read
    }

    /// Refuses appends to a log that ends below what is known to have been in it.
    mutating func compareEnd(of log: inout Log) throws(DiskError) {
        if self.isLossAccepted, try self.acceptLoss(of: log) { return }
        if self.hasKnownEnd, self.record == nil {
            let damage = LogDamage(.knownEnd, self.knownEndFile, offsets: .zero ..< .zero)
            self.report.damage.append(damage)
            if log.failure == nil { log.failure = .endLost(damage, record: self.knownEndFile) }
            return
        }
        var known = self.knownEnd
        if case .endUnknown(let damage, _)? = log.failure { known = max(known, damage.offsets.upperBound) }
        guard log.failure != nil || log.endOffset < known else { return try self.settleKnownEnd() }
        if self.record.map({ $0.isAccepted || $0.end < known }) ?? true {
            try self.noteLoss(
                KnownEnd(self.identity.topicPartition, end: known, life: self.voidLife, isAccepted: false))
        }
        if log.failure == nil { self.end(&log, at: known) }
    }

    private var voidLife: Epoch { self.record?.life ?? .none }

    /// The log is whole: the record of its end goes, once something newer tells of it.
    private mutating func settleKnownEnd() throws(DiskError) {
        guard let record = self.record else { return }
        if record.isAccepted {
            guard self.noted.life > record.life else { return }
        } else {
            // Somebody put these files back; what he copied may be in memory only.
            for base in self.segments { try self.disk.sync(self.path(FileName.segmentName(base))) }
        }
        try self.remove(self.knownEndFile)
        // Were it back after a power cut, the torn end of a later write would be taken for damage.
        try self.disk.syncDirectory(self.identity.directory)
    }

    /// What the log has is all there is, for certain before the word for it goes.
    /// - Returns: false where that does not help, because a whole file must come back.
    private mutating func acceptLoss(of log: Log) throws(DiskError) -> Bool {
        self.isLossAccepted = false
        if log.failure == nil {
            self.report.acceptedLoss = true
            try self.write(
                KnownEnd(
                    self.identity.topicPartition, end: log.endOffset, life: self.noted.life, isAccepted: true))
            try self.remove(self.acceptedLossFile)
            try self.disk.syncDirectory(self.identity.directory)
            return true
        }
        self.record = try self.knownEnd(in: self.acceptedLossFile)
        if self.record == nil || self.hasKnownEnd {
            try self.remove(self.acceptedLossFile)
        } else {
            try self.disk.rename(self.acceptedLossFile, to: self.knownEndFile)
        }
        try self.disk.syncDirectory(self.identity.directory)
        if self.hasKnownEnd { self.record = try self.knownEnd(in: self.knownEndFile) }
        self.hasKnownEnd = self.hasKnownEnd || self.record != nil
        self.knownEnd = self.record?.bound(self.noted) ?? self.noted.end
        return false
    }

    /// Readers of the lost offsets are told so, and not that these were never given.
    private mutating func end(_ log: inout Log, at known: Offset) {
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
        log.failure = .endLost(damage, record: self.knownEndFile)
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

    /// A full disk keeps it from being written and not the log from being read: the broker's own list has the end too.
    private func noteLoss(_ end: KnownEnd) throws(DiskError) {
        do throws(DiskError) {
            try self.write(end)
        } catch {
            guard error.reason == .full else { throw error }
        }
    }

    private func write(_ end: KnownEnd) throws(DiskError) {
        let temporary = self.path(FileName.temporaryName(FileName.knownEndName))
        try self.disk.createDirectory(self.identity.directory)
        try self.disk.discard(temporary)
        try self.disk.create(temporary)
        try self.disk.write([end.encoded()], to: temporary, at: .start)
        try self.disk.sync(temporary)
        self.disk.close(temporary)
        try self.disk.rename(temporary, to: self.knownEndFile)
        try self.disk.syncDirectory(self.identity.directory)
    }
}
