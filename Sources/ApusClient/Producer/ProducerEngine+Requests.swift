import ApusCore
import KafkaWire
import NIOCore
import Synchronization

/// From batches that are ready to requests, and from answers back to the lanes.
extension ProducerEngine {
    /// Sends all that may be sent now.
    func pump() {
        self.core.loop.preconditionInEventLoop()
        guard !self.isClosed else { return }
        if self.isIdempotent, self.identity == nil || self.needsNewIdentity {
            self.askIdentity()
            if self.identity == nil { return self.tickLater() }
        }
        let now = self.now
        var lingersUntil: Instant?
        for broker in Set(self.leaders.compactMap { $0 }).sorted() {
            guard let connection = self.readyConnection(to: broker, at: now) else { continue }
            while self.brokers[broker, default: Broker()].inFlight < self.options.requestsInFlightMax {
                let (batches, until) = self.collect(for: broker, at: now)
                if let until { lingersUntil = min(lingersUntil ?? until, until) }
                guard !batches.isEmpty else { break }
                self.send(batches, to: broker, over: connection)
            }
            connection.flush()
        }
        if self.hasOrphans { self.core.refresh() }
        for lane in self.retrying {
            if let at = self.lanes[lane.index].retryAt, at > now { lingersUntil = min(lingersUntil ?? at, at) }
        }
        if let lingersUntil { self.wake(at: max(lingersUntil, now)) }
        if !self.state.withLock({ $0.isIdle }) { self.tickLater() }
    }

    /// Some lane that holds batches has no leader.
    private var hasOrphans: Bool {
        self.leaders.contains { $0 == nil }
    }

    private func readyConnection(to broker: BrokerID, at now: Instant) -> BrokerConnection? {
        let known = self.brokers[broker, default: Broker()]
        guard now >= known.notBefore else {
            self.wake(at: known.notBefore)
            return nil
        }
        guard let link = self.core.link(to: .broker(broker), for: .produce) else {
            self.core.refresh()
            return nil
        }
        if let connection = link.connection { return connection }
        guard !known.isConnecting, self.hasWork(for: broker) else { return nil }
        guard now >= link.retryAt else {
            self.wake(at: link.retryAt)
            return nil
        }
        self.brokers[broker, default: Broker()].isConnecting = true
        link.whenReady { result in
            self.brokers[broker]?.isConnecting = false
            guard !self.isClosed else { return }
            switch result {
            case .success: self.pump()
            case .failure:
                self.core.refresh()
                self.wake(at: link.retryAt)
            }
        }
        return link.connection
    }

    private func hasWork(for broker: BrokerID) -> Bool {
        if self.retrying.contains(where: { self.leaders[$0.index] == broker }) { return true }
        return self.state.withLock { !$0.accumulator.isEmpty }
    }

    /// One batch of each lane that this broker leads, what failed before what is new.
    private func collect(for broker: BrokerID, at now: Instant) -> (batches: [ProduceBatch], lingersUntil: Instant?) {
        var batches: [ProduceBatch] = []
        var bytes = 0
        for lane in self.retrying where self.leaders[lane.index] == broker {
            guard bytes < ClientLimits.produceRequestBytesMax.rawValue else { break }
            guard let batch = self.lanes[lane.index].resend(at: now, as: self.identity) else { continue }
            bytes += batch.bytes.readableBytes
            batches.append(batch)
            if self.lanes[lane.index].waitingCount == 0 { self.retrying.remove(lane) }
            self.state.withLock { $0.statistics.retries += 1 }
        }
        let room = ClientLimits.produceRequestBytesMax.rawValue - bytes
        guard room > 0 else { return (batches, nil) }
        let resent = Set(batches.map(\.lane))
        let collected = self.state.withLock { state in
            state.accumulator.collect(at: now, bytesMax: room, isFirst: batches.isEmpty) { lane in
                self.leaders[lane.index] == broker && !resent.contains(lane)
                    && self.lanes[lane.index].room(at: now, as: self.identity) > 0
            }
        }
        for batch in collected.batches {
            let lane = batch.lane
            batches.append(self.lanes[lane.index].send(ProduceBatch(batch), as: self.identity))
        }
        return (batches, collected.lingersUntil)
    }

    private func send(_ batches: [ProduceBatch], to broker: BrokerID, over connection: BrokerConnection) {
        self.brokers[broker, default: Broker()].inFlight += 1
        let (request, limit) = self.request(batches)
        guard self.options.acknowledgment != .none else {
            connection.post(request, upTo: limit) { result in
                self.posted(batches, to: broker, result)
            }
            return
        }
        let deadline = self.now.advanced(by: self.options.requestTimeout)
            .advanced(by: self.core.configuration.requestTimeout)
        connection.send(request, upTo: limit, deadline: deadline) { result in
            self.answered(batches, by: broker, at: connection.peer, result)
        }
    }

    private func request(_ batches: [ProduceBatch]) -> (request: ProduceRequest, upTo: Int16) {
        var request = ProduceRequest()
        request.acks = self.options.acknowledgment.acks
        request.timeoutMs = Int32(clamping: self.options.requestTimeout.wholeMilliseconds)
        var limit = Int16.max
        var places: [String: Int] = [:]
        for batch in batches {
            let lane = self.lanes[batch.lane.index]
            let place = places[lane.topic] ?? request.topicData.count
            if place == request.topicData.count {
                places[lane.topic] = place
                var topic = ProduceRequest.TopicData()
                topic.name = lane.topic
                let id = self.core.metadata.topics[lane.topic]?.id ?? .none
                topic.topicID = WireUUID(high: id.high, low: id.low)
                // Version 13 names topics by their ids only.
                if id == .none { limit = 12 }
                request.topicData.append(topic)
            }
            var partition = ProduceRequest.PartitionData()
            partition.index = lane.partition.rawValue
            partition.records = WireRecords(batch.bytes)
            request.topicData[place].partitionData.append(partition)
        }
        return (request, limit)
    }

    // MARK: Answers

    private func posted(_ batches: [ProduceBatch], to broker: BrokerID, _ result: Result<Void, ApusError>) {
        self.brokers[broker]?.inFlight -= 1
        guard !self.isClosed else { return }
        for batch in batches {
            switch result {
            case .success: self.settle(batch, .written(nil, .none))
            case .failure(let error): self.settle(batch, .lost(error))
            }
        }
        self.pump()
    }

    private func answered(
        _ batches: [ProduceBatch], by broker: BrokerID, at peer: BrokerPeer,
        _ result: Result<ProduceResponse, ApusError>
    ) {
        self.brokers[broker]?.inFlight -= 1
        guard !self.isClosed else { return }
        switch result {
        case .failure(let error):
            self.core.refresh()
            for batch in batches { self.settle(batch, .lost(error)) }
        case .success(let response):
            if response.throttleTimeMs > 0 {
                let pause = Duration.milliseconds(Int64(response.throttleTimeMs))
                self.brokers[broker]?.notBefore = self.now.advanced(by: pause)
            }
            let answers = PartitionAnswers(response, ids: self.core.metadata)
            for batch in batches {
                let lane = self.lanes[batch.lane.index]
                self.settle(batch, answers.outcome(lane.topic, lane.partition, from: peer))
            }
        }
        self.pump()
    }

    private func settle(_ batch: ProduceBatch, _ outcome: DeliveryLane.Outcome) {
        if case .refused(let code, _) = outcome, code.refreshesMetadata { self.core.refresh() }
        let failures = self.lanes[batch.lane.index].failures + 1
        let wait = self.backoff.wait(afterFailures: failures, chance: self.core.environment.randomness.next())
        let verdict = self.lanes[batch.lane.index].answered(batch.place, outcome, at: self.now, wait: wait)
        if self.lanes[batch.lane.index].waitingCount > 0 { self.retrying.insert(batch.lane) }
        if let verdict { self.finish(verdict) }
    }

    // MARK: The producer's id

    private var needsNewIdentity: Bool {
        self.retrying.contains { self.lanes[$0.index].isOutOfEpochs(of: self.identity) }
    }

    private func askIdentity() {
        guard !self.isAskingIdentity else { return }
        self.isAskingIdentity = true
        var request = InitProducerIdRequest()
        request.transactionalID = nil
        request.transactionTimeoutMs = .max
        self.core.call(request, to: .any) { result in
            self.isAskingIdentity = false
            guard !self.isClosed else { return }
            if case .success(let response) = result, response.errorCode == .none {
                self.identity = ProducerIdentity(id: response.producerID, epoch: response.producerEpoch)
                return self.pump()
            }
            if case .success(let response) = result, !response.errorCode.isRetriable {
                return self.close(response.error(response.errorCode, "the producer got no id"))
            }
            if case .failure(let error) = result, error.code == .unsupported { return self.close(error) }
            self.core.refresh()
            self.wake(at: self.now.advanced(by: self.backoff.limit))
        }
    }
}

/// The parts of an answer, by topic and partition.
private struct PartitionAnswers {
    private struct Key: Hashable {
        var topic: String
        var partition: Int32
    }

    private var answers: [Key: ProduceResponse.Partition] = [:]

    init(_ response: ProduceResponse, ids metadata: MetadataCache) {
        for topic in response.responses {
            let name = topic.name.isEmpty ? metadata.name(of: topic.topicID) : topic.name
            guard let name else { continue }
            for partition in topic.partitionResponses {
                self.answers[Key(topic: name, partition: partition.index)] = partition
            }
        }
    }

    func outcome(_ topic: String, _ partition: PartitionIndex, from peer: BrokerPeer) -> DeliveryLane.Outcome {
        guard let answer = self.answers[Key(topic: topic, partition: partition.rawValue)] else {
            return .lost(
                ApusError(
                    .corrupt, "no answer for \(topic)/\(partition)", isIndefinite: true, broker: "\(peer.address)",
                    brokerID: peer.id, topic: topic))
        }
        if let code = answer.errorCode.failure {
            let message = answer.errorMessage ?? answer.recordErrors.first?.batchIndexErrorMessage
            return .refused(code, code.error("\(topic)/\(partition)", topic: topic, message: message, from: peer))
        }
        let offset = answer.baseOffset >= 0 ? Offset(rawValue: answer.baseOffset) : nil
        return .written(offset, Timestamp(rawValue: answer.logAppendTimeMs))
    }
}

extension ProducerOptions.Acknowledgment {
    var acks: Int16 {
        switch self {
        case .none: 0
        case .leader: 1
        case .all: -1
        }
    }
}
