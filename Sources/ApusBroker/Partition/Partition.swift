import ApusCore
import ApusLog
import ApusReplication
import DequeModule
import KafkaWire
import NIOCore

/// One open partition: what may be appended, which offset it gets, who waits for it, what may be read.
///
/// Thinks only: facts and the time come in, results and disk jobs go out. Owner: the partition's ``Shard``, which keeps
/// it in a ``PartitionSlot`` and touches it on its loop only.
struct Partition {
    let id: TopicPartition
    private(set) var topic: Topic
    var log: Log
    private(set) var replica: Replica
    /// Bytes of all batches that readers were ever allowed to see; parked fetches count by its growth.
    private(set) var visibleBytes: Int64 = 0

    /// Produces that wait for the high watermark, in the order of what they wait for.
    private var parkedAcks = Deque<ParkedAck>()
    private var parkedDeletions = Deque<ParkedDeletion>()
    /// Appended and not yet visible, with their bytes.
    private var invisible = Deque<(end: Offset, bytes: Int)>()
    private(set) var unwrittenBytes = 0
    /// The log start that survives a power cut.
    private var durableStart: Offset

    /// - Parameter log: as recovery left it.
    init(id: TopicPartition, topic: Topic, log: Log) {
        self.id = id
        self.topic = topic
        self.log = log
        self.durableStart = log.startOffset
        self.replica = Replica(
            leading: max(topic.placement.epoch, log.epochs.latest ?? .none), logEnd: log.endOffset,
            durableEnd: log.durableEnd, durability: Replica.Durability(topic.configuration.durability),
            inSyncReplicasMin: topic.configuration.inSyncReplicasMin
        )
    }

    var highWatermark: Offset { self.replica.highWatermark }

    /// Nobody waits for it and the disk has nothing to do: it may be closed.
    var isQuiet: Bool { self.parkedAcks.isEmpty && self.parkedDeletions.isEmpty && self.log.isIdle }

    // MARK: Configuration

    /// The topic as it is published now. Its configuration holds from the next append on.
    /// - Parameter retention: how long records stay, with what subscriptions ask for; nil: for ever.
    mutating func configured(_ topic: Topic, retention: Duration?) -> Replica.Action {
        self.topic = topic
        self.log.configuration = LogConfiguration(topic.configuration)
        self.log.configuration.retentionAge = topic.configuration.deletes ? retention : nil
        let action = self.replica.configured(
            durability: Replica.Durability(topic.configuration.durability),
            inSyncReplicasMin: topic.configuration.inSyncReplicasMin
        )
        self.countVisible()
        return action
    }

    // MARK: Produce

    /// A batch that was taken: what to answer, and from which high watermark on.
    struct Taken {
        var result: ProduceResult
        /// Answer when the high watermark is here or above.
        var through: Offset
        /// The bytes as they are in the log; nil for a duplicate.
        var batch: ByteBuffer?
    }

    /// Validates the batch, gives it its offset in place, and appends it to the log in memory.
    /// - Parameter isKeyed: its producer id is made of an idempotency key.
    mutating func append(
        _ records: ByteBuffer, acks: Acks, wall: Timestamp, isKeyed: Bool = false
    ) throws(BatchRefusal) -> Taken {
        if acks == .all, !self.replica.hasEnoughReplicas { throw BatchRefusal(.notEnoughReplicas) }
        if let failure = self.log.failure { throw BatchRefusal(self.refusal(records, failure)) }
        guard self.log.takesAppends else { throw BatchRefusal(.storageFull) }
        guard self.unwrittenBytes < Limits.unwrittenBytesPerPartitionMax.rawValue else {
            throw BatchRefusal(.overloaded("more than \(Limits.unwrittenBytesPerPartitionMax) wait for the disk"))
        }
        let configuration = self.topic.configuration
        var header = try BatchRules(configuration: configuration, isKeyed: isKeyed).check(records, wall: wall)
        if case .duplicate(let base, let last, let timestamp) = try self.verdict(on: header) {
            var result = ProduceResult(
                baseOffset: base, logAppendTime: timestamp, logStartOffset: self.log.startOffset
            )
            result.isDuplicate = true
            return Taken(result: result, through: last.next, batch: nil)
        }
        if isKeyed, let wait = self.log.producers.waitForKey(wall: wall) { throw BatchRefusal(.keysFull(wait)) }
        guard self.log.endOffset.rawValue <= Int64.max - Int64(header.lastOffsetDelta) - 1 else {
            throw BatchRefusal(.storage("\(self.id): no offsets are left"))
        }
        var batch = records.detached()
        if let codec = configuration.compression {
            (batch, header) = try Recompression.apply(codec, to: batch, header: header)
        }
        var logAppendTime = Timestamp.none
        if configuration.timestampType == .logAppendTime {
            RecordBatchHeader.patch(batch, logAppendTime: wall.rawValue)
            logAppendTime = wall
        }
        RecordBatchHeader.patch(
            batch, baseOffset: self.log.endOffset.rawValue, leaderEpoch: self.replica.leaderEpoch.rawValue
        )
        header = try Self.header(ofPatched: batch)
        let base = self.log.endOffset
        self.log.append(batch, header: header, wall: wall)
        self.replica.appended(through: self.log.endOffset)
        self.invisible.append((end: self.log.endOffset, bytes: batch.readableBytes))
        self.unwrittenBytes += batch.readableBytes
        let result = ProduceResult(
            baseOffset: base, logAppendTime: logAppendTime, logStartOffset: self.log.startOffset
        )
        return Taken(result: result, through: self.log.endOffset, batch: batch)
    }

    /// A failed log refuses what is new for certain. Of a batch that it gave to the disk before, in an earlier attempt
    /// of its producer, nobody knows more than then.
    private func refusal(_ records: ByteBuffer, _ failure: LogFailure) -> BrokerError {
        let reason = "\(self.id): \(failure)"
        // Whatever is wrong with this header, it is not that of a batch we took.
        guard let header = try? RecordBatchHeader(from: records),
            case .duplicate(_, let last, _) = try? self.log.verdict(on: header), last < self.log.handedEnd
        else { return .storage(reason) }
        return .storageUnknown(reason)
    }

    /// What is at or above it was never given to the disk.
    var handedEnd: Offset { self.log.handedEnd }

    private func verdict(on header: RecordBatchHeader) throws(BatchRefusal) -> ProducerStates.Verdict {
        do throws(ProducerError) {
            return try self.log.verdict(on: header)
        } catch {
            switch error {
            case .outOfOrder(let sent, let expected):
                throw BatchRefusal(
                    .outOfOrderSequence("producer \(header.producerID) sent sequence \(sent), \(expected) is next")
                )
            case .invalidEpoch(let sent, let current):
                throw BatchRefusal(
                    .invalidProducerEpoch("producer \(header.producerID) sent epoch \(sent), it is at \(current)")
                )
            case .keyReused: throw BatchRefusal(.keyReused)
            }
        }
    }

    private static func header(ofPatched batch: ByteBuffer) throws(BatchRefusal) -> RecordBatchHeader {
        do throws(WireError) {
            return try RecordBatchHeader(from: batch)
        } catch {
            throw BatchRefusal(.corruptBatch("\(error)"))
        }
    }

    mutating func park(_ ack: ParkedAck) {
        // Only the duplicate of a batch that still waits itself goes before the end.
        var place = self.parkedAcks.endIndex
        while place > self.parkedAcks.startIndex, self.parkedAcks[place - 1].through > ack.through { place -= 1 }
        self.parkedAcks.insert(ack, at: place)
    }

    /// The next produce whose promise holds; nil when there is none.
    mutating func nextAcked() -> ParkedAck? {
        guard let first = self.parkedAcks.first, first.through <= self.replica.highWatermark else { return nil }
        return self.parkedAcks.popFirst()
    }

    /// Takes out every produce that waits for more than `end`.
    mutating func dropAcks(above end: Offset) -> [ParkedAck] {
        var dropped: [ParkedAck] = []
        while let last = self.parkedAcks.last, last.through > end {
            dropped.append(last)
            self.parkedAcks.removeLast()
        }
        return dropped.reversed()
    }

    // MARK: The disk

    mutating func nextJob() -> LogJob? { self.log.nextJob() }

    /// What a finished job means for those who wait.
    enum Outcome {
        /// Answer what ``nextAcked()`` gives; readers may see more when `isVisible`.
        case advanced(isVisible: Bool)
        /// The disk is full and the log is cleaning up: nothing is decided yet.
        case full
        /// Everything at and above this offset is out of the log for good.
        case withdrawn(from: Offset)
        case failed(String)
    }

    mutating func finished(_ job: LogJob.Token, bytes: ByteCount, _ result: Result<Void, LogJob.Failure>) -> Outcome {
        let progress = self.log.finished(job, result)
        if case .success = result { self.unwrittenBytes = max(0, self.unwrittenBytes - bytes.rawValue) }
        self.durableStart = max(self.durableStart, progress.durableStart)
        let before = self.replica.highWatermark
        switch progress.event {
        case .advanced:
            _ = self.replica.written(through: progress.writtenEnd)
            _ = self.replica.synced(through: progress.durableEnd)
            self.countVisible()
            return .advanced(isVisible: self.replica.highWatermark > before)
        case .full:
            return .full
        case .withdrawn:
            self.replica.withdrawn(to: progress.writtenEnd)
            while let last = self.invisible.last, last.end > progress.writtenEnd { self.invisible.removeLast() }
            self.unwrittenBytes = 0
            return .withdrawn(from: progress.writtenEnd)
        case .failed(let failure):
            return .failed("\(self.id): \(failure)")
        }
    }

    private mutating func countVisible() {
        while let first = self.invisible.first, first.end <= self.replica.highWatermark {
            self.visibleBytes += Int64(first.bytes)
            self.invisible.removeFirst()
        }
    }

    /// The last job of a log that closes; nil when nothing is to be done.
    /// - Precondition: `isQuiet`.
    mutating func close() -> LogJob? { self.log.close() }

    // MARK: Deleting

    /// Moves the start of the log up; answer when ``nextDeleted()`` gives it.
    mutating func deleteRecords(before offset: Offset?, _ parked: ParkedDeletion) throws(BrokerError) {
        let target = offset ?? self.replica.highWatermark
        guard target.rawValue >= 0, target <= self.replica.highWatermark else {
            throw .offsetOutOfRange(logStart: self.log.startOffset, logEnd: self.replica.highWatermark)
        }
        do throws(LogError) {
            try self.log.advanceStart(to: target)
        } catch {
            throw .storage("\(self.id): \(error)")
        }
        parked.start = self.log.startOffset
        self.parkedDeletions.append(parked)
    }

    /// The next deletion that is durable.
    mutating func nextDeleted() -> ParkedDeletion? {
        guard let first = self.parkedDeletions.first, first.start <= self.durableStart else { return nil }
        return self.parkedDeletions.popFirst()
    }

    mutating func dropDeletions() -> [ParkedDeletion] {
        defer { self.parkedDeletions.removeAll() }
        return Array(self.parkedDeletions)
    }

    /// Moves the start of the log up to what nobody needs any more.
    /// - Returns: the bytes of whole segments that go; nil when nothing changes.
    mutating func free(below offset: Offset, wall: Timestamp) -> ByteCount? {
        guard self.log.takesAppends, self.topic.configuration.deletes else { return nil }
        let before = self.log.byteCount
        guard offset > self.log.startOffset else {
            // All of a large segment is read: what comes next begins another.
            return self.log.closeFreed(atLeast: Limits.freedSegmentBytesMin, wall: wall) ? .zero : nil
        }
        // Below the high watermark nothing is out of range, and a failed log keeps what it has.
        guard (try? self.log.advanceStart(to: min(offset, self.replica.highWatermark))) != nil else { return nil }
        return before - self.log.byteCount
    }

    /// By age and size. `wall` must not have jumped (``RetentionClock``).
    mutating func applyRetention(wall: Timestamp) -> Log.Dropped {
        self.log.expireProducers(wall: wall)
        return self.log.applyRetention(wall: wall, below: self.replica.highWatermark)
    }
}

/// A produce that waits for the high watermark of one partition.
struct ParkedAck {
    var through: Offset
    let operation: ProduceOperation
    /// Which entry of the operation.
    let index: Int
}

/// A deletion of records that waits until the disk has it. Answered once. Owner: the partition's shard.
final class ParkedDeletion {
    typealias Answer = @Sendable (Result<Offset, BrokerError>) -> Void

    fileprivate(set) var start = Offset.zero
    /// Stops the timer.
    var whenAnswered: (() -> Void)?
    private var then: Answer?

    init(_ then: @escaping Answer) {
        self.then = then
    }

    func answer(_ result: Result<Offset, BrokerError>) {
        guard let then = self.then else { return }
        self.then = nil
        let whenAnswered = self.whenAnswered
        self.whenAnswered = nil
        whenAnswered?()
        then(result)
    }
}

extension Replica.Durability {
    init(_ durability: TopicConfiguration.Durability) {
        switch durability {
        case .fsync: self = .fsync
        case .pageCache: self = .pageCache
        }
    }
}

extension LogConfiguration {
    init(_ configuration: TopicConfiguration) {
        // A record must have been compacted in time, and the segment that is written to never is.
        let lagMax = configuration.compaction?.lagMax ?? configuration.segmentAge
        self.init(
            segmentBytes: configuration.segmentBytes, segmentAge: min(configuration.segmentAge, lagMax),
            retentionAge: configuration.deletes ? configuration.retentionAge : nil,
            retentionBytes: configuration.deletes ? configuration.retentionBytes : nil,
            indexIntervalBytes: configuration.indexIntervalBytes, isDurable: configuration.durability == .fsync,
            compaction: configuration.compaction
        )
    }
}
