import ApusCore
import NIOCore

/// What the tasks that send and the event loop that delivers share. Owner: whoever holds the producer's lock.
///
/// Nobody is woken under the lock: functions return who is to be told, and the caller tells them after it.
struct ProducerState: Sendable {
    var accumulator: Accumulator
    var statistics = ProducerStatistics()
    private var ledger = BatchLedger()
    private var flushes: [(horizon: BatchNumber, waiter: Waiter)] = []
    private var roomWaiters: [(deadline: Instant, waiter: Waiter)] = []
    private var firstFailure: ApusError?
    /// Why nothing is taken any more.
    private(set) var closedBy: ApusError?

    init(accumulator: Accumulator) {
        self.accumulator = accumulator
    }

    mutating func append(
        _ record: ProducerRecord, at now: Instant, wall: Timestamp, reply: Reply<DeliveryReceipt>? = nil
    ) throws(ApusError) -> Accumulator.Answer {
        if let closedBy { throw closedBy }
        let answer = try self.accumulator.append(record, at: now, wall: wall, reply: reply)
        if case .taken = answer { self.statistics.recordsSent += 1 }
        return answer
    }

    struct Appended: Sendable {
        /// Records that were taken.
        var count = 0
        /// The event loop has something to do, and was not told yet.
        var wakes = false
        /// Why the next one was not; nil when all were.
        var stop: Result<Accumulator.Answer, ApusError>?
    }

    mutating func append(
        contentsOf records: ArraySlice<ProducerRecord>, at now: Instant, wall: Timestamp
    ) -> Appended {
        var appended = Appended()
        for record in records {
            do throws(ApusError) {
                let answer = try self.append(record, at: now, wall: wall)
                guard case .taken(let wakes) = answer else {
                    appended.stop = .success(answer)
                    return appended
                }
                appended.count += 1
                if wakes { appended.wakes = true }
            } catch {
                appended.stop = .failure(error)
                return appended
            }
        }
        return appended
    }

    /// - Returns: false when there is room already, or never will be: do not wait.
    mutating func waitForRoom(_ waiter: Waiter, until deadline: Instant) -> Bool {
        guard self.closedBy == nil, self.accumulator.bufferedBytes >= self.accumulator.bounds.bufferedBytesMax else {
            return false
        }
        self.roomWaiters.append((deadline, waiter))
        return true
    }

    /// Those who have waited long enough; they look for themselves.
    mutating func expiredRoomWaiters(at now: Instant) -> [Waiter] {
        let expired = self.roomWaiters.filter { $0.deadline <= now }
        self.roomWaiters.removeAll { $0.deadline <= now }
        return expired.map(\.waiter)
    }

    /// - Returns: false when everything that was sent is done: do not wait.
    mutating func waitForFlush(_ waiter: Waiter) -> Bool {
        let horizon = self.accumulator.horizon
        guard !self.ledger.isComplete(below: horizon) else { return false }
        self.flushes.append((horizon, waiter))
        return true
    }

    mutating func takeFailure() -> ApusError? { self.firstFailure.take() }

    /// A batch was too large for its topic, and is sent in two: those that are filled from now on are smaller.
    mutating func split(_ batch: ProduceBatch, at now: Instant) {
        self.ledger.split(batch.number)
        self.accumulator.shrink(batch.lane, batchBytesMax: batch.bufferedBytes / 2, at: now)
    }

    /// A batch is done with.
    /// - Returns: who is to be woken.
    mutating func completed(_ batch: FinishedBatch) -> [Waiter] {
        self.accumulator.release(byteCount: batch.bufferedBytes)
        switch batch.outcome {
        case .success:
            self.statistics.recordsDelivered += batch.recordCount
            self.statistics.bytesDelivered += batch.payloadBytes
        case .failure(let error):
            self.statistics.recordsFailed += batch.recordCount
            // Who waits for a record hears of its failure; the others of a batch hear at the next flush.
            if batch.waiters.count < batch.recordCount, self.firstFailure == nil { self.firstFailure = error }
        }
        var woken: [Waiter] = []
        if self.accumulator.bufferedBytes < self.accumulator.bounds.bufferedBytesMax {
            woken = self.roomWaiters.map(\.waiter)
            self.roomWaiters = []
        }
        if self.ledger.completed(batch.number) {
            woken += self.flushes.filter { self.ledger.isComplete(below: $0.horizon) }.map(\.waiter)
            self.flushes.removeAll { self.ledger.isComplete(below: $0.horizon) }
        }
        return woken
    }

    /// Takes nothing from now on.
    mutating func close(_ error: ApusError) -> (batches: [OpenBatch], waiters: [Waiter]) {
        if self.closedBy == nil { self.closedBy = error }
        let waiters = self.roomWaiters.map(\.waiter)
        self.roomWaiters = []
        return (self.accumulator.drain(), waiters)
    }

    var isIdle: Bool { self.accumulator.bufferedBytes == 0 && self.roomWaiters.isEmpty }
}

/// A batch that was delivered or given up.
struct FinishedBatch: Sendable {
    let number: BatchNumber
    let lane: LaneID
    let openedAt: Instant
    let recordCount: Int
    let payloadBytes: Int
    let bufferedBytes: Int
    /// Bytes that were sent.
    let sentBytes: Int
    let waiters: [RecordWaiter]
    /// The first record's offset and the broker's timestamp, `.none` when the records keep theirs.
    let outcome: Result<(offset: Offset?, timestamp: Timestamp), ApusError>

    init(_ batch: ProduceBatch, _ outcome: Result<(offset: Offset?, timestamp: Timestamp), ApusError>) {
        self.number = batch.number
        self.lane = batch.lane
        self.openedAt = batch.openedAt
        self.recordCount = batch.recordCount
        self.payloadBytes = batch.payloadBytes
        self.bufferedBytes = batch.bufferedBytes
        self.sentBytes = batch.bytes.readableBytes
        self.waiters = batch.waiters
        self.outcome = outcome
    }

    /// It was never sent.
    init(_ batch: OpenBatch, failed error: ApusError) {
        self.number = batch.number
        self.lane = batch.lane
        self.openedAt = batch.openedAt
        self.recordCount = batch.recordCount
        self.payloadBytes = batch.payloadBytes
        self.bufferedBytes = batch.byteCount
        self.sentBytes = 0
        self.waiters = batch.waiters
        self.outcome = .failure(error)
    }

    /// Tells those who wait for its records.
    func tellWaiters(topic: String, partition: PartitionIndex) {
        for waiter in self.waiters {
            switch self.outcome {
            case .failure(let error): waiter.reply.answer(Result<DeliveryReceipt, ApusError>.failure(error))
            case .success(let (offset, timestamp)):
                let receipt = DeliveryReceipt(
                    topic: topic, partition: partition, offset: offset?.advanced(by: Int64(waiter.index)),
                    timestamp: timestamp == .none ? waiter.timestamp : timestamp
                )
                waiter.reply.answer(Result<DeliveryReceipt, ApusError>.success(receipt))
            }
        }
    }
}
