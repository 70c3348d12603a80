import ApusBroker
import ApusCore
import DequeModule
import KafkaWire
import NIOCore

/// What a lane needs of the desk: the way to its broker, and what is known here. On the client's loop.
protocol LaneHost: AnyObject {
    var loop: any EventLoop { get }
    var now: Instant { get }

    /// - Parameter wait: how long the broker may keep it.
    func fetch(
        _ request: FetchRequest, from broker: BrokerID, waiting wait: Duration,
        then: @escaping (Result<FetchResponse, BrokerError>) -> Void)

    /// What a broker said of one partition, if it may be passed on.
    func result(of partition: FetchResponse.Partition, _ name: TopicPartition) -> FetchResult

    /// A broker said something else of the topic than is known here.
    func doubt(_ topic: TopicID)
}

/// What is read from one broker, over the one connection to it.
///
/// **All readers that wait for records wait in one request,** which the broker keeps until one of their partitions has
/// something (KIP-74). Answers leave in their requests' order, so it would hold up everything behind it; it yields: the
/// broker answers it as soon as something is asked behind it. A reader more, or one that reads on, is such a question,
/// too: it is named in the next request, and the broker remembers the others (``LaneSession``).
///
/// **Two such requests are under way at most,** however many readers come while a broker stalls: the one that waits,
/// and one behind it that names those who came. Who comes then is in the next.
///
/// Owner: the client's loop; touched there only, which is why it is unchecked.
final class BrokerLane: @unchecked Sendable {
    private struct Waiting {
        let read: UpstreamRead
        /// The first request that names it; nil: none has yet.
        var poll: UInt64?
    }

    private let broker: BrokerID
    /// Lets go of its lanes when it is closed.
    private let host: any LaneHost
    private var parked: [TopicPartition: Waiting] = [:]
    private var session = LaneSession()
    /// Counts the times that the session was begun anew: answers of before say nothing of it.
    private var round: UInt64 = 0
    private var polls: UInt64 = 0
    private var pollsInFlight = 0
    private var isPumping = false
    /// Readers that were given something, and are expected back at once.
    private var returning: Set<TopicPartition> = []
    private var returnWait: Scheduled<Void>?
    /// No reader's time is over before.
    private var deadline: Instant?
    private var bytesWanted = 0
    private var once: Deque<(UpstreamRead, [Int])> = []
    private var onceInFlight = 0

    init(_ broker: BrokerID, _ host: any LaneHost) {
        self.broker = broker
        self.host = host
    }

    var parkedCount: Int { self.parked.count }
    /// That readers wait for.
    var topics: Set<TopicID> { Set(self.parked.keys.map(\.topic)) }

    // MARK: Readers that wait

    func park(_ read: UpstreamRead, _ topic: TopicID) {
        let entry = read.entries[0]
        let name = TopicPartition(topic: topic, partition: entry.partition)
        // The reader of a partition that was begun again: the one before is not waited for.
        self.unpark(name)?.fail(.timedOut)
        self.parked[name] = Waiting(read: read)
        self.session.put(name, LaneSession.Place(offset: entry.offset, bytesMax: entry.bytesMax))
        self.bytesWanted += entry.bytesMax.rawValue
        self.deadline = min(self.deadline ?? read.deadline, read.deadline)
        self.returning.remove(name)
        read.onCancel = { [weak self, weak read] in
            guard let self, let read, self.parked[name]?.read === read else { return }
            self.unpark(name)
        }
        guard !self.isPumping else { return }
        self.isPumping = true
        // Those that come in the same tick go together.
        self.host.loop.execute { [self] in
            self.isPumping = false
            self.pump()
        }
    }

    @discardableResult
    private func unpark(_ name: TopicPartition) -> UpstreamRead? {
        guard let waiting = self.parked.removeValue(forKey: name) else { return nil }
        self.session.remove(name)
        self.bytesWanted -= waiting.read.entries[0].bytesMax.rawValue
        return waiting.read
    }

    /// Sends what there is to be sent, and may be.
    private func pump() {
        while !self.parked.isEmpty, !self.session.isOpening {
            switch self.pollsInFlight {
            // Who was given something comes back within the tick, and goes in the same request.
            case 0: guard self.returning.isEmpty else { return }
            case ..<UpstreamLimits.pollsInFlightMax: guard self.session.hasNews else { return }
            default: return
            }
            self.poll()
        }
    }

    private func poll() {
        let step = self.session.next(at: self.host.now)
        self.polls += 1
        let (number, round) = (self.polls, self.round)
        for (name, _) in step.named where self.parked[name]?.poll == nil { self.parked[name]?.poll = number }
        let wait = step.isOpening ? Duration.zero : UpstreamLimits.pollWait
        self.pollsInFlight += 1
        self.host.fetch(self.request(step), from: self.broker, waiting: wait) { [self] result in
            self.pollsInFlight -= 1
            switch result {
            case .failure(let error): self.lost(number, round, error)
            case .success(let answer): self.polled(answer, step, number, round)
            }
            self.endLate()
            self.pump()
        }
    }

    private func request(_ step: LaneSession.Step) -> FetchRequest {
        var request = FetchRequest()
        request.maxWaitMs = step.isOpening ? 0 : Int32(clamping: UpstreamLimits.pollWait.wholeMilliseconds)
        request.minBytes = 1
        request.maxBytes = Int32(clamping: min(self.bytesWanted, UpstreamLimits.pollBytesMax.rawValue))
        request.sessionID = step.id
        request.sessionEpoch = step.epoch
        request.yields = true
        request.topics = Self.topics(of: step.named.map { ($0.name, $0.place.offset, $0.place.bytesMax) })
        request.forgottenTopicsData = Dictionary(grouping: step.forgotten, by: \.topic).map { id, names in
            var topic = FetchRequest.ForgottenTopic()
            topic.topicID = WireUUID(high: id.high, low: id.low)
            topic.partitions = names.map(\.partition.rawValue)
            return topic
        }
        return request
    }

    /// Nobody who was asked for up to this request is waited for any more.
    private func lost(_ number: UInt64, _ round: UInt64, _ error: BrokerError) {
        self.beginAgain(round)
        let asked = self.parked.filter { $0.value.poll.map { $0 <= number } ?? false }.keys
        for name in asked {
            self.host.doubt(name.topic)
            self.unpark(name)?.fail(error.passes ? error : .overloaded("\(error)"))
        }
    }

    private func beginAgain(_ round: UInt64) {
        guard round == self.round else { return }
        self.round += 1
        self.session.lost()
    }

    private func polled(_ answer: FetchResponse, _ step: LaneSession.Step, _ number: UInt64, _ round: UInt64) {
        if LaneSession.isRefusal(answer.errorCode), !step.isOpening {
            // The readers wait on: they are named again.
            guard round == self.round else { return }
            self.beginAgain(round)
            for name in self.parked.keys { self.parked[name]?.poll = nil }
            return
        }
        if let error = BrokerError(answer.errorCode, nil) { return self.lost(number, round, error) }
        if step.isOpening, round == self.round { self.session.opened(answer.sessionID, at: self.host.now) }
        for topic in answer.responses {
            let id = TopicID(high: topic.topicID.high, low: topic.topicID.low)
            for partition in topic.partitions {
                let name = TopicPartition(
                    topic: id, partition: PartitionIndex(rawValue: partition.partitionIndex))
                // Of a reader that came later, this is the answer to the one before.
                guard let first = self.parked[name]?.poll, first <= number else { continue }
                let result = self.host.result(of: partition, name)
                guard result.error != nil || !result.batches.isEmpty else { continue }
                self.unpark(name)?.put(result, at: 0)
                if result.error == nil { self.returning.insert(name) }
            }
        }
        self.awaitReturns()
    }

    /// Some do not come back: nobody wants them any more, or they are held up. The others are not kept waiting for
    /// them.
    private func awaitReturns() {
        guard !self.returning.isEmpty, self.returnWait == nil else { return }
        let wait = TimeAmount.nanoseconds(UpstreamLimits.returnWait.wholeNanoseconds)
        self.returnWait = self.host.loop.scheduleTask(in: wait) { [weak self] in
            guard let self else { return }
            self.returnWait = nil
            self.returning = []
            self.pump()
        }
    }

    /// Who waited as long as he wanted is told that there was nothing.
    private func endLate() {
        let now = self.host.now
        guard let deadline = self.deadline, now >= deadline else { return }
        for name in self.parked.filter({ now >= $0.value.read.deadline }).keys {
            self.unpark(name)?.put(FetchResult(), at: 0)
        }
        self.deadline = self.parked.values.map(\.read.deadline).min()
    }

    // MARK: Reads by place

    /// - Parameter indices: of the read's entries that this broker has.
    func readOnce(_ read: UpstreamRead, _ indices: [Int]) {
        guard self.once.count < UpstreamLimits.readsWaitingMax else {
            return read.fail(.overloaded("too many reads wait for broker \(self.broker)"))
        }
        self.once.append((read, indices))
        self.nextOnce()
    }

    private func nextOnce() {
        while self.onceInFlight < UpstreamLimits.readsInFlightMax, let (read, indices) = self.once.popFirst() {
            guard read.isWanted else { continue }
            self.onceInFlight += 1
            self.send(read, indices)
        }
    }

    private func send(_ read: UpstreamRead, _ indices: [Int]) {
        let wanted = indices.compactMap { index -> (Int, TopicPartition, FetchEntry)? in
            let entry = read.entries[index]
            guard case .id(let topic) = entry.topic else { return nil }
            return (index, TopicPartition(topic: topic, partition: entry.partition), entry)
        }
        var request = FetchRequest()
        request.maxWaitMs = 0
        request.minBytes = 0
        request.maxBytes = Int32(clamping: read.limits.bytesMax.rawValue)
        request.topics = Self.topics(of: wanted.map { ($0.1, $0.2.offset, $0.2.bytesMax) })
        self.host.fetch(request, from: self.broker, waiting: .zero) { [self] result in
            self.onceInFlight -= 1
            defer { self.nextOnce() }
            let answer: FetchResponse
            switch result {
            case .failure(let error): return read.fail(error)
            case .success(let response): answer = response
            }
            if let error = BrokerError(answer.errorCode, nil) { return read.fail(error) }
            var found: [TopicPartition: FetchResult] = [:]
            for topic in answer.responses {
                let id = TopicID(high: topic.topicID.high, low: topic.topicID.low)
                for partition in topic.partitions {
                    let name = TopicPartition(
                        topic: id, partition: PartitionIndex(rawValue: partition.partitionIndex))
                    found[name] = self.host.result(of: partition, name)
                }
            }
            for (index, name, _) in wanted {
                read.put(found[name] ?? FetchResult(error: .unknownTopicOrPartition), at: index)
            }
        }
    }

    private static func topics(of entries: [(TopicPartition, Offset, ByteCount)]) -> [FetchRequest.Topic] {
        Dictionary(grouping: entries, by: \.0.topic).map { id, entries in
            var topic = FetchRequest.Topic()
            topic.topicID = WireUUID(high: id.high, low: id.low)
            topic.partitions = entries.map { name, offset, bytesMax in
                var partition = FetchRequest.Partition()
                partition.partition = name.partition.rawValue
                partition.fetchOffset = offset.rawValue
                partition.partitionMaxBytes = Int32(clamping: bytesMax.rawValue)
                return partition
            }
            return topic
        }
    }
}
