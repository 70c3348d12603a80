import ApusBroker
import ApusCore
import ApusFakes
import KafkaWire
import Logging
import NIOCore
import NIOEmbedded
import Synchronization
import Testing

@testable import KafkaDoor

/// A connection of a real broker on a fake disk, all on one thread: bytes in, bytes out, time moved by hand.
final class DoorBench {
    let loop = EmbeddedEventLoop()
    /// Where rules are compiled, when that is not to be done on `loop`.
    let aside: EmbeddedEventLoop?
    let clock = SimulatedClock()
    let store = FakeCoordinatorStore()
    let lines = LogLines()
    let broker: Broker
    let door: Door
    let doorLoop: DoorLoop
    private(set) var channel: EmbeddedChannel
    private var received = ByteBuffer()
    private var correlationID: Int32 = 0
    /// Where clients connect from.
    private let remoteAddress: String

    init(
        requestMemory: ByteCount = .mebibytes(64), replyMemory: ByteCount = .mebibytes(64),
        configuration: [String: String] = [:], remoteAddress: String = "10.9.9.9", aside: EmbeddedEventLoop? = nil,
        change: (inout BrokerSettings) -> Void = { _ in }, login: ((any Clock) -> ListenerLogin)? = nil,
        cursorKey: [UInt8]? = nil, tickets: EdgeTickets? = nil,
        loginEnded: @escaping @Sendable (LoginReport) -> Void = { _ in }
    ) throws {
        self.remoteAddress = remoteAddress
        self.aside = aside
        var settings = BrokerSettings(
            identity: BrokerIdentity(clusterID: "bench", brokerID: BrokerID(rawValue: 3)),
            incarnation: Epoch(rawValue: 1), wasCleanShutdown: true, dataDirectory: "/data"
        )
        settings.requestMemory = requestMemory
        settings.configuration = configuration
        change(&settings)
        let logger = self.lines.logger
        let ports = BrokerPorts(
            disk: InlineDiskQueue(SimulatedDisk()), store: self.store, catalogue: FakeCatalogue(), clock: self.clock,
            randomness: SeededRandomness(seed: 1), logger: logger
        )
        let opened = Held<Result<Broker, BrokerError>>()
        Broker.open(settings, ports: ports, shards: [self.loop], aside: aside, on: self.loop) { opened.put($0) }
        self.loop.run()
        aside?.run()
        self.loop.run()
        self.broker = try #require(opened.value).get()
        let made = login?(self.clock)
        self.door = Door(
            broker: self.broker, listenerName: "kafka", login: made, cursorKey: cursorKey, tickets: tickets,
            loginEnded: loginEnded)
        self.doorLoop = DoorLoop(
            eventLoop: self.loop, logger: logger, replyMemory: ReplyMemory(limit: replyMemory), fetchSessionsMax: 10
        )
        self.channel = EmbeddedChannel(loop: self.loop)
        try self.connect()
    }

    /// A new connection instead of the one there is.
    func connect() throws {
        self.channel = EmbeddedChannel(loop: self.loop)
        self.channel.localAddress = try SocketAddress(ipAddress: "10.1.2.3", port: 9092)
        self.channel.remoteAddress = try SocketAddress(ipAddress: self.remoteAddress, port: 50_000)
        try KafkaListener.connect(self.channel, door: self.door, loop: self.doorLoop)
        self.channel.connect(to: try SocketAddress(ipAddress: "10.9.9.9", port: 50_000), promise: nil)
        self.received = ByteBuffer()
    }

    /// What is done aside is done, and its answers come.
    func runAside() {
        guard let aside = self.aside else { return }
        aside.run()
        self.loop.run()
    }

    var connection: KafkaConnection {
        get throws { try self.channel.pipeline.syncOperations.handler(type: KafkaConnection.self) }
    }

    var isOpen: Bool { self.channel.isActive }

    // MARK: Bytes

    func send(_ bytes: ByteBuffer) throws {
        try self.channel.writeInbound(bytes)
        self.loop.run()
    }

    /// A request as bytes on the wire, with the next correlation id.
    func encode<Request: KafkaRequest>(_ request: Request, version: Int16, clientID: String? = "bench") -> ByteBuffer {
        self.correlationID += 1
        return Frame.encode(request, version: version, correlationID: self.correlationID, clientID: clientID).joined
    }

    func send<Request: KafkaRequest>(_ request: Request, version: Int16) throws {
        try self.send(self.encode(request, version: version))
    }

    /// Frames that came back, without their lengths.
    func replies() throws -> [ByteBuffer] {
        while let bytes = try self.channel.readOutbound(as: ByteBuffer.self) {
            self.received.writeImmutableBuffer(bytes)
        }
        var frames: [ByteBuffer] = []
        while let frame = try Frame.next(from: &self.received, limit: 64 << 20) { frames.append(frame) }
        return frames
    }

    /// The correlation ids of the answers that came back, in order.
    func answered() throws -> [Int32] {
        try self.replies().map { $0.getInteger(at: $0.readerIndex) ?? -1 }
    }

    func decode<Response: KafkaResponse>(_ frame: ByteBuffer, _: Response.Type, version: Int16) throws -> Response {
        try Frame.decode(Response.self, from: frame, version: version).response
    }

    /// Sends a request and gives its answer, which must be the only one, and come without time passing.
    func ask<Request: KafkaRequest>(_ request: Request, version: Int16) throws -> Request.Response {
        try self.send(request, version: version)
        let replies = try self.replies()
        try #require(replies.count == 1, "one answer to \(Request.apiKey)")
        return try self.decode(replies[0], Request.Response.self, version: version)
    }

    /// Time passes, for the loop and for the broker, in steps of a sweep.
    func advance(seconds: Int) {
        for _ in 0..<seconds {
            self.clock.advance(by: .seconds(1))
            self.loop.advanceTime(by: .seconds(1))
        }
    }

    // MARK: Common requests

    func create(_ name: String, partitions: Int32 = 1, configuration: [String: String] = [:]) throws {
        var topic = CreateTopicsRequest.Topic()
        topic.name = name
        topic.numPartitions = partitions
        topic.replicationFactor = 1
        topic.configs = configuration.map {
            var config = CreateTopicsRequest.Config()
            config.name = $0.key
            config.value = $0.value
            return config
        }
        var request = CreateTopicsRequest()
        request.topics = [topic]
        let response = try self.ask(request, version: 7)
        try #require(response.topics.map(\.errorCode) == [.none])
    }

    func topicID(_ name: String) throws -> WireUUID {
        try #require(self.broker.topics.topic(named: name)).id.wire
    }

    static func batch(_ values: [String], codec: CompressionCodec = .none) -> ByteBuffer {
        var builder = RecordBatchBuilder(codec: codec)
        for value in values {
            builder.append(key: nil, value: ByteBuffer(string: value), timestamp: 1_750_000_000_000)
        }
        return builder.finish()
    }

    func produce(
        _ batch: ByteBuffer?, to topic: String, _ partition: Int32 = 0, acks: Int16 = -1, version: Int16 = 9
    ) throws -> ProduceRequest {
        var data = ProduceRequest.PartitionData()
        data.index = partition
        data.records = batch.map { WireRecords($0) }
        var topicData = ProduceRequest.TopicData()
        topicData.name = topic
        if version >= 13 { topicData.topicID = try self.topicID(topic) }
        topicData.partitionData = [data]
        var request = ProduceRequest()
        request.acks = acks
        request.timeoutMs = 1000
        request.topicData = [topicData]
        return request
    }

    func fetch(
        _ topic: String, _ partition: Int32 = 0, from offset: Int64 = 0, waitMs: Int32 = 0, version: Int16 = 11
    ) throws -> FetchRequest {
        var part = FetchRequest.Partition()
        part.partition = partition
        part.fetchOffset = offset
        part.partitionMaxBytes = 1 << 20
        var asked = FetchRequest.Topic()
        asked.topic = topic
        if version >= 13 { asked.topicID = try self.topicID(topic) }
        asked.partitions = [part]
        var request = FetchRequest()
        request.maxWaitMs = waitMs
        request.minBytes = 1
        request.topics = [asked]
        return request
    }
}

/// A value put by a callback.
final class Held<Value: Sendable>: Sendable {
    private let state = Mutex<Value?>(nil)

    func put(_ value: Value) { self.state.withLock { $0 = value } }
    var value: Value? { self.state.withLock { $0 } }
}

/// Keeps what is logged.
final class LogLines: Sendable {
    private let state = Mutex<[String]>([])

    var all: [String] { self.state.withLock { $0 } }
    var logger: Logger { Logger(label: "test") { _ in Handler(lines: self) } }

    private struct Handler: LogHandler {
        let lines: LogLines
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.info

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { self.metadata[key] }
            set { self.metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            self.lines.state.withLock { $0.append("\(event.message)") }
        }
    }
}

extension [ByteBuffer] {
    var joined: ByteBuffer {
        self.reduce(into: ByteBuffer()) { $0.writeImmutableBuffer($1) }
    }
}
