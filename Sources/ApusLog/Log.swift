package import ApusCore
package import KafkaWire
package import NIOCore

/// One partition's log: what is in it, where, and what the disk must do next. A value that thinks and does no I/O.
///
/// Owner: the partition, on its shard's event loop. Blocking work (``Log/open``, ``LogJob/run(on:)``,
/// ``LogRead/run(on:)``) happens on disk threads with values made here.
///
/// A batch goes through three ends: `endOffset` when it was appended (memory), `writtenEnd` when a job handed it to the
/// file system, `durableEnd` when a sync returned. Reads see what is written.
///
/// Segments form a row: `closed` ones, the one jobs are `writing` to, and those that appends have started `ahead` of
/// the disk. A job writes to one segment only. A segment's file is made by the first job that writes to it; before that
/// job makes it, it syncs the segment before and writes the `state` file, so that everything below a segment's base is
/// known to be whole (``Log/nextJob()``).
package struct Log: Sendable {
    package let identity: LogIdentity
    package var configuration: LogConfiguration

    /// The first offset that can be read.
    package internal(set) var startOffset: Offset
    /// The offset the next batch gets.
    package internal(set) var endOffset: Offset
    package internal(set) var writtenEnd: Offset
    package internal(set) var durableEnd: Offset
    /// Compaction has been over everything below.
    package internal(set) var compactedEnd = Offset.zero
    /// What is at or above it was never given to the disk. Of a log that failed, what lies between `durableEnd` and
    /// here may be on the disk or not: nobody knows before the next recovery.
    package var handedEnd: Offset { max(self.work.handedEnd, self.writtenEnd) }
    package internal(set) var epochs: LeaderEpochs
    package internal(set) var producers: ProducerStates
    /// Places that can not be read, by name: found by recovery or reported by reads.
    package internal(set) var damage: [LogDamage] = []
    package internal(set) var failure: LogFailure?

    /// Oldest first.
    var closed: [ClosedSegment] = []
    var writing: OpenSegment
    var ahead: [OpenSegment] = []
    var salts: SaltSequence
    var work = LogWork()
    var hints = ReadHints()

    /// A log nobody wrote to yet. It has no directory.
    /// - Parameter seed: random; segment salts come from it.
    package init(identity: LogIdentity, configuration: LogConfiguration, seed: UInt64, wall: Timestamp) {
        self.init(identity: identity, configuration: configuration, startingAt: .zero, seed: seed, wall: wall)
    }

    init(
        identity: LogIdentity, configuration: LogConfiguration, startingAt start: Offset, seed: UInt64, wall: Timestamp
    ) {
        self.identity = identity
        self.configuration = configuration
        self.startOffset = start
        self.endOffset = start
        self.writtenEnd = start
        self.durableEnd = start
        self.epochs = LeaderEpochs()
        self.producers = ProducerStates()
        self.salts = SaltSequence(seed: seed)
        self.writing = OpenSegment(
            base: start, salt: self.salts.next(), createdAt: wall, directory: identity.directory
        )
        self.work.recovery = RecoveryPoint(offset: start, position: SegmentHeader.byteCount)
        self.work.durableStart = start
    }

    // MARK: What is in it

    /// Bytes of all segments, with what was appended and not written yet.
    package var byteCount: ByteCount {
        var count = self.closed.reduce(0) { $0 + $1.byteCount.rawValue }
        if self.writing.mark.end > self.writing.base || self.writing.isOnDisk { count += self.writing.mark.byteCount }
        for segment in self.ahead { count += segment.mark.byteCount }
        return .bytes(count)
    }

    package var segmentCount: Int { self.closed.count + 1 + self.ahead.count }

    /// The largest timestamp of all batches, and the base offset of the first batch that has it; nil without any.
    package var largestTimestamp: (timestamp: Timestamp, offset: Offset)? {
        var largest: (timestamp: Timestamp, offset: Offset)?
        func consider(_ timestamp: Timestamp, _ offset: Offset) {
            guard timestamp > largest?.timestamp ?? .none else { return }
            largest = (timestamp, offset)
        }
        for segment in self.closed where segment.end > self.startOffset {
            consider(segment.largestTimestamp, segment.largestTimestampOffset)
        }
        consider(self.writing.mark.largestTimestamp, self.writing.mark.largestTimestampOffset)
        for segment in self.ahead { consider(segment.mark.largestTimestamp, segment.mark.largestTimestampOffset) }
        return largest
    }

    /// All of it is written, and no disk work is under way or due.
    package var isIdle: Bool { self.work.flight == nil && !self.hasWork }

    /// False while a full disk is being cleaned up after, and for ever once the log failed or was closed.
    package var takesAppends: Bool { self.failure == nil && !self.work.isMending }

    // MARK: Appending

    /// Whether a batch of an idempotent producer is new, or what it was answered the first time.
    /// Batches without a producer id are always new.
    package func verdict(on header: RecordBatchHeader) throws(ProducerError) -> ProducerStates.Verdict {
        try self.producers.verdict(on: header)
    }

    /// Takes a batch into the log, in memory: the next job writes it. Starts a new segment when one is due.
    ///
    /// - Parameters:
    ///   - batch: exactly the batch, validated, with its base offset and leader epoch filled in. Stored as it is.
    ///   - header: the header of these very bytes.
    /// - Precondition: the base offset is `endOffset`, the epoch is none or not below the latest, and `takesAppends`.
    package mutating func append(_ batch: ByteBuffer, header: RecordBatchHeader, wall: Timestamp) {
        precondition(self.takesAppends, "appended to a log that takes no appends")
        precondition(header.baseOffset == self.endOffset.rawValue, "appended out of order")
        precondition(batch.readableBytes == header.totalByteCount, "a header of another batch")
        let epoch = Epoch(rawValue: header.partitionLeaderEpoch)
        if self.isRollDue(for: header, wall: wall) { self.roll(wall: wall) }
        let end = Offset(rawValue: header.nextOffset)
        if self.ahead.isEmpty {
            self.writing.waiting.append(batch)
            self.writing.append(header, end: end, wall: wall, interval: self.configuration.indexIntervalBytes)
        } else {
            let last = self.ahead.count - 1
            self.ahead[last].waiting.append(batch)
            self.ahead[last].append(header, end: end, wall: wall, interval: self.configuration.indexIntervalBytes)
        }
        self.epochs.note(epoch, at: self.endOffset)
        self.producers.note(header, wall: wall, written: self.writtenEnd)
        self.endOffset = end
    }

    /// Forgets producers that wrote nothing for `Limits.producerIdleMax`.
    package mutating func expireProducers(wall: Timestamp) {
        self.producers.expire(wall: wall)
    }

    /// Forgets writes with an idempotency key that are older than `window`.
    package mutating func expireKeys(wall: Timestamp, window: Duration) {
        self.producers.expireKeys(wall: wall, window: window)
    }

    private func isRollDue(for header: RecordBatchHeader, wall: Timestamp) -> Bool {
        let segment = self.ahead.last ?? self.writing
        guard segment.mark.end > segment.base else { return false }
        let size = segment.mark.byteCount + Seal.byteCount + header.totalByteCount
        let limit = min(self.configuration.segmentBytes, Limits.segmentFileBytesMax)
        return size > limit.rawValue
            || header.lastOffset - segment.base.rawValue > Int64(Int32.max)
            || segment.createdAt < wall.earlier(by: self.configuration.segmentAge)
    }

    /// Starts a new segment at the end of the log; its file is made by the job that first needs it.
    mutating func roll(wall: Timestamp) {
        self.ahead.append(
            OpenSegment(
                base: self.endOffset, salt: self.salts.next(), createdAt: wall, directory: self.identity.directory
            )
        )
    }
}

extension OpenSegment {
    fileprivate mutating func append(
        _ header: RecordBatchHeader, end: Offset, wall: Timestamp, interval: ByteCount
    ) {
        self.append(
            base: Offset(rawValue: header.baseOffset), end: end, byteCount: header.totalByteCount,
            largestTimestamp: Timestamp(rawValue: header.maxTimestamp), wall: wall, interval: interval
        )
    }
}
