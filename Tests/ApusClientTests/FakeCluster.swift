import ApusCore
import KafkaWire
import NIOCore
import NIOEmbedded

@testable import ApusClient

/// A cluster of one broker on the test's own thread: it speaks the real frames over embedded channels, keeps a
/// ``ModelLog`` for each partition, and fails when it is told to. Nothing happens before ``run()``.
///
/// Used by one test, on its thread: that is the proof behind `@unchecked Sendable`.
final class FakeCluster: @unchecked Sendable {
    /// What becomes of one produce request.
    enum Produce {
        case serve
        case refuse(KafkaErrorCode)
        /// It is not seen, and the connection breaks.
        case breakBefore
        /// It is served, and the connection breaks before the answer.
        case breakAfter
    }

    private static let anywhere: SocketAddress = {
        guard let address = try? SocketAddress(unixDomainSocketPath: "fake") else {
            preconditionFailure("a path that is too long")
        }
        return address
    }()

    private static let requestsPerStep = 100

    private struct Wire {
        let channel: EmbeddedChannel
        var received = ByteBuffer()
    }

    let loop = EmbeddedEventLoop()
    let topicID = TopicID(high: 1, low: 2)
    var partitions = 1
    var logs: [ModelLog] = []
    var apis: [ApiKey: ClosedRange<Int16>]
    var isReachable = true
    var knowsTopic = true
    var onProduce: (ProduceRequest) -> Produce = { _ in .serve }
    /// Error for the next fetches, one each.
    var fetchErrors: [KafkaErrorCode] = []
    /// Larger batches are refused.
    var batchBytesMax = Int.max
    /// Whether fetch sessions are given (KIP-227).
    var givesSessions = false
    /// Partitions that each fetch named, in order.
    private(set) var fetched: [[Int32]] = []
    private var session: (id: Int32, epoch: Int32, places: [Int32: FetchRequest.Partition]) = (0, 0, [:])
    private(set) var requests: [ApiKey: Int] = [:]
    private(set) var versions: [ApiKey: Int16] = [:]
    private(set) var connects = 0
    private var wires: [Wire] = []
    private var producerIDNext: Int64 = 1000

    init(partitions: Int = 1) {
        self.partitions = partitions
        self.logs = Array(repeating: ModelLog(), count: partitions)
        let served: [ApiKey] = [
            .apiVersions, .metadata, .produce, .fetch, .listOffsets, .initProducerId, .describeCluster,
        ]
        self.apis = Dictionary(uniqueKeysWithValues: served.compactMap { key in key.versions.map { (key, $0) } })
    }

    func client(_ configure: (inout ClientConfiguration) -> Void = { _ in }) -> ClientCore {
        var configuration = ClientConfiguration(servers: ["broker:9092"])
        configure(&configuration)
        let environment = ClientEnvironment(
            wallTime: { Timestamp(rawValue: 1_000_000) }, randomness: SeededRandomness(seed: 1), loop: self.loop,
            connect: { [unowned self] address, handler in self.connect(address, handler) }
        )
        return ClientCore(configuration, environment: environment)
    }

    private func connect(_ address: ServerAddress, _ handler: BrokerConnection) -> EventLoopFuture<any Channel> {
        self.connects += 1
        guard self.isReachable else { return self.loop.makeFailedFuture(ChannelError.connectTimeout(.seconds(1))) }
        let channel = EmbeddedChannel(handler: handler, loop: self.loop)
        self.wires.append(Wire(channel: channel))
        // As a socket would: after the caller has what it waits for.
        self.loop.execute { channel.connect(to: Self.anywhere, promise: nil) }
        return self.loop.makeSucceededFuture(channel)
    }

    /// Breaks every connection.
    func breakAll() {
        for wire in self.wires { wire.channel.close(promise: nil) }
        self.wires = []
        self.loop.run()
    }

    /// Serves requests until there are none, then lets time pass, `times` times. At most some in each step: fetches at
    /// the end of the log do not wait here, and would follow each other for ever.
    func run(for step: TimeAmount = .milliseconds(20), times: Int = 50) throws {
        for _ in 0..<times {
            self.loop.run()
            for _ in 0..<Self.requestsPerStep where try self.serveOnce() { self.loop.run() }
            self.loop.advanceTime(by: step)
        }
    }

    private func serveOnce() throws -> Bool {
        for index in self.wires.indices {
            while let bytes = try self.wires[index].channel.readOutbound(as: ByteBuffer.self) {
                self.wires[index].received.writeImmutableBuffer(bytes)
            }
            guard let frame = try Frame.next(from: &self.wires[index].received) else { continue }
            let channel = self.wires[index].channel
            guard let answer = try self.answer(frame) else {
                self.wires.remove(at: index)
                channel.close(promise: nil)
                return true
            }
            for piece in answer { try channel.writeInbound(piece) }
            return true
        }
        return false
    }

    // MARK: Answers

    /// nil: the connection breaks. Empty: there is none.
    func answer(_ frame: ByteBuffer) throws -> [ByteBuffer]? {
        var reader = WireReader(frame)
        let header = try RequestHeader(from: &reader)
        self.requests[header.apiKey, default: 0] += 1
        self.versions[header.apiKey] = header.version
        guard let served = self.apis[header.apiKey], served.contains(header.version) else {
            guard header.apiKey == .apiVersions, let served = self.apis[.apiVersions] else { return nil }
            return Frame.apiVersionsFallback(correlationID: header.correlationID, served: served)
        }
        func encode(_ response: some KafkaResponse) -> [ByteBuffer] {
            Frame.encode(response, version: header.version, correlationID: header.correlationID)
        }
        switch header.apiKey {
        case .apiVersions: return encode(self.apiVersions())
        case .metadata: return encode(self.metadata(try MetadataRequest(from: &reader, version: header.version)))
        case .initProducerId:
            var response = InitProducerIdResponse()
            response.producerID = self.producerIDNext
            self.producerIDNext += 1
            return encode(response)
        case .produce:
            let request = try ProduceRequest(from: &reader, version: header.version)
            let fate = self.onProduce(request)
            if case .breakBefore = fate { return nil }
            let response = try self.produce(request, fate)
            if case .breakAfter = fate { return nil }
            return request.acks == 0 ? [] : encode(response)
        case .fetch: return encode(self.fetch(try FetchRequest(from: &reader, version: header.version)))
        case .listOffsets:
            return encode(self.listOffsets(try ListOffsetsRequest(from: &reader, version: header.version)))
        default: return nil
        }
    }

    private func apiVersions() -> ApiVersionsResponse {
        var response = ApiVersionsResponse()
        response.apiKeys = self.apis.sorted { $0.key < $1.key }.map { key, range in
            var api = ApiVersionsResponse.Api()
            api.apiKey = key.rawValue
            api.minVersion = range.lowerBound
            api.maxVersion = range.upperBound
            return api
        }
        return response
    }

    private func metadata(_ request: MetadataRequest) -> MetadataResponse {
        var response = MetadataResponse()
        var broker = MetadataResponse.Broker()
        broker.nodeID = 1
        broker.host = "broker"
        broker.port = 9092
        response.brokers = [broker]
        response.controllerID = 1
        response.topics = (request.topics ?? []).map { asked in
            var topic = MetadataResponse.Topic()
            topic.name = asked.name
            guard self.knowsTopic else {
                topic.errorCode = .unknownTopicOrPartition
                return topic
            }
            topic.topicID = WireUUID(high: self.topicID.high, low: self.topicID.low)
            topic.partitions = (0..<self.partitions).map { index in
                var partition = MetadataResponse.Partition()
                partition.partitionIndex = Int32(index)
                partition.leaderID = 1
                partition.leaderEpoch = 0
                partition.replicaNodes = [1]
                partition.isrNodes = [1]
                return partition
            }
            return topic
        }
        return response
    }

    private func produce(_ request: ProduceRequest, _ fate: Produce) throws -> ProduceResponse {
        var response = ProduceResponse()
        for topic in request.topicData {
            var answer = ProduceResponse.Topic()
            answer.name = topic.name
            answer.topicID = topic.topicID
            for partition in topic.partitionData {
                var result = ProduceResponse.Partition()
                result.index = partition.index
                if case .refuse(let code) = fate {
                    result.errorCode = code
                } else if partition.records?.byteCount ?? 0 > self.batchBytesMax {
                    result.errorCode = .messageTooLarge
                    result.errorMessage = "max.message.bytes is \(self.batchBytesMax)"
                } else {
                    switch try self.logs[Int(partition.index)].append(partition.records?.joined ?? ByteBuffer()) {
                    case .written(let offset): result.baseOffset = offset
                    case .refused(let code): result.errorCode = code
                    }
                }
                answer.partitionResponses.append(result)
            }
            response.responses.append(answer)
        }
        return response
    }

    /// Forgets the session, as when it was not used for long.
    func dropSession() { self.session.id += 1 }

    /// The partitions asked for, by the rules of sessions; nil when the session is not known.
    private func places(_ request: FetchRequest) -> [Int32: FetchRequest.Partition]? {
        let named = Dictionary(
            uniqueKeysWithValues: request.topics.flatMap(\.partitions).map { ($0.partition, $0) })
        if request.sessionEpoch <= 0 {
            self.session = (self.session.id + 1, 1, named)
            return named
        }
        guard request.sessionID == self.session.id, request.sessionEpoch == self.session.epoch else { return nil }
        self.session.epoch += 1
        for partition in request.forgottenTopicsData.flatMap(\.partitions) { self.session.places[partition] = nil }
        self.session.places.merge(named) { _, new in new }
        return self.session.places
    }

    private func fetch(_ asked: FetchRequest) -> FetchResponse {
        var response = FetchResponse()
        var request = asked
        self.fetched.append(asked.topics.flatMap(\.partitions).map(\.partition))
        if self.givesSessions, asked.sessionEpoch >= 0 {
            guard let places = self.places(asked) else {
                response.errorCode = .fetchSessionIDNotFound
                return response
            }
            response.sessionID = self.session.id
            var topic = FetchRequest.Topic()
            topic.topicID = WireUUID(high: self.topicID.high, low: self.topicID.low)
            topic.partitions = places.values.sorted { $0.partition < $1.partition }
            request.topics = [topic]
        }
        for topic in request.topics {
            var answer = FetchResponse.Topic()
            answer.topic = topic.topic
            answer.topicID = topic.topicID
            for partition in topic.partitions {
                let log = self.logs[Int(partition.partition)]
                var result = FetchResponse.Partition()
                result.partitionIndex = partition.partition
                result.highWatermark = log.endOffset
                result.lastStableOffset = log.endOffset
                if let error = self.fetchErrors.popLast() {
                    result.errorCode = error
                } else {
                    result.records = WireRecords(
                        log.read(from: partition.fetchOffset, upTo: Int(partition.partitionMaxBytes)))
                }
                // In a session only what is new is told.
                let isNew = result.errorCode != .none || result.records?.byteCount ?? 0 > 0
                if asked.sessionEpoch <= 0 || isNew { answer.partitions.append(result) }
            }
            response.responses.append(answer)
        }
        return response
    }

    private func listOffsets(_ request: ListOffsetsRequest) -> ListOffsetsResponse {
        var response = ListOffsetsResponse()
        for topic in request.topics {
            var answer = ListOffsetsResponse.Topic()
            answer.name = topic.name
            answer.partitions = topic.partitions.map { partition in
                var result = ListOffsetsResponse.Partition()
                result.partitionIndex = partition.partitionIndex
                result.offset = partition.timestamp == -2 ? 0 : self.logs[Int(partition.partitionIndex)].endOffset
                return result
            }
            response.topics.append(answer)
        }
        return response
    }
}

/// Chance from a seed. Used on one thread; that is the proof behind `@unchecked Sendable`.
final class SeededRandomness: Randomness, @unchecked Sendable {
    private var generator: SplitMix

    init(seed: UInt64) {
        self.generator = SplitMix(seed: seed)
    }

    func next() -> UInt64 { self.generator.next() }
}
