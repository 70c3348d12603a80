import ApusCore
import ApusLog
import ApusReplication
import NIOCore

extension Partition {
    /// What a fetch of this partition comes to.
    enum Found {
        /// Answer with this.
        case now(FetchResult)
        /// Answer with this, with the batches that the disk has.
        case onDisk(FetchResult, LogRead)
    }

    /// - Parameters:
    ///   - limit: bytes; one batch may go over it.
    ///   - window: where what this reader may read begins.
    func read(_ entry: FetchEntry, upTo limit: ByteCount, window: Offset, tail: TailRing) -> Found {
        if let error = self.refusal(of: entry.currentLeaderEpoch) { return .now(FetchResult(error: error)) }
        var result = FetchResult(
            highWatermark: self.highWatermark, lastStableOffset: self.highWatermark,
            logStartOffset: max(self.log.startOffset, window)
        )
        if entry.lastFetchedEpoch != .none, let divergence = self.divergence(from: entry) {
            result.divergingEpoch = divergence
            return .now(result)
        }
        guard entry.offset >= result.logStartOffset, entry.offset <= self.log.endOffset else {
            result.error = .offsetOutOfRange(logStart: result.logStartOffset, logEnd: self.log.endOffset)
            return .now(result)
        }
        guard entry.offset < self.highWatermark, limit > .zero else { return .now(result) }
        if let batches = tail.read(from: entry.offset, below: self.highWatermark, upTo: limit) {
            result.batches = batches
            return .now(result)
        }
        do throws(LogError) {
            if let read = try self.log.read(from: entry.offset, below: self.highWatermark, upTo: limit) {
                return .onDisk(result, read)
            }
            // A failed log serves what is durable; what was readable above that is not known to be there any more.
            if let failure = self.log.failure { result.error = .storage("\(self.id): \(failure)") }
            return .now(result)
        } catch {
            result.error = self.error(error)
            return .now(result)
        }
    }

    /// The read that goes on in the next segment; nil when there is none to be had.
    func readOn(from offset: Offset, upTo limit: ByteCount) -> LogRead? {
        // Whatever is wrong there is told to whoever begins a fetch there.
        (try? self.log.read(from: offset, below: self.highWatermark, upTo: limit)) ?? nil
    }

    /// KIP-595: the client's log is not a prefix of this one when the epoch it has last ends below where it wants to
    /// go on.
    private func divergence(from entry: FetchEntry) -> EpochEnd? {
        guard let end = self.log.epochs.end(of: entry.lastFetchedEpoch, logEnd: self.log.endOffset) else { return nil }
        guard end.epoch < entry.lastFetchedEpoch || end.end < entry.offset else { return nil }
        return EpochEnd(epoch: end.epoch, endOffset: end.end)
    }

    /// KIP-320: a client with older or newer news of the leadership than ours must refresh, or wait.
    func refusal(of epoch: Epoch) -> BrokerError? {
        if epoch == .none || epoch == self.replica.leaderEpoch { return nil }
        return epoch < self.replica.leaderEpoch ? .fencedLeaderEpoch : .unknownLeaderEpoch
    }

    func error(_ error: LogError) -> BrokerError {
        switch error {
        case .outOfRange(let start, let end): .offsetOutOfRange(logStart: start, logEnd: end)
        case .disk, .damaged, .gone, .failed: .storage("\(self.id): \(error)")
        }
    }

    /// What is asked of offsets: known at once, or the disk's to say.
    enum FoundOffset {
        case now(OffsetAnswer)
        case onDisk(LogLookup)
    }

    /// - Parameter window: where what this reader may read begins.
    func offset(
        _ query: OffsetQuery, isolation: IsolationLevel, window: Offset
    ) throws(BrokerError) -> FoundOffset {
        if let refusal = self.refusal(of: query.currentLeaderEpoch) { throw refusal }
        switch query.position {
        case .earliest, .earliestLocal:
            let start = max(self.log.startOffset, window)
            return .now(OffsetAnswer(offset: start, timestamp: .none, leaderEpoch: self.epoch(at: start)))
        case .latest:
            // Without transactions everything below the high watermark is stable.
            let end = self.highWatermark
            return .now(OffsetAnswer(offset: end, timestamp: .none, leaderEpoch: self.replica.leaderEpoch))
        case .latestTiered:
            return .now(.nothing)
        case .largestTimestamp:
            return self.log.lookupLargestTimestamp(below: self.highWatermark).map { .onDisk($0) } ?? .now(.nothing)
        case .time(let timestamp):
            return self.log.lookup(timestamp: timestamp, below: self.highWatermark).map { .onDisk($0) }
                ?? .now(.nothing)
        }
    }

    /// What a read from the disk found out about places and damage.
    mutating func learned(from read: LogRead, _ outcome: Result<LogRead.Result, LogError>) {
        self.log.learned(from: read, outcome)
    }

    func epoch(at offset: Offset) -> Epoch {
        self.log.epochs.epoch(at: offset) ?? .none
    }

    func epochEnd(_ query: EpochQuery) throws(BrokerError) -> EpochEnd {
        if let refusal = self.refusal(of: query.currentLeaderEpoch) { throw refusal }
        if query.leaderEpoch == self.replica.leaderEpoch {
            return EpochEnd(epoch: query.leaderEpoch, endOffset: self.highWatermark)
        }
        guard let end = self.log.epochs.end(of: query.leaderEpoch, logEnd: self.highWatermark) else {
            return EpochEnd(epoch: .none, endOffset: Offset(rawValue: -1))
        }
        return EpochEnd(epoch: end.epoch, endOffset: end.end)
    }

    func producers() -> [ProducerDescription] {
        self.log.producers.sorted.map { producer in
            ProducerDescription(
                producerID: producer.id, producerEpoch: Int32(producer.epoch),
                lastSequence: producer.lastSequence ?? -1, lastTimestamp: producer.lastAppendAt
            )
        }
    }
}
