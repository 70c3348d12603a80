import ApusAccess
import ApusBroker
import ApusCore
import ApusFakes
import Dispatch
import Logging
import NIOCore
import NIOEmbedded
import NIOHTTP1
import Synchronization
import Testing
import WebFormats

@testable import EdgeDoor

/// The door in front of a real broker on a fake disk: clients on embedded channels, one or several loops, all on one
/// thread, time moved by hand.
final class EdgeBench {
    let loops: [EmbeddedEventLoop]
    let clock = SimulatedClock()
    let broker: Broker
    let door: EndpointDoor

    init(
        loops count: Int = 1, origins: OriginRules = OriginRules(), login: WebLogin? = nil,
        tickets: (any TicketTaker)? = nil, upstream: (any EdgeUpstream)? = nil, mayDeflate: Bool = false,
        doorClock: (any Clock)? = nil, change: (inout BrokerSettings) -> Void = { _ in }
    ) throws {
        self.loops = (0..<count).map { _ in EmbeddedEventLoop() }
        var settings = BrokerSettings(
            identity: BrokerIdentity(clusterID: "edge", brokerID: BrokerID(rawValue: 3)),
            incarnation: Epoch(rawValue: 1), wasCleanShutdown: true, dataDirectory: "/data")
        change(&settings)
        let logger = Logger(label: "edge") { _ in SwiftLogNoOpLogHandler() }
        let ports = BrokerPorts(
            disk: InlineDiskQueue(SimulatedDisk()), store: FakeCoordinatorStore(), catalogue: FakeCatalogue(),
            clock: self.clock, randomness: SeededRandomness(seed: 1), logger: logger)
        let opened = BenchBox<Result<Broker, BrokerError>>()
        Broker.open(settings, ports: ports, shards: self.loops, on: self.loops[0]) { opened.put($0) }
        for _ in 0..<10 { for loop in self.loops { loop.run() } }
        self.broker = try #require(opened.value).get()
        var configuration = EndpointDoor.Configuration(
            cursorKeys: CursorKeys(current: Array(repeating: 7, count: 32)), clock: doorClock ?? self.clock)
        configuration.presence = BrokerPresence(self.broker)
        configuration.node = "broker-3"
        configuration.isOnlyNode = true
        configuration.origins = origins
        configuration.mayDeflate = mayDeflate
        configuration.login = login
        configuration.tickets = tickets
        let made = BenchBox<EndpointDoor>()
        EndpointDoor.make(
            configuration, upstream: upstream ?? BrokerUpstream(self.broker), on: BenchGroup(loops: self.loops),
            logger: logger
        )
        .whenSuccess { made.put($0) }
        for _ in 0..<4 { for loop in self.loops { loop.run() } }
        self.door = try #require(made.value)
    }

    /// Everything that is ready runs, on all loops, and what waits for its turn.
    func run() {
        let turn = TimeAmount.nanoseconds(Limits.edgeTurnWait.wholeNanoseconds)
        for _ in 0..<(12 * self.loops.count) { for loop in self.loops { loop.advanceTime(by: turn) } }
    }

    func advance(_ duration: Duration) {
        for _ in 0..<Int(duration.components.seconds) {
            self.clock.advance(by: .seconds(1))
            for loop in self.loops { loop.advanceTime(by: .seconds(1)) }
            self.run()
        }
    }

    // MARK: The broker

    func create(_ topic: String, partitions: Int32 = 1, _ settings: [String: String?] = [:]) throws {
        let made = BenchBox<Result<Topic, BrokerError>>()
        self.broker.create(
            [TopicSpecification(name: topic, partitions: partitions, configuration: settings)], client: .embedded,
            on: self.loops[0]
        ) { made.put($0[0]) }
        self.run()
        _ = try #require(made.value).get()
    }

    func grow(_ topic: String, to partitions: Int32) throws {
        let made = BenchBox<Result<Topic, BrokerError>>()
        self.broker.createPartitions(
            [PartitionGrowth(topic: topic, partitions: partitions)], client: .embedded, on: self.loops[0]
        ) { made.put($0[0]) }
        self.run()
        _ = try #require(made.value).get()
    }

    func delete(_ topic: String) throws {
        let done = BenchBox<Bool>()
        self.broker.deleteTopics([.name(topic)], client: .embedded, on: self.loops[0]) { _ in done.put(true) }
        self.run()
        #expect(done.value == true)
    }

    /// Writes texts, one record each, all with one key.
    func write(_ topic: String, _ values: [String], key: String? = nil, partition: Int32? = nil) throws {
        let messages = values.map {
            AddressedMessage(
                Message(key: key.map { ByteBuffer(string: $0) }, value: ByteBuffer(string: $0)),
                partition: partition.map { PartitionIndex(rawValue: $0) })
        }
        let done = BenchBox<[Result<WrittenPlace, BrokerError>]>()
        self.broker.write(
            messages, to: .name(topic), timeout: .seconds(5), spread: 0, client: .embedded, on: self.loops[0]
        ) { done.put($0) }
        self.run()
        for result in try #require(done.value) { _ = try result.get() }
    }

    /// Retention, by hand: what is in front of the offset goes.
    func trim(_ topic: String, before offset: Int64) throws {
        let done = BenchBox<Result<Offset, BrokerError>>()
        let deletion = RecordDeletion(
            topic: .name(topic), partition: PartitionIndex(rawValue: 0), before: Offset(rawValue: offset))
        self.broker.deleteRecords([deletion], timeout: .seconds(5), client: .embedded, on: self.loops[0]) {
            done.put($0[0])
        }
        self.run()
        _ = try #require(done.value).get()
    }

    func allow(_ operation: AccessOperation, _ topic: String) throws {
        let done = BenchBox<Bool>()
        let acl = try Acl(ResourcePattern(.topic, .literal, ExactText(topic)), .anonymous, .any, operation, .allow)
        self.broker.createAcls([acl], client: .embedded, on: self.loops[0]) { _ in done.put(true) }
        self.run()
        #expect(done.value == true)
    }

    /// All rules of the topic go.
    func disallow(_ topic: String) throws {
        let done = BenchBox<Bool>()
        var filter = AclFilter()
        filter.name = ExactText(topic)
        self.broker.deleteAcls([filter], client: .embedded, on: self.loops[0]) { _ in done.put(true) }
        self.run()
        #expect(done.value == true)
    }

    // MARK: Clients

    func client(
        _ target: String, _ headers: [(String, String)] = [], on loop: Int = 0, address: String = "127.0.0.1"
    ) throws -> BenchClient {
        let socket = FullSocket()
        let channel = EmbeddedChannel(handler: socket, loop: self.loops[loop])
        channel.remoteAddress = try SocketAddress(ipAddress: address, port: 5000)
        channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 8080), promise: nil)
        var head = HTTPRequestHead(version: .http1_1, method: .GET, uri: target)
        head.headers.add(name: "Host", value: "localhost:8080")
        for (name, value) in headers { head.headers.add(name: name, value: value) }
        #expect(EndpointDoor.takes(head))
        self.door.take(head, channel, isSecure: false)
        self.run()
        return BenchClient(channel: channel, socket: socket, bench: self)
    }

    /// A WebSocket that has connected.
    func socket(on loop: Int = 0) throws -> BenchClient {
        let client = try self.webSocket(on: loop)
        #expect(try client.ask(#"{"id":0,"op":"connect"}"#).first?.contains(#"{"id":0,"ok":{"conn":"c"#) == true)
        return client
    }

    func webSocket(_ headers: [(String, String)] = [], on loop: Int = 0) throws -> BenchClient {
        let upgrade = [
            ("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ]
        let client = try self.client("/v1/ws", upgrade + headers, on: loop)
        client.answer = try client.head()
        #expect(client.answer.hasPrefix("HTTP/1.1 101 "))
        return client
    }
}

/// One client of the door.
final class BenchClient {
    let channel: EmbeddedChannel
    private let bench: EdgeBench
    private let socket: FullSocket
    private var bytes = ByteBuffer()
    private var backlog: [String] = []
    /// What a client that resumes would bring.
    private(set) var cursor = ""
    /// The head with which a WebSocket was opened.
    var answer = ""

    init(channel: EmbeddedChannel, socket: FullSocket, bench: EdgeBench) {
        self.channel = channel
        self.socket = socket
        self.bench = bench
    }

    var isOpen: Bool { self.channel.isActive }

    /// Its socket takes nothing any more.
    func stall() { self.socket.isFull = true }

    func goOn() {
        self.socket.isFull = false
        self.channel.flush()
        self.channel.pipeline.fireChannelWritabilityChanged()
    }

    private func take() throws {
        while let bytes = try self.channel.readOutbound(as: ByteBuffer.self) { self.bytes.writeImmutableBuffer(bytes) }
    }

    /// The head of an HTTP answer.
    func head() throws -> String {
        try self.take()
        var head: [UInt8] = []
        while !head.suffix(4).elementsEqual([13, 10, 13, 10]), let byte = self.bytes.readInteger(as: UInt8.self) {
            head.append(byte)
        }
        return String(decoding: head, as: UTF8.self)
    }

    /// The rest of what came, as text.
    func text() throws -> String {
        try self.take()
        return self.bytes.readString(length: self.bytes.readableBytes) ?? ""
    }

    /// Frames that came: texts as they are, others by their opcode and the bytes behind it.
    func frames() throws -> [String] {
        var frames = self.backlog
        self.backlog = []
        try self.forEachFrame { first, payload in
            var payload = payload
            let length = payload.readableBytes
            switch first {
            case 0x81: frames.append(payload.readString(length: length) ?? "")
            case 0xC1: frames.append(String(buffer: try MessageDeflate.inflated(payload)))
            case 0x88: frames.append("close \(payload.readInteger(as: UInt16.self) ?? 0)")
            default: frames.append("frame \(first & 0xF) \(length)")
            }
        }
        return frames
    }

    /// The binary messages that came; nothing else may have.
    func binaries() throws -> [ByteBuffer] {
        var messages: [ByteBuffer] = []
        try self.forEachFrame { first, payload in
            #expect(first == 0x82)
            messages.append(payload)
        }
        return messages
    }

    private func forEachFrame(_ body: (UInt8, ByteBuffer) throws -> Void) throws {
        try self.take()
        while let (first, second) = self.bytes.readMultipleIntegers(as: (UInt8, UInt8).self) {
            var length = Int(second)
            if second == 126 { length = Int(self.bytes.readInteger(as: UInt16.self) ?? 0) }
            if second == 127 { length = Int(self.bytes.readInteger(as: UInt64.self) ?? 0) }
            try body(first, self.bytes.readSlice(length: length) ?? ByteBuffer(string: "cut"))
        }
    }

    func send(_ opcode: UInt8, _ payload: [UInt8]) throws {
        var frame = ByteBuffer()
        frame.writeInteger(0x80 | opcode)
        if payload.count <= 125 {
            frame.writeInteger(UInt8(0x80 | payload.count))
        } else {
            frame.writeInteger(UInt8(0xFF))
            frame.writeInteger(UInt64(payload.count))
        }
        frame.writeInteger(UInt32(0))
        frame.writeBytes(payload)
        try self.channel.writeInbound(frame)
        self.bench.run()
    }

    /// Sends a text and gives the answers that came to it; what else came is there later.
    func ask(_ text: String) throws -> [String] {
        try self.send(1, Array(text.utf8))
        let frames = try self.frames()
        let answers = frames.filter { $0.hasPrefix(#"{"id":"#) }
        self.backlog = frames.filter { !$0.hasPrefix(#"{"id":"#) }
        return answers
    }

    /// The values of all records that came, `p:o=value`; keeps the last cursor.
    func records() throws -> [String] {
        try self.frames().flatMap { frame -> [String] in
            guard let object = try? JSONObject(ByteBuffer(string: frame)) else { return [frame] }
            if let event = object["event"]?.text { return ["event \(event)"] }
            self.cursor = object["cursor"]?.text ?? self.cursor
            guard let records = object["records"] else { return [frame] }
            return try records.elements(max: 10_000).map { record in
                let record = try record.object()
                let value = record["text"]?.text ?? record["value"].map { String(buffer: $0.bytes) } ?? "?"
                return "\(record["partition"]?.integer ?? -1):\(record["offset"]?.integer ?? -1)=\(value)"
            }
        }
    }
}

/// A socket that takes nothing while it is full.
final class FullSocket: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer
    var isFull = false

    func flush(context: ChannelHandlerContext) { if !self.isFull { context.flush() } }
}

/// Loops as a group.
private final class BenchGroup: EventLoopGroup {
    private let loops: [any EventLoop]

    init(loops: [any EventLoop]) { self.loops = loops }

    func next() -> any EventLoop { self.loops[0] }

    func makeIterator() -> EventLoopIterator { EventLoopIterator(self.loops) }

    func shutdownGracefully(queue: DispatchQueue, _ callback: @escaping @Sendable ((any Error)?) -> Void) {
        queue.async { callback(nil) }
    }
}

final class BenchBox<Value: Sendable>: Sendable {
    private let held = Mutex<Value?>(nil)

    var value: Value? { self.held.withLock { $0 } }

    func put(_ value: Value) { self.held.withLock { $0 = value } }
}
