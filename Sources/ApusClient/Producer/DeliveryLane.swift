import ApusCore
import DequeModule
import KafkaWire
import NIOCore

/// One partition's batches from the moment they are taken to be sent until they are delivered or given up: what is on
/// its way, what must be sent again, and in which sequence. Owner: the producer's event loop.
///
/// The rules of an idempotent producer (KIP-98, KIP-360):
///
/// - A batch keeps its sequence through every retry. The broker knows the last five, so an attempt that was written and
///   not answered is answered like a new one and not written twice. Hence none leaves before the one five places ahead
///   of it is done with: not even when others between them are.
/// - After a failure nothing new leaves, and nothing is repeated, until all that is on its way is answered. Then all
///   that failed is sent again, in order: a batch behind a failed one was refused for its sequence (OUT_OF_ORDER) or
///   lost.
/// - A batch that is too large for the topic was not written. Its two halves take its place and its sequences, so that
///   what stands behind it keeps its own (KIP-126). Should an attempt before have been written all the same, the broker
///   refuses the sequence of a half; that half is then given up as one that may be written, never sent anew.
/// - When a batch is given up, or the first in line is refused for its sequence, the sequence is broken. What waits
///   then gets new sequences from 0 in the next epoch. This repeats nothing: the first in line was definitely not
///   written, so nothing behind it was either; and what an old attempt still carries is fenced by the new epoch.
/// - A batch whose time is over is given up at once, also on its way: then it may be written, and what its answer says
///   later changes nothing. What stands behind it goes on as if it had been refused.
/// - Until the broker confirmed one batch it knows no sequence and takes any. So the first goes alone; else the second
///   could be written while the first is refused for another reason, and the order were lost.
struct DeliveryLane: Sendable {
    enum Outcome: Sendable {
        /// It is in the log.
        case written(Offset?, Timestamp)
        case refused(KafkaErrorCode, ApusError)
        /// There will be no answer. It may have been written, if the error is indefinite.
        case lost(ApusError)
    }

    /// What became of batches that are done with.
    enum Verdict: Sendable {
        case delivered(ProduceBatch, Offset?, Timestamp)
        case failed(ProduceBatch, ApusError)
        /// It was too large; its halves wait to be sent.
        case split(ProduceBatch)
    }

    let topic: String
    let partition: PartitionIndex
    private let isIdempotent: Bool
    private let inFlightMax: Int
    private let deliveryTimeout: Duration

    private var inFlight: Deque<ProduceBatch> = []
    /// On their way and given up: their answers come to nobody.
    private var abandoned: Set<BatchPlace> = []
    /// To be sent again before anything new; in the order of their sequences.
    private var waiting: Deque<ProduceBatch> = []
    private var identity: ProducerIdentity?
    private var sequenceNext: Int32 = 0
    /// Batches that were given a place in this epoch.
    private var ordinalNext = 0
    /// The broker has confirmed a batch of this identity.
    private var isConfirmed = false
    /// A batch with a sequence was given up: what comes next can not go on in this epoch.
    private var hasGap = false
    /// The first in line was refused for its sequence: those that wait need new ones.
    private var isOutOfOrder = false
    /// What is on its way was sent after the last failure.
    private var isResending = false
    private var notBefore = Instant(nanoseconds: 0)
    /// Rounds that failed in a row.
    private(set) var failures = 0
    private var lastFailure: ApusError?

    init(
        topic: String, partition: PartitionIndex, isIdempotent: Bool, inFlightMax: Int, deliveryTimeout: Duration
    ) {
        precondition((1...5).contains(inFlightMax))
        self.topic = topic
        self.partition = partition
        self.isIdempotent = isIdempotent
        self.inFlightMax = inFlightMax
        self.deliveryTimeout = deliveryTimeout
    }

    var isIdle: Bool { self.inFlight.isEmpty && self.waiting.isEmpty }
    var inFlightCount: Int { self.inFlight.count }
    var waitingCount: Int { self.waiting.count }

    // MARK: What may leave

    /// How many new batches may leave now.
    func room(at now: Instant, as identity: ProducerIdentity?) -> Int {
        guard self.waiting.isEmpty, now >= self.notBefore, !self.isOutOfEpochs(of: identity) else { return 0 }
        if self.hasGap, !self.inFlight.isEmpty { return 0 }
        guard self.isIdempotent else { return max(0, self.inFlightMax - self.inFlight.count) }
        let limit = self.isConfirmed && !self.hasGap ? self.inFlightMax : 1
        let oldest = self.inFlight.lazy.map(\.ordinal).min() ?? self.ordinalNext
        return max(0, limit - (self.ordinalNext - oldest))
    }

    /// When something that waits may be sent again; nil when nothing waits, or answers are awaited first.
    var retryAt: Instant? {
        self.waiting.isEmpty || !self.isSettled ? nil : self.notBefore
    }

    /// No attempt from before the failure is on its way. (Those on their way while others wait were sent after it.)
    private var isSettled: Bool { self.inFlight.isEmpty || self.isResending }

    /// A new batch leaves.
    /// - Parameter identity: the producer's, when idempotent.
    mutating func send(_ batch: consuming ProduceBatch, as identity: ProducerIdentity?) -> ProduceBatch {
        precondition(self.waiting.isEmpty && self.inFlight.count < self.inFlightMax)
        var batch = batch
        if self.isIdempotent {
            guard let identity else { preconditionFailure("an idempotent producer sends without its identity") }
            if self.inFlight.isEmpty { self.adopt(identity) }
            guard let identity = self.identity else { preconditionFailure("a lane without what it just adopted") }
            self.place(&batch, identity)
        }
        batch.attempts += 1
        self.inFlight.append(batch)
        return batch
    }

    /// The next batch to be sent again, if it may leave now.
    mutating func resend(at now: Instant, as identity: ProducerIdentity?) -> ProduceBatch? {
        guard self.isSettled, now >= self.notBefore, !self.isOutOfEpochs(of: identity) else { return nil }
        let limit = self.isIdempotent && !self.isConfirmed ? 1 : self.inFlightMax
        guard self.inFlight.count < limit else { return nil }
        if self.isIdempotent, self.isOutOfOrder, self.inFlight.isEmpty, let identity {
            self.hasGap = true
            self.adopt(identity)
            self.renumber()
        }
        // The broker knows the last five again: see above.
        let oldest = self.inFlight.lazy.map(\.ordinal).min()
        if self.isIdempotent, let oldest, let first = self.waiting.first, first.ordinal - oldest >= self.inFlightMax {
            return nil
        }
        guard var batch = self.waiting.popFirst() else { return nil }
        batch.attempts += 1
        self.isResending = true
        self.inFlight.append(batch)
        return batch
    }

    /// Takes a new producer id, or the next epoch after a gap. Only when nothing is on its way.
    private mutating func adopt(_ identity: ProducerIdentity) {
        guard let current = self.identity, current.id == identity.id else {
            // Batches that wait keep the old id's sequences unless they are numbered anew, so a new id waits for them.
            guard self.waiting.isEmpty || self.isOutOfOrder else { return }
            self.start(identity)
            return
        }
        guard self.hasGap, current.epoch < Int16.max else { return }
        self.start(ProducerIdentity(id: current.id, epoch: current.epoch + 1))
    }

    private mutating func start(_ identity: ProducerIdentity) {
        self.identity = identity
        self.sequenceNext = 0
        self.ordinalNext = 0
        self.isConfirmed = false
        self.hasGap = false
        self.isOutOfOrder = false
    }

    private mutating func renumber() {
        guard let identity = self.identity else { return }
        var waiting = self.waiting
        self.waiting = []
        for index in waiting.indices { self.place(&waiting[index], identity) }
        self.waiting = waiting
    }

    private mutating func place(_ batch: inout ProduceBatch, _ identity: ProducerIdentity) {
        batch.sign(identity, sequence: self.sequenceNext, ordinal: self.ordinalNext)
        self.sequenceNext = ProduceBatch.sequence(self.sequenceNext, after: batch.recordCount)
        self.ordinalNext += 1
    }

    /// The lane needs another epoch and there is none: the producer must ask for another id.
    func isOutOfEpochs(of identity: ProducerIdentity?) -> Bool {
        guard self.hasGap || self.isOutOfOrder, let current = self.identity else { return false }
        return current.epoch == Int16.max && current.id == identity?.id
    }

    // MARK: What came back

    /// - Parameter wait: before a retry, when this is a failure of its own.
    mutating func answered(
        _ place: BatchPlace, _ outcome: Outcome, at now: Instant, wait: Duration
    ) -> Verdict? {
        guard let index = self.inFlight.firstIndex(where: { $0.place == place }) else {
            if self.abandoned.remove(place) != nil { return nil }
            preconditionFailure("an answer for a batch that is not on its way")
        }
        var batch = self.inFlight.remove(at: index)
        if self.inFlight.isEmpty { self.isResending = false }
        let isFirst = index == 0 && (self.waiting.first.map { $0.place > batch.place } ?? true)
        switch outcome {
        case .written(let offset, let timestamp):
            return self.delivered(batch, offset, timestamp)
        case .refused(.duplicateSequenceNumber, _):
            return self.delivered(batch, nil, .none)
        case .refused(let code, let error):
            if self.isIdempotent, Self.breaksSequence(code) {
                if isFirst, batch.isDoubtful { return self.failed(batch, error) }
                if isFirst { self.isOutOfOrder = true }
                batch.mayBeWritten = batch.isDoubtful
                return self.retry(batch, error, at: now, wait: isFirst ? wait : .zero)
            }
            if code.isTooLarge {
                return self.split(batch, at: now) ?? self.failed(batch, self.tooLarge(batch, error))
            }
            if code.isIndefinite { batch.mayBeWritten = true }
            return code.isRetriable ? self.retry(batch, error, at: now, wait: wait) : self.failed(batch, error)
        case .lost(let error):
            if error.isIndefinite { batch.mayBeWritten = true }
            return self.retry(batch, error, at: now, wait: wait)
        }
    }

    private var subject: String { "\(self.topic)/\(self.partition)" }

    private static func breaksSequence(_ code: KafkaErrorCode) -> Bool {
        code == .outOfOrderSequenceNumber || code == .unknownProducerID || code == .invalidProducerEpoch
    }

    private mutating func delivered(_ batch: ProduceBatch, _ offset: Offset?, _ timestamp: Timestamp) -> Verdict {
        self.isConfirmed = true
        self.failures = 0
        return .delivered(batch, offset, timestamp)
    }

    /// nil when it can not be, or its time is over.
    private mutating func split(_ batch: ProduceBatch, at now: Instant) -> Verdict? {
        guard now < batch.openedAt.advanced(by: self.deliveryTimeout),
            let (first, second) = batch.split()
        else { return nil }
        if batch.sequence >= 0 {
            for index in self.inFlight.indices where self.inFlight[index].ordinal > batch.ordinal {
                self.inFlight[index].moveBack()
            }
            for index in self.waiting.indices where self.waiting[index].ordinal > batch.ordinal {
                self.waiting[index].moveBack()
            }
            self.ordinalNext += 1
        }
        self.wait(first)
        self.wait(second)
        return .split(batch)
    }

    private func tooLarge(_ batch: ProduceBatch, _ error: ApusError) -> ApusError {
        var error = error
        let said = error.message == self.subject ? "" : " (\(error.message.dropFirst(self.subject.count + 2)))"
        let what =
            batch.recordCount == 1
            ? "a record of \(batch.payloadBytes) bytes" : "a batch of \(batch.recordCount) records"
        error.message =
            "\(self.subject): \(what), \(batch.bytes.readableBytes) as sent, is over the topic's max.message.bytes"
            + "\(said); raise it, or send less"
        return error
    }

    private mutating func failed(_ batch: ProduceBatch, _ error: ApusError) -> Verdict {
        if batch.sequence >= 0 { self.hasGap = true }
        var error = error
        error.isIndefinite = batch.mayBeWritten
        return .failed(batch, error)
    }

    private mutating func retry(
        _ batch: ProduceBatch, _ error: ApusError, at now: Instant, wait: Duration
    ) -> Verdict? {
        guard now < batch.openedAt.advanced(by: self.deliveryTimeout) else { return self.gaveUp(batch, error) }
        self.wait(batch)
        self.lastFailure = error
        if self.waiting.count == 1 { self.failures += 1 }
        self.notBefore = max(self.notBefore, now.advanced(by: wait))
        return nil
    }

    /// In its place among what is sent again.
    private mutating func wait(_ batch: ProduceBatch) {
        let index = self.waiting.firstIndex { $0.place > batch.place } ?? self.waiting.endIndex
        self.waiting.insert(batch, at: index)
        // What is still on its way was sent beside this one: it must come back before anything leaves again.
        self.isResending = false
    }

    private mutating func gaveUp(_ batch: ProduceBatch, _ error: ApusError) -> Verdict {
        let words = "\(self.subject): not delivered within \(self.deliveryTimeout), \(batch.attempts) attempts"
        return self.failed(
            batch,
            ApusError(
                .timedOut, words, isRetryable: true, kafkaCode: error.kafkaCode, broker: error.broker,
                brokerID: error.brokerID, topic: self.topic, cause: error
            )
        )
    }

    /// Gives up what was not delivered in time, wherever it is.
    mutating func expire(at now: Instant) -> [Verdict] {
        var verdicts: [Verdict] = []
        while let index = self.inFlight.firstIndex(where: { now >= $0.openedAt.advanced(by: self.deliveryTimeout) }) {
            var batch = self.inFlight.remove(at: index)
            if self.inFlight.isEmpty { self.isResending = false }
            self.abandoned.insert(batch.place)
            batch.mayBeWritten = true
            let error = ApusError(.timedOut, "\(self.subject): no answer yet", isRetryable: true, isIndefinite: true)
            verdicts.append(self.gaveUp(batch, self.lastFailure ?? error))
        }
        while let first = self.waiting.first, now >= first.openedAt.advanced(by: self.deliveryTimeout) {
            self.waiting.removeFirst()
            let error = self.lastFailure ?? ApusError(.unreachable, self.subject, isRetryable: true)
            verdicts.append(self.gaveUp(first, error))
        }
        return verdicts
    }

    /// Everything that is not done with: the producer is closed.
    mutating func drain() -> [ProduceBatch] {
        for index in self.inFlight.indices { self.inFlight[index].mayBeWritten = true }
        let all = Array(self.waiting) + Array(self.inFlight)
        self.waiting = []
        self.inFlight = []
        return all.sorted { $0.place < $1.place }
    }
}
