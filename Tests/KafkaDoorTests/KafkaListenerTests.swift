import ApusAccess
import ApusBroker
import ApusCore
import ApusFakes
import KafkaWire
import Logging
import NIOCore
import NIOPosix
import Testing

@testable import KafkaDoor

/// Over real sockets: what only a kernel does.
@Suite("A listener on a port")
struct KafkaListenerTests {
    /// A listener on a free port of its own loops; stopped and shut down when `body` is done.
    private func withListener(
        connectionsMax: Int = 100, unauthenticatedMax: Int = 100, login: ListenerLogin? = nil,
        lines: LogLines = LogLines(), now: (@Sendable () -> Instant)? = nil,
        _ body: (KafkaListener, any EventLoopGroup) async throws -> Void
    ) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        let logger = lines.logger
        let settings = BrokerSettings(
            identity: BrokerIdentity(clusterID: "sockets", brokerID: BrokerID(rawValue: 0)),
            incarnation: Epoch(rawValue: 1), wasCleanShutdown: true, dataDirectory: "/data"
        )
        let ports = BrokerPorts(
            disk: InlineDiskQueue(SimulatedDisk()), store: FakeCoordinatorStore(), clock: SimulatedClock(),
            randomness: SeededRandomness(seed: 1), logger: logger
        )
        let opened = group.any().makePromise(of: Broker.self)
        Broker.open(settings, ports: ports, shards: Array(group.makeIterator()), on: group.any()) { result in
            opened.completeWith(result.mapError { $0 as any Error })
        }
        let broker = try await opened.futureResult.get()
        var configuration = KafkaListener.Configuration(host: "127.0.0.1", port: 0)
        configuration.caps.total = connectionsMax
        configuration.caps.unauthenticated = unauthenticatedMax
        configuration.login = login
        if let now { configuration.now = now }
        let listener = try await KafkaListener.start(configuration, broker: broker, on: group, logger: logger).get()
        do {
            try await body(listener, group)
        } catch {
            try? await listener.stop(within: .zero).get()
            try? await group.shutdownGracefully()
            throw error
        }
        try await listener.stop(within: .zero).get()
        try await group.shutdownGracefully()
    }

    private func connect(_ listener: KafkaListener, _ group: any EventLoopGroup) async throws -> TestClient {
        try await TestClient.connect(to: listener.endpoint, on: group)
    }

    @Test("requests of every size cross a socket whole: one after another, and many at once")
    func sizes() async throws {
        try await self.withListener { listener, group in
            let client = try await self.connect(listener, group)
            var creation = CreateTopicsRequest()
            var topic = CreateTopicsRequest.Topic()
            topic.name = "t"
            topic.numPartitions = 1
            topic.replicationFactor = 1
            var config = CreateTopicsRequest.Config()
            config.name = "max.message.bytes"
            config.value = "10000000"
            topic.configs = [config]
            creation.topics = [topic]
            #expect(try await client.ask(creation, version: 5).topics.map(\.errorCode) == [.none])

            let sizes = [1, 100, 3000, 70_000, 1_000_000, 5_000_000, 10, 400_000]
            let answers = sizes.map { size in client.send(Self.produce(size), version: 9) }
            for (index, answer) in answers.enumerated() {
                let response = try Frame.decode(
                    ProduceResponse.self, from: try await answer.get(), version: 9
                ).response
                let partition = try #require(response.responses.first?.partitionResponses.first)
                #expect(partition.errorCode == KafkaErrorCode.none)
                #expect(partition.baseOffset == Int64(index))
            }
            try await client.close()
        }
    }

    private static func produce(_ size: Int) -> ProduceRequest {
        var data = ProduceRequest.PartitionData()
        data.records = WireRecords(DoorBench.batch([String(repeating: "x", count: size)]))
        var topic = ProduceRequest.TopicData()
        topic.name = "t"
        topic.partitionData = [data]
        var request = ProduceRequest()
        request.acks = -1
        request.timeoutMs = 10_000
        request.topicData = [topic]
        return request
    }

    @Test(
        "more connections than the cap are closed at once, and there is room again when one leaves",
        .timeLimit(.minutes(20))
    )
    func cap() async throws {
        let lines = LogLines()
        try await self.withListener(connectionsMax: 1, lines: lines) { listener, group in
            let first = try await self.connect(listener, group)
            _ = try await first.ask(ApiVersionsRequest(), version: 0)
            let second = try await self.connect(listener, group)
            try await second.closed.get()
            // The cap for each address needs the address before anything else is known.
            #expect(lines.all.contains { $0.hasPrefix("turned away 127.0.0.1:") })
            _ = try await first.ask(ApiVersionsRequest(), version: 0)
            try await first.close()
            // The server hears of it a little later: the first try that is let in is the answer.
            var isIn = false
            while !isIn {
                let next = try await self.connect(listener, group)
                isIn = (try? await next.ask(ApiVersionsRequest(), version: 0)) != nil
                // Turned away, it is closed already, and saying so again is an error.
                if isIn { try await next.close() }
            }
        }
    }

    @Test("who has not logged in counts by itself, and makes room by logging in", .timeLimit(.minutes(20)))
    func unauthenticatedCap() async throws {
        let work = try PasswordHashing("tea", hash: .sha256, salt: Array(1...16), iterations: 4096)
        let credential = try #require(work.run())
        var users = ScramUsers(mockSecret: Secret(repeatElement(7, count: 32)))
        users.set(credential, of: "alice", .sha256)
        let rules = LoginRules(mechanisms: MechanismRules(enabled: [.plain]), users: users)
        let login = ListenerLogin(clock: SimulatedClock(), randomness: SeededRandomness(seed: 1)) {
            rules
        } elsewhere: { _, work in
            NIOThreadPool.singleton.submit { _ in work() }
        }
        let lines = LogLines()
        // For whom no time goes by is not asked to make room, however slow this machine is.
        let stopped = Instant(nanoseconds: 1)
        try await self.withListener(unauthenticatedMax: 1, login: login, lines: lines, now: { stopped }) {
            listener, group in
            let first = try await self.connect(listener, group)
            _ = try await first.ask(ApiVersionsRequest(), version: 0)
            try await self.connect(listener, group).closed.get()
            #expect(lines.all.contains { $0.hasPrefix("turned away 127.0.0.1:") && $0.contains("unauthenticated") })
            #expect(try await first.ask(LoginBench.handshakeRequest("PLAIN"), version: 1).errorCode == .none)
            let message = LoginBench.message(Array("\0alice\0tea".utf8))
            #expect(try await first.ask(message, version: 2).errorCode == .none)
            // The server hears of it a little later: the first try that is let in is the answer.
            var isIn = false
            while !isIn {
                let next = try await self.connect(listener, group)
                isIn = (try? await next.ask(ApiVersionsRequest(), version: 0)) != nil
                if isIn { try await next.close() }
            }
            try await first.close()
        }
    }

    @Test("an address with a quota is answered, but not faster than it may connect", .timeLimit(.minutes(20)))
    func acceptQuota() async throws {
        try await self.withListener { listener, group in
            let first = try await self.connect(listener, group)
            var entity = AlterClientQuotasRequest.Entity()
            (entity.entityType, entity.entityName) = ("ip", "127.0.0.1")
            var operation = AlterClientQuotasRequest.Operation()
            (operation.key, operation.value) = ("connection_creation_rate", 1)
            var entry = AlterClientQuotasRequest.Entry()
            (entry.entity, entry.ops) = ([entity], [operation])
            var request = AlterClientQuotasRequest()
            request.entries = [entry]
            #expect(try await first.ask(request, version: 1).entries.map(\.errorCode) == [.none])
            // Three at once, then one a second: the sixth can not be served before the third second is over.
            let began = ContinuousClock.now
            var clients: [TestClient] = []
            for _ in 0..<6 { clients.append(try await self.connect(listener, group)) }
            for client in clients {
                #expect(try await client.ask(ApiVersionsRequest(), version: 0).errorCode == .none)
            }
            #expect(ContinuousClock.now - began >= .milliseconds(2990))
        }
    }

    @Test("a listener that stops takes no more connections and closes those it has")
    func stops() async throws {
        try await self.withListener { listener, group in
            let client = try await self.connect(listener, group)
            _ = try await client.ask(ApiVersionsRequest(), version: 0)
            try await listener.stop(within: .seconds(5)).get()
            try await client.closed.get()
            await #expect(throws: (any Error).self) { try await self.connect(listener, group) }
        }
    }

    @Test("metadata names the address the client came to")
    func endpoint() async throws {
        try await self.withListener { listener, group in
            let client = try await self.connect(listener, group)
            let brokers = try await client.ask(MetadataRequest(), version: 1).brokers
            #expect(brokers.map(\.host) == ["127.0.0.1"])
            #expect(brokers.map(\.port) == [Int32(listener.endpoint.port)])
            try await client.close()
        }
    }
}

/// A client that sends requests and hands out answers in order.
private struct TestClient: Sendable {
    let channel: any Channel
    let answers: NIOLoopBound<Answers>
    var closed: EventLoopFuture<Void> { self.channel.closeFuture }

    /// Owner: the channel's event loop.
    final class Answers: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer

        var waiting: [EventLoopPromise<ByteBuffer>] = []
        var correlationID: Int32 = 0
        private var received = ByteBuffer()

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            self.received.writeImmutableBuffer(Self.unwrapInboundIn(data))
            while let frame = try? Frame.next(from: &self.received, limit: 64 << 20) {
                self.waiting.removeFirst().succeed(frame)
            }
        }

        func channelInactive(context: ChannelHandlerContext) {
            for promise in self.waiting { promise.fail(ChannelError.eof) }
            self.waiting = []
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            context.close(promise: nil)
        }
    }

    static func connect(to endpoint: Endpoint, on group: any EventLoopGroup) async throws -> TestClient {
        let loop = group.next()
        let answers = loop.makePromise(of: NIOLoopBound<Answers>.self)
        do {
            // Added before the connection is there: one that is turned away may be closed before we could.
            let channel = try await ClientBootstrap(group: loop)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        let handler = Answers()
                        try channel.pipeline.syncOperations.addHandler(handler)
                        answers.succeed(NIOLoopBound(handler, eventLoop: channel.eventLoop))
                    }
                }
                .connect(host: endpoint.host, port: Int(endpoint.port)).get()
            return TestClient(channel: channel, answers: try await answers.futureResult.get())
        } catch {
            answers.fail(error)
            throw error
        }
    }

    func send<Request: KafkaRequest>(_ request: Request, version: Int16) -> EventLoopFuture<ByteBuffer> {
        self.channel.eventLoop.flatSubmit {
            let answers = self.answers.value
            let promise = self.channel.eventLoop.makePromise(of: ByteBuffer.self)
            guard self.channel.isActive else {
                promise.fail(ChannelError.eof)
                return promise.futureResult
            }
            answers.correlationID += 1
            answers.waiting.append(promise)
            for chunk in Frame.encode(
                request, version: version, correlationID: answers.correlationID, clientID: "test"
            ) {
                self.channel.write(chunk, promise: nil)
            }
            self.channel.flush()
            return promise.futureResult
        }
    }

    func ask<Request: KafkaRequest>(_ request: Request, version: Int16) async throws -> Request.Response {
        let frame = try await self.send(request, version: version).get()
        return try Frame.decode(Request.Response.self, from: frame, version: version).response
    }

    func close() async throws {
        self.channel.close(promise: nil)
        try await self.closed.get()
    }
}
