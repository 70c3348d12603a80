import ApusCore
import KafkaWire
import NIOCore

/// The half of a reader that talks to brokers: one fetch at a time to each leader of its partitions, ahead of the task
/// that reads, as far as the mailbox has room. Owner: the client's event loop; that is the proof behind
/// `@unchecked Sendable`.
final class ReaderEngine: ClusterObserver, @unchecked Sendable {
    let core: ClientCore
    let topic: String
    let topicID: TopicID
    let options: ReaderOptions
    let mailbox: ReaderMailbox
    private let purpose: ClientCore.Purpose
    private let backoff: Backoff
    private var positions: [PartitionIndex: ReaderPosition] = [:]
    /// The order in which partitions are asked for: those that just gave something come last.
    private var order: [PartitionIndex] = []
    private var fetching: Set<BrokerID> = []
    private var sessions: [BrokerID: FetchSession] = [:]
    private var resetting: Set<PartitionIndex> = []
    private var notBefore: [PartitionIndex: Instant] = [:]
    private var failures = 0
    private var missingSince: Instant?
    private var isClosed = false

    init(
        core: ClientCore, topic: TopicDescription, options: ReaderOptions, number: Int, positions: [ReaderPosition],
        mailbox: ReaderMailbox
    ) {
        self.core = core
        self.topic = topic.name
        self.topicID = topic.id
        self.options = options
        self.mailbox = mailbox
        self.purpose = .fetch(number)
        self.backoff = Backoff(
            base: core.configuration.retryBackoff, limit: core.configuration.retryBackoffMax)
        for position in positions {
            self.positions[position.partition] = position
            self.order.append(position.partition)
        }
    }

    func start() {
        self.core.observe(self)
        self.core.tickLater()
        self.pump()
    }

    // MARK: Fetching

    /// Asks every leader that is not being asked, if there is room for the answers.
    func pump() {
        self.core.loop.preconditionInEventLoop()
        guard !self.isClosed else { return }
        guard self.positions.values.contains(where: { !$0.isDone }) else { return self.finish(.success(())) }
        guard self.mailbox.hasRoom else { return }
        let now = self.core.now
        var asked: [BrokerID: [PartitionIndex]] = [:]
        var hasOrphans = false
        var wakeAt: Instant?
        for partition in self.order where self.isWanted(partition) {
            if let until = self.notBefore[partition], until > now {
                wakeAt = min(wakeAt ?? until, until)
            } else if let leader = self.core.metadata.leader(of: self.topic, partition) {
                asked[leader.broker, default: []].append(partition)
            } else {
                hasOrphans = true
            }
        }
        for (broker, partitions) in asked where !self.fetching.contains(broker) { self.fetch(partitions, from: broker) }
        if hasOrphans { self.core.refresh() }
        if let wakeAt { self.core.loop.scheduleTask(deadline: wakeAt.deadline) { self.pump() } }
    }

    private func isWanted(_ partition: PartitionIndex) -> Bool {
        guard let position = self.positions[partition], !self.resetting.contains(partition) else { return false }
        return !position.isDone
    }

    private func fetch(_ partitions: [PartitionIndex], from broker: BrokerID) {
        self.fetching.insert(broker)
        let wait = self.options.fetchWaitMax
        self.core.call(
            self.request(partitions, to: broker), to: .broker(broker), for: self.purpose,
            upTo: self.topicID == .none ? 12 : .max,
            timeout: self.core.configuration.requestTimeout + wait
        ) { result in
            self.fetching.remove(broker)
            guard !self.isClosed else { return }
            switch result {
            case .success(let answer): self.answered(answer, by: broker, asked: partitions)
            case .failure(let error):
                self.sessions[broker]?.lost()
                self.failed(error, partitions)
            }
            self.pump()
        }
    }

    private func request(_ asked: [PartitionIndex], to broker: BrokerID) -> FetchRequest {
        var request = FetchRequest()
        request.maxWaitMs = Int32(clamping: self.options.fetchWaitMax.wholeMilliseconds)
        request.minBytes = Int32(clamping: self.options.fetchBytesMin.rawValue)
        request.maxBytes = Int32(clamping: self.options.fetchBytesMax.rawValue)
        request.isolationLevel = self.options.isolation.level
        var partitions = asked
        if asked.count >= ClientLimits.fetchSessionPartitionsMin || self.sessions[broker] != nil {
            let places = asked.compactMap { index in
                self.positions[index].map { position in
                    (index, FetchSession.Place(offset: position.next, leaderEpoch: self.epoch(of: index)))
                }
            }
            let step = self.sessions[broker, default: FetchSession()].next(places)
            (request.sessionID, request.sessionEpoch, partitions) = (step.id, step.epoch, step.named)
            if !step.forgotten.isEmpty {
                var forgotten = FetchRequest.ForgottenTopic()
                forgotten.topic = self.topic
                forgotten.topicID = WireUUID(high: self.topicID.high, low: self.topicID.low)
                forgotten.partitions = step.forgotten.map(\.rawValue)
                request.forgottenTopicsData = [forgotten]
            }
        }
        guard !partitions.isEmpty else { return request }
        var topic = FetchRequest.Topic()
        topic.topic = self.topic
        topic.topicID = WireUUID(high: self.topicID.high, low: self.topicID.low)
        topic.partitions = partitions.compactMap { index in
            guard let position = self.positions[index] else { return nil }
            var partition = FetchRequest.Partition()
            partition.partition = index.rawValue
            partition.fetchOffset = position.next.rawValue
            partition.currentLeaderEpoch = self.epoch(of: index).rawValue
            partition.partitionMaxBytes = Int32(clamping: self.options.partitionBytesMax.rawValue)
            return partition
        }
        request.topics = [topic]
        return request
    }

    private func epoch(of index: PartitionIndex) -> Epoch {
        self.core.metadata.leader(of: self.topic, index)?.epoch ?? Epoch(rawValue: -1)
    }

    private func failed(_ error: ApusError, _ partitions: [PartitionIndex]) {
        guard error.isRetryable else { return self.finish(.failure(error)) }
        self.failures += 1
        self.core.refresh()
        for partition in partitions { self.delay(partition) }
    }

    private func delay(_ partition: PartitionIndex) {
        let chance = self.core.environment.randomness.next()
        let wait = self.backoff.wait(afterFailures: max(self.failures, 1), chance: chance)
        self.notBefore[partition] = self.core.now.advanced(by: wait)
    }

    // MARK: Answers

    private func answered(
        _ response: BrokerAnswer<FetchResponse>, by broker: BrokerID, asked: [PartitionIndex]
    ) {
        if let code = response.errorCode.failure {
            let error = response.error(code, self.topic, topic: self.topic)
            guard FetchSession.isRefusal(code) else {
                self.sessions[broker]?.lost()
                return self.failed(error, asked)
            }
            self.sessions[broker]?.refused()
            self.failures += 1
            // At once, unless it refuses again and again.
            if self.failures > 1 { for partition in asked { self.delay(partition) } }
            return
        }
        self.sessions[broker]?.answered(response.sessionID)
        var batches: [ReaderBatch] = []
        for partition in response.responses.flatMap(\.partitions) {
            let index = PartitionIndex(rawValue: partition.partitionIndex)
            guard asked.contains(index), !self.isClosed else { continue }
            if let code = partition.errorCode.failure {
                self.sessions[broker]?.doubted(index)
                self.refused(index, response, code)
            } else {
                self.take(partition, index, into: &batches)
            }
        }
        if !self.isClosed { _ = self.mailbox.put(batches) }
    }

    private func take(
        _ answer: FetchResponse.Partition, _ index: PartitionIndex, into batches: inout [ReaderBatch]
    ) {
        guard let records = answer.records?.joined else { return }
        let isCommitted = self.options.isolation == .committed
        let watermark = Offset(rawValue: isCommitted ? answer.lastStableOffset : answer.highWatermark)
        do throws(WireError) {
            let aborted = isCommitted ? answer.abortedTransactions ?? [] : []
            let taken = try self.positions[index]?.received(records, highWatermark: watermark, aborted: aborted)
            for one in taken ?? [] {
                batches.append(
                    ReaderBatch(
                        topic: self.topic, partition: index, highWatermark: watermark, from: one.from,
                        below: one.below, batch: one.batch, verifiesChecksum: self.options.verifiesChecksums,
                        decompressedBytesMax: self.options.decompressedBytesMax.rawValue
                    ))
            }
        } catch {
            _ = self.mailbox.put(batches)
            batches = []
            return self.finish(.failure(ApusError(.corrupt, "\(self.topic)/\(index)", topic: self.topic, cause: error)))
        }
        self.failures = 0
        self.notBefore[index] = nil
        guard records.readableBytes > 0, let place = self.order.firstIndex(of: index) else { return }
        self.order.remove(at: place)
        self.order.append(index)
    }

    private func refused(_ index: PartitionIndex, _ answer: BrokerAnswer<FetchResponse>, _ code: KafkaErrorCode) {
        let position = self.positions[index]?.next ?? .zero
        let error = answer.error(code, "\(self.topic)/\(index) at offset \(position)", topic: self.topic)
        if code == .offsetOutOfRange { return self.reset(index, error) }
        guard code.isRetriable else { return self.finish(.failure(error)) }
        self.failures += 1
        if code.refreshesMetadata { self.core.refresh() }
        self.delay(index)
    }

    private func reset(_ index: PartitionIndex, _ error: ApusError) {
        let question: OffsetQuestion
        switch self.options.whenOutOfRange {
        case .fail: return self.finish(.failure(error))
        case .start: question = .start
        case .end: question = .end
        }
        guard let leader = self.core.metadata.leader(of: self.topic, index) else { return self.delay(index) }
        self.resetting.insert(index)
        let request = OffsetLookup.request(self.topic, [(index, leader.epoch)], question, self.options.isolation)
        self.core.call(request, to: .broker(leader.broker)) { result in
            self.resetting.remove(index)
            guard !self.isClosed else { return }
            let answer = result.map { $0.topics.first?.partitions.first }
            if case .success(let partition?) = answer, partition.errorCode == .none, partition.offset >= 0 {
                self.positions[index]?.reset(to: Offset(rawValue: partition.offset))
            } else {
                self.failures += 1
                self.core.refresh()
                self.delay(index)
            }
            self.pump()
        }
    }

    // MARK: The cluster

    func clusterChanged() {
        guard !self.isClosed else { return }
        if let known = self.core.metadata.topics[self.topic] {
            self.missingSince = nil
            guard known.id == self.topicID else {
                let error = ApusError(
                    .unknownTopic, "\(self.topic) was deleted, and another made under its name", topic: self.topic)
                return self.finish(.failure(error))
            }
        } else {
            let since = self.missingSince ?? self.core.now
            self.missingSince = since
            // A broker that has just started may not know all topics yet.
            guard self.core.now.since(since) < ClientLimits.topicCreationWait else {
                return self.finish(.failure(ApusError(.unknownTopic, "\(self.topic) is gone", topic: self.topic)))
            }
        }
        self.pump()
    }

    func clientClosed(_ error: ApusError) {
        self.finish(.failure(error))
    }

    private func finish(_ result: Result<Void, ApusError>) {
        guard !self.isClosed else { return }
        self.isClosed = true
        self.mailbox.end(result)
        self.core.forget(self)
        self.core.closeLinks(for: self.purpose)
    }

    /// Nobody reads any more.
    func abandon() {
        self.finish(.success(()))
    }
}

extension ReaderOptions.Isolation {
    var level: Int8 {
        switch self {
        case .uncommitted: 0
        case .committed: 1
        }
    }
}
