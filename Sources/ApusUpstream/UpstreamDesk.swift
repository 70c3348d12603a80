import ApusBroker
import ApusClient
import ApusCore
import EdgeDoor
import KafkaWire
import Logging
import NIOCore
import Synchronization

/// What is asked of the brokers, and what they said: the half that lives on the client's event loop.
///
/// Unchecked because: all but what ``shared`` guards is touched on that loop only.
final class UpstreamDesk: LaneHost, @unchecked Sendable {
    /// What other loops read.
    struct Shared {
        var rules = UpstreamRules()
        var keys = UpstreamKeys()
        var book = TopicBook()
    }

    let shared = Mutex(Shared())
    let calls: DirectCalls
    let quotaRules = UpstreamQuotas()
    /// What clients have used of their quotas, here.
    let quotas: BrokerQuotas
    private let clock: any Clock
    let logger: Logger
    private var lanes: [BrokerID: BrokerLane] = [:]
    private var questions: [String: [(Result<EdgeTopic?, BrokerError>) -> Void]] = [:]
    private var isAsking = false
    /// Times that whoever was asked for the rules did not tell, one after the other.
    private var failures = 0
    private var isClosed = false
    private(set) var requestsSent = 0
    private(set) var requestsFailed = 0

    init(_ calls: DirectCalls, clock: any Clock, logger: Logger) {
        self.calls = calls
        self.quotas = BrokerQuotas(self.quotaRules, clock: clock)
        self.clock = clock
        self.logger = logger
    }

    var loop: any EventLoop { self.calls.loop }
    var now: Instant { self.clock.now }
    var parkedCount: Int { self.lanes.values.reduce(0) { $0 + $1.parkedCount } }

    // MARK: Calling

    /// Every request goes this way, and is counted.
    /// - Parameter wait: how long the broker may keep it.
    func call<Request: KafkaRequest>(
        _ request: Request, to broker: BrokerID?, attempt: Int = 0, upTo limit: Int16 = .max, waiting wait: Duration,
        then: @escaping (Result<Request.Response, BrokerError>) -> Void
    ) {
        self.requestsSent += 1
        let timeout = UpstreamLimits.answerWaitMax + wait
        self.calls.call(request, to: broker, attempt: attempt, upTo: limit, timeout: timeout) { [self] result in
            switch result {
            case .success(let answer): then(.success(answer))
            case .failure(let error):
                self.requestsFailed += 1
                self.logger.debug("a request upstream failed", metadata: ["error": "\(error)"])
                then(.failure(BrokerError(error)))
            }
        }
    }

    // MARK: Reading

    func fetch(
        _ request: FetchRequest, from broker: BrokerID, waiting wait: Duration,
        then: @escaping (Result<FetchResponse, BrokerError>) -> Void
    ) {
        self.call(request, to: broker, waiting: wait, then: then)
    }

    func begin(_ read: UpstreamRead) {
        guard self.mayServe else { return read.fail(Self.unheard) }
        var groups: [BrokerID: [Int]] = [:]
        var orphans: [Int] = []
        for (index, entry) in read.entries.enumerated() {
            guard case .id(let topic) = entry.topic, let leader = self.leader(of: topic, entry.partition) else {
                orphans.append(index)
                continue
            }
            groups[leader.broker, default: []].append(index)
        }
        for index in orphans { read.put(FetchResult(error: .notLeader), at: index) }
        if read.isParked, let (broker, _) = groups.first, case .id(let topic) = read.entries[0].topic {
            return self.lane(broker).park(read, topic)
        }
        for (broker, indices) in groups { self.lane(broker).readOnce(read, indices) }
    }

    private func lane(_ broker: BrokerID) -> BrokerLane {
        if let lane = self.lanes[broker] { return lane }
        let lane = BrokerLane(broker, self)
        self.lanes[broker] = lane
        return lane
    }

    func leader(of topic: TopicID, _ partition: PartitionIndex) -> TopicBook.Leader? {
        self.shared.withLock { shared in
            shared.book.used(topic, at: self.now)
            return shared.book.leader(of: topic, partition)
        }
    }

    func doubt(_ topic: TopicID) { self.shared.withLock { $0.book.doubt(topic) } }

    /// What a broker said of one partition, if it may be passed on: the rules must hold at this moment.
    func result(of partition: FetchResponse.Partition, _ name: TopicPartition) -> FetchResult {
        guard self.mayServe else { return FetchResult(error: Self.unheard) }
        let start = Offset(rawValue: partition.logStartOffset)
        let end = Offset(rawValue: partition.highWatermark)
        if partition.errorCode == .offsetOutOfRange {
            return FetchResult(error: .offsetOutOfRange(logStart: start, logEnd: end))
        }
        if let error = BrokerError(partition.errorCode, nil) {
            self.doubt(name.topic)
            return FetchResult(error: error)
        }
        var result = FetchResult(highWatermark: end, logStartOffset: start)
        var bytes = partition.records?.joined ?? ByteBuffer()
        do throws(WireError) {
            while let batch = try RecordBatch.read(from: &bytes) {
                // Nobody between the broker's check and the client's would see it.
                try batch.verifyCRC()
                result.batches.append(batch.bytes)
            }
        } catch {
            return FetchResult(error: .corruptBatch("\(name): \(error)"))
        }
        return result
    }

    /// Whether the rules hold. Without, nothing is asked and nothing passed on, for anybody.
    var mayServe: Bool { self.shared.withLock { $0.rules.hold(at: self.now) } }

    static let unheard = BrokerError.overloaded("no broker has confirmed the rules in the last seconds")

    // MARK: Topics

    /// Asks for a topic, once for all who ask at the same time.
    func ask(_ name: String, then: @escaping (Result<EdgeTopic?, BrokerError>) -> Void) {
        guard self.mayServe else { return then(.failure(Self.unheard)) }
        guard self.questions[name] != nil || self.questions.count < UpstreamLimits.topicQuestionsMax else {
            return then(.failure(.overloaded("too many topics are asked for")))
        }
        self.questions[name, default: []].append(then)
        guard !self.isAsking else { return }
        self.isAsking = true
        self.loop.execute { self.askAll() }
    }

    private func askAll() {
        let names = Array(self.questions.keys.prefix(UpstreamLimits.topicsPerRequestMax))
        guard !names.isEmpty else {
            self.isAsking = false
            return
        }
        var waiting: [String: [(Result<EdgeTopic?, BrokerError>) -> Void]] = [:]
        for name in names { waiting[name] = self.questions.removeValue(forKey: name) }
        self.learn(names, attempt: 0) { [self] result in
            for (name, those) in waiting {
                let answer = result.flatMap { $0[name] ?? .failure(.timedOut) }
                for then in those { then(answer) }
            }
            self.askAll()
        }
    }

    private func learn(
        _ names: [String], attempt: Int,
        then: @escaping (Result<[String: Result<EdgeTopic?, BrokerError>], BrokerError>) -> Void
    ) {
        var request = MetadataRequest()
        request.allowAutoTopicCreation = false
        request.topics = names.map { name in
            var topic = MetadataRequest.Topic()
            topic.name = name
            return topic
        }
        self.call(request, to: nil, attempt: attempt, waiting: .zero) { [self] result in
            switch result {
            case .failure(let error): then(.failure(error))
            case .success(let answer):
                self.calls.learned(answer)
                let found = answer.topics.filter { $0.errorCode == .none }.compactMap(\.name)
                self.askSettings(of: found, attempt: attempt) { settings in
                    then(settings.map { self.learned(answer, $0) })
                }
            }
        }
    }

    private func learned(
        _ answer: MetadataResponse, _ settings: Settings
    ) -> [String: Result<EdgeTopic?, BrokerError>] {
        let now = self.now
        var found: [String: Result<EdgeTopic?, BrokerError>] = [:]
        for topic in answer.topics {
            guard let name = topic.name else { continue }
            switch TopicBook.Told.read(topic) {
            case .success(let bare):
                let told = bare.map { told in
                    var told = told
                    Self.apply(settings[name], to: &told.topic)
                    return told
                }
                self.shared.withLock { $0.book.learned(name, told, at: now) }
                found[name] = .success(told?.topic)
            case .failure(let error): found[name] = .failure(error)
            }
        }
        return found
    }

    // MARK: Looking

    /// Asks for the rules, and for the topics that are in use, now and each ``UpstreamLimits/lookPeriod`` from then on.
    /// - Parameter first: told of the first answer that could be used, or with why there is none, on the client's loop.
    func look(first: ((Result<DescribeEdgeResponse, BrokerError>) -> Void)? = nil) {
        guard !self.isClosed else { return }
        let began = self.now
        var request = DescribeEdgeRequest()
        self.shared.withLock { shared in
            request.knownRules = shared.rules.known
            request.knownKeys = shared.keys.known
        }
        request.knownQuotas = self.quotaRules.known
        self.call(request, to: nil, attempt: self.failures, waiting: .zero) { [self] result in
            guard !self.isClosed else { return }
            let heard = self.heard(result, askedAt: began)
            first?(heard)
            if case .failure = heard { self.failures += 1 } else { self.failures = 0 }
            if first == nil || self.failures == 0 { self.lookAgain() }
        }
        let inUse = self.lanes.values.reduce(into: Set<TopicID>()) { $0.formUnion($1.topics) }
        let due = self.shared.withLock { shared in
            for topic in inUse { shared.book.used(topic, at: began) }
            return shared.book.due(at: began)
        }
        if !due.isEmpty { self.learn(due, attempt: self.failures) { _ in } }
    }

    private func lookAgain() {
        let period = UpstreamLimits.lookPeriod
        self.loop.scheduleTask(in: .nanoseconds(period.wholeNanoseconds)) { self.look() }
    }

    private func heard(
        _ result: Result<DescribeEdgeResponse, BrokerError>, askedAt: Instant
    ) -> Result<DescribeEdgeResponse, BrokerError> {
        switch result {
        case .failure(let error): return .failure(self.complain(error))
        case .success(let answer):
            if let error = BrokerError(answer.errorCode, answer.errorMessage) { return .failure(self.complain(error)) }
            do throws(UpstreamRules.Refusal) {
                // They held when they were asked for; what came between is seen next time.
                try self.shared.withLock { shared throws(UpstreamRules.Refusal) in
                    try shared.rules.heard(answer, at: askedAt)
                    shared.keys.heard(answer.keys, version: answer.keysVersion)
                }
                self.quotaRules.heard(answer)
            } catch {
                return .failure(self.complain(.invalidRequest("what the brokers told can not be used: \(error)")))
            }
            if self.failures > 0 { self.logger.notice("the brokers are heard again") }
            return result
        }
    }

    private func complain(_ error: BrokerError) -> BrokerError {
        if self.failures == 0 {
            self.logger.warning("the brokers do not tell the rules; asking on", metadata: ["error": "\(error)"])
        }
        return error
    }

    func close() {
        self.isClosed = true
        self.lanes = [:]
        self.calls.close()
    }
}

extension TopicBook.Told {
    /// Nil: there is no such topic.
    fileprivate static func read(_ topic: MetadataResponse.Topic) -> Result<Self?, BrokerError> {
        if topic.errorCode == .unknownTopicOrPartition || topic.errorCode == .invalidTopicException {
            return .success(nil)
        }
        if let error = BrokerError(topic.errorCode, nil) { return .failure(error) }
        let count = topic.partitions.count
        guard let name = topic.name, (1...Limits.partitionsPerTopicMax).contains(count) else {
            return .failure(.invalidRequest("a topic of \(count) partitions"))
        }
        var leaders = [TopicBook.Leader?](repeating: nil, count: count)
        for partition in topic.partitions where partition.leaderID >= 0 {
            let index = Int(partition.partitionIndex)
            guard leaders.indices.contains(index) else { return .failure(.invalidRequest("partition \(index)")) }
            leaders[index] = TopicBook.Leader(
                broker: BrokerID(rawValue: partition.leaderID), epoch: Epoch(rawValue: partition.leaderEpoch))
        }
        let id = TopicID(high: topic.topicID.high, low: topic.topicID.low)
        return .success(Self(topic: EdgeTopic(id: id, name: name, partitionCount: count), leaders: leaders))
    }
}
