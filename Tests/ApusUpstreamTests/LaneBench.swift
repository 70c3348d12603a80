import ApusBroker
import ApusCore
import ApusFakes
import KafkaWire
import NIOCore
import NIOEmbedded

@testable import ApusUpstream

/// A broker in memory behind a lane, with sessions as KIP-227 has them, that answers its oldest fetch when it is told
/// to. One thread.
final class LaneBench: LaneHost {
    typealias Answer = (Result<FetchResponse, BrokerError>) -> Void

    private struct Asked {
        let request: FetchRequest
        let answer: Answer
    }

    /// Answers a reader had, in order.
    final class Answers: @unchecked Sendable {
        var results: [FetchResult] = []
    }

    let embedded = EmbeddedEventLoop()
    var loop: any EventLoop { self.embedded }
    var now = Instant(nanoseconds: 1_000_000_000_000)
    private var asked: [Asked] = []
    /// Of all requests so far, as they go over the wire.
    private(set) var bytesSent = 0
    private(set) var requestsSent = 0
    /// It has room for sessions.
    var givesSessions = true
    /// Where the partitions end.
    var ends: [TopicPartition: Int64] = [:]
    private var session: (id: Int32, epoch: Int32, places: [TopicPartition: Int64])?
    private var lastID: Int32 = 0

    var inFlight: Int { self.asked.count }
    /// Of those under way, the ones that a broker keeps until there is something.
    var polls: Int { self.asked.count { $0.request.maxWaitMs > 0 } }

    static func name(_ number: Int, of topic: UInt64 = 1) -> TopicPartition {
        TopicPartition(
            topic: TopicID(high: 9, low: topic), partition: PartitionIndex(rawValue: Int32(number)))
    }

    // MARK: The desk

    func fetch(
        _ request: FetchRequest, from broker: BrokerID, waiting wait: Duration, then: @escaping Answer
    ) {
        let frame = Frame.encode(request, version: 17, correlationID: 1, clientID: "edge")
        self.bytesSent += frame.reduce(0) { $0 + $1.readableBytes }
        self.requestsSent += 1
        self.asked.append(Asked(request: request, answer: then))
    }

    func result(of partition: FetchResponse.Partition, _ name: TopicPartition) -> FetchResult {
        let isEmpty = partition.highWatermark <= partition.logStartOffset
        return FetchResult(
            highWatermark: Offset(rawValue: partition.highWatermark),
            batches: isEmpty ? [] : [ByteBuffer(string: "records")])
    }

    func doubt(_ topic: TopicID) {}

    // MARK: The broker

    /// Runs the oldest fetch to its end, as when there is something, its time is over, or something was asked behind
    /// it. - Returns: false when nothing is asked.
    @discardableResult
    func answerOldest() -> Bool {
        guard !self.asked.isEmpty else { return false }
        let oldest = self.asked.removeFirst()
        oldest.answer(.success(self.response(to: oldest.request)))
        self.run()
        return true
    }

    /// Answers whatever a broker would answer now: fetches that found something or wait for nothing, and the others if
    /// something was asked behind them. Ends with at most one that waits.
    func settle() {
        for _ in 0..<10_000 {
            self.run()
            guard let first = self.asked.first else { return }
            let isKept = first.request.maxWaitMs > 0 && self.asked.count == 1 && !self.findsSomething(first.request)
            if isKept { return }
            self.answerOldest()
        }
    }

    /// The connection is gone, and with it all that was asked.
    func cut() {
        let lost = self.asked
        self.asked = []
        for one in lost { one.answer(.failure(.overloaded("cut"))) }
        self.run()
    }

    /// As when it restarts, or the session was not used for long.
    func forgetSession() { self.session = nil }

    /// Time passes in which readers come back.
    func run() {
        self.embedded.run()
        self.embedded.advanceTime(by: .nanoseconds(UpstreamLimits.returnWait.wholeNanoseconds))
    }

    private func places(_ request: FetchRequest) -> [TopicPartition: Int64]? {
        var named: [TopicPartition: Int64] = [:]
        for topic in request.topics {
            for partition in topic.partitions {
                named[
                    TopicPartition(
                        topic: TopicID(high: topic.topicID.high, low: topic.topicID.low),
                        partition: PartitionIndex(rawValue: partition.partition))] = partition.fetchOffset
            }
        }
        guard request.sessionEpoch > 0 else { return named }
        guard let session = self.session, session.id == request.sessionID, session.epoch == request.sessionEpoch else {
            return nil
        }
        var places = session.places
        places.merge(named) { _, new in new }
        for topic in request.forgottenTopicsData {
            for partition in topic.partitions {
                places[
                    TopicPartition(
                        topic: TopicID(high: topic.topicID.high, low: topic.topicID.low),
                        partition: PartitionIndex(rawValue: partition))] = nil
            }
        }
        return places
    }

    private func findsSomething(_ request: FetchRequest) -> Bool {
        guard let places = self.places(request) else { return true }
        return places.contains { $0.value < self.ends[$0.key] ?? 0 }
    }

    private func response(to request: FetchRequest) -> FetchResponse {
        var response = FetchResponse()
        guard let places = self.places(request) else {
            response.errorCode = self.session == nil ? .fetchSessionIDNotFound : .invalidFetchSessionEpoch
            return response
        }
        if request.sessionEpoch == 0, self.givesSessions {
            self.lastID += 1
            self.session = (self.lastID, 1, places)
        } else if request.sessionEpoch > 0 {
            self.session = (request.sessionID, request.sessionEpoch + 1, places)
        }
        if request.sessionEpoch >= 0, self.givesSessions { response.sessionID = self.session?.id ?? 0 }
        for (name, offset) in places where offset < self.ends[name] ?? 0 {
            var topic = FetchResponse.Topic()
            topic.topicID = WireUUID(high: name.topic.high, low: name.topic.low)
            var partition = FetchResponse.Partition()
            partition.partitionIndex = name.partition.rawValue
            partition.highWatermark = self.ends[name] ?? 0
            partition.logStartOffset = offset
            topic.partitions = [partition]
            response.responses.append(topic)
        }
        return response
    }

    // MARK: Readers

    /// - Parameter then: is told the answer, on the loop.
    func read(
        _ name: TopicPartition, from offset: Int64, waiting wait: Duration = .seconds(30),
        then: @escaping @Sendable (FetchResult) -> Void
    ) -> UpstreamRead {
        let entry = FetchEntry(
            topic: .id(name.topic), partition: name.partition, offset: Offset(rawValue: offset),
            bytesMax: .kibibytes(256))
        let limits = FetchLimits(bytesMin: .bytes(1), bytesMax: .kibibytes(256), waitMax: wait)
        return UpstreamRead([entry], limits, at: self.now, home: self.embedded, on: self.embedded) { then($0[0]) }
    }
}

/// Reads partitions on and on, as the endpoint server does. One thread.
final class LaneReaders: @unchecked Sendable {
    private let bench: LaneBench
    private let lane: BrokerLane
    private(set) var positions: [TopicPartition: Int64] = [:]
    private(set) var failures = 0
    private var reads: [TopicPartition: UpstreamRead] = [:]
    /// Tells one read from another: one that was cancelled may be answered all the same.
    private var rounds: [TopicPartition: Int] = [:]

    init(_ bench: LaneBench, _ lane: BrokerLane) {
        self.bench = bench
        self.lane = lane
    }

    func begin(_ name: TopicPartition) {
        let position = self.positions[name] ?? 0
        self.positions[name] = position
        let round = (self.rounds[name] ?? 0) + 1
        self.rounds[name] = round
        let read = self.bench.read(name, from: position) { [weak self] result in
            guard let self, self.rounds[name] == round, self.reads.removeValue(forKey: name) != nil else { return }
            if result.error != nil { self.failures += 1 }
            if !result.batches.isEmpty { self.positions[name] = result.highWatermark.rawValue }
            self.bench.embedded.execute { self.begin(name) }
        }
        self.reads[name] = read
        self.lane.park(read, name.topic)
    }

    func end(_ name: TopicPartition) { self.reads.removeValue(forKey: name)?.cancel() }

    func isReading(_ name: TopicPartition) -> Bool { self.reads[name] != nil }
}
