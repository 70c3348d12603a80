import ApusAccess
import ApusBroker
import ApusCore
import ApusFakes
import Logging
import NIOCore
import NIOPosix
import Synchronization
import Testing
import WebFormats

@testable import HTTPDoor

/// A listener on a free port over a simulated disk, and raw bytes to and from it: no client library stands between.
struct WebWorld {
    let listener: HTTPListener
    let broker: Broker
    let group: any EventLoopGroup

    static func run(
        _ change: (inout HTTPListener.Configuration) -> Void = { _ in },
        settings: (inout BrokerSettings) -> Void = { _ in }, lines: LogLines? = nil,
        _ body: (WebWorld) async throws -> Void
    ) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        let handler: any LogHandler = lines.map { $0 as any LogHandler } ?? SwiftLogNoOpLogHandler()
        var logger = Logger(label: "test") { _ in handler }
        logger.logLevel = .trace
        var made = BrokerSettings(
            identity: BrokerIdentity(clusterID: "web", brokerID: BrokerID(rawValue: 0)),
            incarnation: Epoch(rawValue: 1), wasCleanShutdown: true, dataDirectory: "/data")
        settings(&made)
        let ports = BrokerPorts(
            disk: InlineDiskQueue(SimulatedDisk()), store: FakeCoordinatorStore(), catalogue: FakeCatalogue(),
            clock: SimulatedClock(), randomness: SeededRandomness(seed: 1), logger: logger)
        let opened = group.any().makePromise(of: Broker.self)
        Broker.open(made, ports: ports, shards: Array(group.makeIterator()), on: group.any()) { result in
            opened.completeWith(result.mapError { $0 as any Error })
        }
        let broker = try await opened.futureResult.get()
        var configuration = HTTPListener.Configuration(host: "127.0.0.1", port: 0)
        change(&configuration)
        let listener = try await HTTPListener.start(configuration, broker: broker, on: group, logger: logger).get()
        let world = WebWorld(listener: listener, broker: broker, group: group)
        do {
            try await body(world)
        } catch {
            try? await listener.stop(within: .zero).get()
            try? await group.shutdownGracefully()
            throw error
        }
        try await listener.stop(within: .zero).get()
        try await group.shutdownGracefully()
    }

    func connect() async throws -> RawClient { try await RawClient.connect(to: self.listener.endpoint, on: self.group) }

    /// One request on a connection of its own.
    func ask(
        _ method: String, _ target: String, _ body: String = "", type: String? = "application/json",
        headers: [String: String] = [:]
    ) async throws -> RawAnswer {
        var lines = ["\(method) \(target) HTTP/1.1", "Host: localhost", "Connection: close"]
        if !body.isEmpty { lines.append("Content-Length: \(body.utf8.count)") }
        if let type, !body.isEmpty { lines.append("Content-Type: \(type)") }
        lines += headers.map { "\($0.key): \($0.value)" }
        return try await self.ask(raw: lines.joined(separator: "\r\n") + "\r\n\r\n" + body)
    }

    /// Sends the bytes and reads until the server closes.
    func ask(raw: String) async throws -> RawAnswer {
        let client = try await self.connect()
        client.send(raw)
        return RawAnswer(try await client.rest())
    }
}

/// A socket: sends bytes, keeps what comes.
final class RawClient: Sendable {
    private final class Box: Sendable {
        let text = Mutex("")
    }

    private let channel: any Channel
    private let box: Box
    private let ended: EventLoopFuture<String>

    private final class Collector: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private var bytes = ByteBuffer()
        private let ended: EventLoopPromise<String>
        private let box: Box

        init(_ ended: EventLoopPromise<String>, _ box: Box) {
            self.ended = ended
            self.box = box
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            self.bytes.writeImmutableBuffer(Self.unwrapInboundIn(data))
            let text = String(buffer: self.bytes)
            self.box.text.withLock { $0 = text }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

        func channelInactive(context: ChannelHandlerContext) { self.ended.succeed(String(buffer: self.bytes)) }
    }

    private init(_ channel: any Channel, _ box: Box, ended: EventLoopFuture<String>) {
        self.channel = channel
        self.box = box
        self.ended = ended
    }

    static func connect(to endpoint: Endpoint, on group: any EventLoopGroup) async throws -> RawClient {
        let loop = group.any()
        let ended = loop.makePromise(of: String.self)
        let box = Box()
        let channel = try await ClientBootstrap(group: loop)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Collector(ended, box))
                }
            }
            .connect(host: endpoint.host, port: Int(endpoint.port)).get()
        return RawClient(channel, box, ended: ended.futureResult)
    }

    func send(_ text: String) { self.channel.writeAndFlush(ByteBuffer(string: text), promise: nil) }

    /// Until this has come, or the connection has ended.
    func wait(for text: String) async throws {
        while self.channel.isActive, !self.box.text.withLock({ $0.contains(text) }) { await Task.yield() }
    }

    /// Everything that came, once the server has closed.
    func rest() async throws -> String { try await self.ended.get() }

    func close() async throws { try await self.channel.close().get() }
}

/// What came on a connection: the first answer's status, the heads as they are, and the last body.
struct RawAnswer {
    let text: String

    init(_ text: String) { self.text = text }

    var status: Int { Int(self.text.split(separator: " ").dropFirst().first ?? "") ?? 0 }

    var head: String { self.text.components("\r\n\r\n").first ?? "" }

    var body: String { self.text.components("\r\n\r\n").dropFirst().joined(separator: "\r\n\r\n") }

    var headerLines: [String] { Array(self.head.components("\r\n").dropFirst()) }

    func header(_ name: String) -> String? {
        self.headerLines.first { $0.lowercased().hasPrefix(name.lowercased() + ":") }
            .map { String($0.drop { $0 != ":" }.dropFirst().drop { $0 == " " }) }
    }

    /// The fields of a body that is one JSON object.
    func fields() throws -> JSONObject { try JSONObject(ByteBuffer(string: self.body)) }

    /// The code of a problem.
    var code: String? { (try? self.fields())?["code"]?.text }

    /// How many answers there are.
    var answers: Int { self.text.components("HTTP/1.1 ").count - 1 }
}

extension String {
    fileprivate func components(_ separator: String) -> [String] {
        var parts: [String] = []
        var rest = self[...]
        // By bytes: Swift takes a carriage return with its line feed for one character.
        while let range = rest.utf8.firstRange(of: Array(separator.utf8)) {
            parts.append(String(rest[..<range.lowerBound]))
            rest = rest[range.upperBound...]
        }
        return parts + [String(rest)]
    }
}
