import ApusCommand
import ApusCore
import Histogram
import NIOCore
import NIOPosix

/// Connections that are made, cut and made again, and what each of them was given. Owner: the load's loop.
final class ReconnectLoad {
    /// One client over all of its connections.
    final class Client {
        /// What it brings when it comes back.
        var cursor: String?
        /// The offset that follows; nil while nothing came.
        var next: Int64?
        /// Those that were passed over among them.
        var records: Int64 = 0
        var gaps: Int64 = 0
        var duplicates: Int64 = 0
        var channel: (any Channel)?
        /// When this connection was begun.
        var began = Instant.now
        var isSubscribed = false

        func given(_ offset: Int64) {
            if let next = self.next, offset < next {
                self.duplicates += 1
                return
            }
            // What was passed over will not come any more.
            let missed = self.next.map { offset - $0 } ?? 0
            self.gaps += missed
            self.records += 1 + missed
            self.next = offset + 1
        }
    }

    let load: LoadLoop
    let transport: PushDrain.Transport
    let address: HostPort
    let authorization: String?
    let topic: String
    let clients: [Client]
    /// Records that each has when it has all of them.
    private(set) var expected: Int64 = 0
    private let atOnce: Int
    private var nextClient = 0
    private var subscribing = 0
    private(set) var subscribed = 0
    private var complete = 0
    private var subscribedAt = Instant.now
    private var completeAt = Instant.now
    private var isCutting = false
    private var whenSubscribed: EventLoopPromise<Void>?
    private var whenComplete: EventLoopPromise<Void>?
    private var whenCut: EventLoopPromise<Void>?
    private var failure: CommandFailure?

    init(
        _ load: LoadLoop, _ transport: PushDrain.Transport, _ address: HostPort, topic: String, authorization: String?,
        connections: Int, atOnce: Int
    ) {
        self.load = load
        self.transport = transport
        self.address = address
        self.topic = topic
        self.authorization = authorization
        self.clients = (0..<connections).map { _ in Client() }
        self.atOnce = atOnce
    }

    // MARK: Connecting

    /// Connects all; is kept when all are subscribed.
    func connectAll() -> EventLoopFuture<Void> {
        (self.nextClient, self.subscribed, self.subscribing) = (0, 0, 0)
        for client in self.clients { client.isSubscribed = false }
        let promise = self.load.loop.makePromise(of: Void.self)
        self.whenSubscribed = promise
        self.connectMore()
        return promise.futureResult
    }

    private func connectMore() {
        while self.failure == nil, self.subscribing < self.atOnce, self.nextClient < self.clients.count {
            let client = self.clients[self.nextClient]
            self.nextClient += 1
            self.subscribing += 1
            self.connect(client)
        }
    }

    private func connect(_ client: Client) {
        client.began = .now
        let bound = NIOLoopBound((load: self, client: client), eventLoop: self.load.loop)
        ClientBootstrap(group: self.load.loop)
            .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 64 * 1024))
            .channelOption(.socketOption(.so_reuseaddr), value: 1)
            .connectTimeout(.seconds(30))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let (load, client) = bound.value
                    client.channel = channel
                    try channel.pipeline.syncOperations.addHandler(ReconnectClient(load, client))
                }
            }
            .connect(host: self.address.host, port: self.address.port)
            .whenFailure { error in bound.value.load.fail("a connection could not be made: \(error)") }
    }

    func isSubscribed(_ client: Client) {
        guard !client.isSubscribed else { return }
        client.isSubscribed = true
        self.subscribing -= 1
        self.subscribed += 1
        self.connectMore()
        guard self.subscribed == self.clients.count else { return }
        self.subscribedAt = .now
        self.whenSubscribed.take()?.succeed()
    }

    // MARK: Records

    /// Is kept when each client has so many records.
    func allHave(_ records: Int64) -> EventLoopFuture<Void> {
        let promise = self.load.loop.makePromise(of: Void.self)
        self.expected = records
        self.complete = self.clients.count { $0.records >= records }
        if let failure = self.failure {
            promise.fail(failure)
        } else if self.complete == self.clients.count {
            promise.succeed()
        } else {
            self.whenComplete = promise
        }
        return promise.futureResult
    }

    /// A client was given more.
    func progressed(_ client: Client, from before: Int64) {
        guard self.load.isCounting || self.whenComplete != nil else { return }
        if self.load.isCounting { self.load.records += client.records - before }
        guard before < self.expected, client.records >= self.expected else { return }
        if self.load.isCounting {
            self.load.latency.record(UInt64(clamping: Instant.now.since(client.began).wholeNanoseconds))
        }
        self.complete += 1
        guard self.complete == self.clients.count else { return }
        self.completeAt = .now
        self.whenComplete.take()?.succeed()
    }

    // MARK: Cutting

    /// Cuts all connections at once; is kept when none is left.
    func cutAll() -> EventLoopFuture<Void> {
        let promise = self.load.loop.makePromise(of: Void.self)
        self.isCutting = true
        self.whenCut = promise
        for client in self.clients { client.channel?.close(promise: nil) }
        return promise.futureResult
    }

    func isGone(_ client: Client) {
        client.channel = nil
        guard self.isCutting else { return self.fail("the server closed a connection") }
        self.subscribed -= 1
        guard self.subscribed == 0 else { return }
        self.isCutting = false
        self.whenCut.take()?.succeed()
    }

    func fail(_ message: String) {
        guard self.failure == nil, self.load.isSending, !self.isCutting else { return }
        self.load.fail(message)
        let failure = CommandFailure(.failure, code: "bench_errors", message)
        self.failure = failure
        for promise in [self.whenSubscribed.take(), self.whenComplete.take(), self.whenCut.take()] {
            promise?.fail(failure)
        }
    }

    /// What came of it, after all have all.
    /// - Parameter began: when the first connection was tried again.
    func reconnection(since began: Instant, records: Int64) -> BenchReconnection {
        BenchReconnection(
            records: records, atOnce: self.atOnce, connecting: self.subscribedAt.since(began),
            caughtUp: self.completeAt.since(began), connections: self.clients.count,
            gaps: self.clients.reduce(0) { $0 + $1.gaps }, duplicates: self.clients.reduce(0) { $0 + $1.duplicates })
    }
}

/// One connection of one client. Owner: its loop.
final class ReconnectClient: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let all: ReconnectLoad
    private let client: ReconnectLoad.Client
    private var drain: PushDrain
    private var offsets = OffsetReader()
    private var tail = CursorTail()

    init(_ all: ReconnectLoad, _ client: ReconnectLoad.Client) {
        self.all = all
        self.client = client
        self.drain = PushDrain(all.transport)
    }

    func channelActive(context: ChannelHandlerContext) {
        var request = ByteBuffer()
        switch self.all.transport {
        case .webSocket:
            request.writeString("GET /v1/ws HTTP/1.1\r\nHost: \(self.all.address)\r\nUpgrade: websocket\r\n")
            request.writeString("Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n")
            request.writeString("Sec-WebSocket-Key: YXB1cyBiZW5jaCBsb2FkLg==\r\n")
        case .eventStream:
            request.writeString("GET /v1/stream?channel=\(self.all.topic) HTTP/1.1\r\nHost: \(self.all.address)\r\n")
            if let cursor = self.client.cursor { request.writeString("Last-Event-ID: \(cursor)\r\n") }
        }
        if let login = self.all.authorization { request.writeString("Authorization: \(login)\r\n") }
        request.writeString("\r\n")
        context.writeAndFlush(self.wrapOutboundOut(request), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let chunk = self.unwrapInboundIn(data)
        var found: [PushDrain.Found] = []
        do {
            try self.drain.feed(chunk) { found.append($0) }
        } catch {
            self.all.fail("the server sent what is none of its protocol")
            return context.close(promise: nil)
        }
        for found in found { self.found(found, context) }
        let (before, client) = (self.client.records, self.client)
        self.offsets.feed(chunk) { client.given($0) }
        self.tail.feed(chunk)
        guard client.records > before else { return }
        // The cursor of the last push is the last thing in it.
        if let cursor = self.tail.cursor { client.cursor = cursor }
        self.all.progressed(client, from: before)
    }

    func channelInactive(context: ChannelHandlerContext) { self.all.isGone(self.client) }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.all.fail("\(error)")
        context.close(promise: nil)
    }

    private func found(_ found: PushDrain.Found, _ context: ChannelHandlerContext) {
        switch (found, self.all.transport) {
        case (.status(101), .webSocket):
            let from = self.client.cursor.map { #","cursor":"\#($0)""# } ?? ""
            let text =
                #"{"id":0,"op":"connect"}"# + "\n"
                + #"{"id":1,"op":"subscribe","channel":"\#(self.all.topic)"\#(from)}"#
            FanOutSubscriber.send(0x81, ByteBuffer(string: text), context)
        case (.status(200), .eventStream): break
        case (.status(let status), _): self.all.fail("the server answered with status \(status)")
        case (.ping(let payload), _): FanOutSubscriber.send(0x8A, payload, context)
        case (.closed(let code), _): self.all.fail("the server closed a WebSocket with \(code)")
        case (.message(let text), _):
            if text.hasPrefix(#"{"id":0,"ok""#) { return }
            guard text == "event: subscribed" || text.hasPrefix(#"{"id":1,"ok""#) else {
                return self.all.fail("the server said \(text.prefix(200))")
            }
            self.all.isSubscribed(self.client)
        }
    }
}
