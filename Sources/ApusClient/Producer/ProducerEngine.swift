import ApusCore
import KafkaWire
import NIOCore
import Synchronization

/// The half of a producer that talks to brokers: collects what is ready, makes requests of it, and hears the answers.
///
/// It decides little: what may leave and what an answer means is the lanes' (``DeliveryLane``), what is ready is the
/// accumulator's. Owner: the client's event loop; that is the proof behind `@unchecked Sendable`. Only `state` is
/// shared with other threads, and has a lock.
final class ProducerEngine: ClusterObserver, @unchecked Sendable {
    struct Broker {
        var inFlight = 0
        /// It asked for a pause (KIP-219).
        var notBefore = Instant(nanoseconds: 0)
        var isConnecting = false
    }

    let core: ClientCore
    let options: ProducerOptions
    let isIdempotent: Bool
    let state: Mutex<ProducerState>
    let backoff: Backoff
    var lanes: [DeliveryLane] = []
    /// The brokers that lead the lanes, as known last.
    var leaders: [BrokerID?] = []
    /// Lanes with something to be sent again.
    var retrying: Set<LaneID> = []
    var brokers: [BrokerID: Broker] = [:]
    var identity: ProducerIdentity?
    var isAskingIdentity = false
    private var topics: [String: [LaneID]] = [:]
    private var wakeAt: Instant?
    private var isTicking = false
    private(set) var isClosed = false

    init(core: ClientCore, options: ProducerOptions) {
        self.core = core
        self.options = options
        self.isIdempotent = options.isIdempotent ?? (options.acknowledgment == .all)
        self.backoff = Backoff(
            base: core.configuration.retryBackoff, limit: core.configuration.retryBackoffMax)
        let bounds = Accumulator.Bounds(
            batchBytesMax: options.batchBytesMax.rawValue,
            recordBytesMax: ClientLimits.recordBytesMax.rawValue,
            bufferedBytesMax: options.bufferedBytesMax.rawValue, linger: options.linger,
            codec: options.compression.codec
        )
        let accumulator = Accumulator(
            bounds: bounds, topicDefault: options.topic, partitioner: options.partitioner,
            seed: core.environment.randomness.next()
        )
        self.state = Mutex(ProducerState(accumulator: accumulator))
    }

    var now: Instant { self.core.now }

    func start() {
        self.core.observe(self)
        self.core.tickLater()
    }

    // MARK: Topics

    /// Makes room for a topic's partitions, once they are known.
    func learn(_ topic: String, by deadline: Instant, then: @escaping (Result<Void, ApusError>) -> Void) {
        self.core.learn([topic], by: deadline) { result in
            if case .success = result { self.take(topic) }
            then(result)
        }
    }

    private func take(_ topic: String) {
        guard let description = self.core.metadata.topics[topic], !self.isClosed else { return }
        let count = description.partitions.count
        if self.topics[topic]?.count != count {
            let added = self.state.withLock { $0.accumulator.learned(topic, partitions: count) }
            for lane in added {
                precondition(lane.index == self.lanes.count)
                let partition = PartitionIndex(rawValue: Int32(self.topics[topic, default: []].count))
                self.lanes.append(
                    DeliveryLane(
                        topic: topic, partition: partition, isIdempotent: self.isIdempotent,
                        inFlightMax: self.options.requestsInFlightMax, deliveryTimeout: self.options.deliveryTimeout
                    ))
                self.leaders.append(nil)
                self.topics[topic, default: []].append(lane)
            }
        }
        for lane in self.topics[topic, default: []] {
            let partition = self.lanes[lane.index].partition
            self.leaders[lane.index] = self.core.metadata.leader(of: topic, partition)?.broker
        }
    }

    func clusterChanged() {
        for topic in self.topics.keys { self.take(topic) }
        self.pump()
    }

    // MARK: Waking

    /// Runs ``pump()`` at that time.
    func wake(at moment: Instant) {
        if let wakeAt, wakeAt <= moment { return }
        self.wakeAt = moment
        self.core.loop.scheduleTask(deadline: moment.deadline) {
            guard self.wakeAt == moment else { return }
            self.wakeAt = nil
            self.pump()
        }
    }

    /// Looks at deadlines while anything is held.
    func tickLater() {
        guard !self.isTicking, !self.isClosed else { return }
        self.isTicking = true
        self.core.loop.scheduleTask(in: .milliseconds(200)) {
            self.isTicking = false
            guard !self.isClosed else { return }
            self.expire()
            self.pump()
        }
    }

    private func expire() {
        let now = self.now
        for index in self.lanes.indices where !self.lanes[index].isIdle {
            for verdict in self.lanes[index].expire(at: now) { self.finish(verdict) }
        }
        let timeout = self.options.deliveryTimeout
        let (batches, waiters) = self.state.withLock { state in
            let since = Instant(
                nanoseconds: now.nanoseconds - min(now.nanoseconds, UInt64(clamping: timeout.wholeNanoseconds)))
            return (state.accumulator.expire(openedBefore: since), state.expiredRoomWaiters(at: now))
        }
        for waiter in waiters { waiter.wake() }
        for batch in batches {
            let lane = self.lanes[batch.lane.index]
            let error = ApusError(
                .timedOut, "\(lane.topic)/\(lane.partition): not sent within \(timeout)", isRetryable: true,
                topic: lane.topic, cause: self.core.lastMetadataError
            )
            self.finish(FinishedBatch(batch, failed: error))
        }
    }

    // MARK: Finishing

    func finish(_ verdict: DeliveryLane.Verdict) {
        switch verdict {
        case .delivered(let batch, let offset, let timestamp):
            self.finish(FinishedBatch(batch, .success((offset, timestamp))))
        case .failed(let batch, let error):
            self.finish(FinishedBatch(batch, .failure(error)))
        case .split(let batch):
            let now = self.now
            self.state.withLock { $0.split(batch, at: now) }
        }
    }

    private func finish(_ batch: FinishedBatch) {
        let waiters = self.state.withLock { $0.completed(batch) }
        let lane = self.lanes[batch.lane.index]
        batch.tellWaiters(topic: lane.topic, partition: lane.partition)
        for waiter in waiters { waiter.wake() }
        self.options.onDelivery?(
            Delivery(
                topic: lane.topic, partition: lane.partition, recordCount: batch.recordCount,
                byteCount: .bytes(batch.sentBytes), age: self.now.since(batch.openedAt),
                outcome: batch.outcome.map(\.offset)
            ))
    }

    // MARK: The end

    func clientClosed(_ error: ApusError) {
        self.close(error)
    }

    /// Gives up everything that is not delivered.
    func close(_ error: ApusError) {
        guard !self.isClosed else { return }
        self.isClosed = true
        self.core.forget(self)
        let (batches, waiters) = self.state.withLock { $0.close(error) }
        for waiter in waiters { waiter.wake() }
        for batch in batches { self.finish(FinishedBatch(batch, failed: error)) }
        for index in self.lanes.indices {
            for batch in self.lanes[index].drain() {
                var error = error
                error.isIndefinite = batch.mayBeWritten
                self.finish(FinishedBatch(batch, .failure(error)))
            }
        }
    }
}

extension Compression {
    var codec: CompressionCodec {
        switch self {
        case .none: .none
        case .gzip: .gzip
        case .snappy: .snappy
        case .lz4: .lz4
        case .zstd: .zstd
        }
    }
}
