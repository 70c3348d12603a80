import ApusCore
import HTTPTypes
import NIOCore
import NIOHTTP1
import NIOHTTPTypes
import NIOHTTPTypesHTTP1
import WebFormats

/// Stands between the decoder and the requests of one connection: looks at each head and decides whose the connection
/// is, keeps the bounds of time and size, and answers what is no HTTP.
///
/// **What is refused** is answered with a problem and then not read any more: the output is closed, and what the client
/// still sends is thrown away for a moment, or the kernel would reset the connection before the client has read why.
///
/// Owner: its connection, on its loop.
final class ConnectionGuard: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    /// What becomes of a connection.
    enum Kind: Sendable {
        /// Requests, one after the other.
        case requests(NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>)
        /// Another door has it, or it ended before it said anything.
        case gone
    }

    enum Phase {
        /// No head has come yet.
        case fresh
        case serving
        /// Another door's; what comes is passed on as it is.
        case handedOver
        /// Refused or done: nothing is read or written any more.
        case lingering
        case closed
    }

    private struct OpenRequest {
        /// The connection ends behind its answer.
        var isLast: Bool
        var isRead = false
    }

    private let kind: EventLoopPromise<Kind>
    private let edge: EdgeEntrance?
    private let isSecure: Bool
    private let now: () -> NIODeadline
    private(set) var phase = Phase.fresh
    private var check: RepeatedTask?
    private weak var encoder: HTTPResponseEncoder?
    private weak var decoder: ByteToMessageHandler<HTTPRequestDecoder>?

    /// Since the last part that the decoder made of them.
    private var unusedBytes = 0
    /// When the head that is being read began.
    private var headBegan: NIODeadline?
    private var idleSince: NIODeadline
    /// Requests whose answer has not ended, in their order: a client may send several at once.
    private var open: CircularBuffer<OpenRequest> = []
    /// Of the newest of them, while it comes.
    private var body: BodyPace?
    private var hasBegunAnswer = false
    /// The listener stops: the connection ends behind the present answer.
    private var isDraining = false
    private var unwritableSince: NIODeadline?
    private var lingerUntil = NIODeadline.distantFuture
    /// The end of a request that was handed over, still to come from the decoder.
    private var endsToDrop = 0

    init(
        _ kind: EventLoopPromise<Kind>, edge: EdgeEntrance?, isSecure: Bool, encoder: HTTPResponseEncoder,
        decoder: ByteToMessageHandler<HTTPRequestDecoder>, now: @escaping () -> NIODeadline = NIODeadline.now
    ) {
        self.kind = kind
        self.edge = edge
        self.isSecure = isSecure
        self.encoder = encoder
        self.decoder = decoder
        self.now = now
        self.idleSince = now()
    }

    // MARK: Life

    func handlerAdded(context: ChannelHandlerContext) {
        let period = TimeAmount.nanoseconds(Limits.webCheckPeriod.wholeNanoseconds)
        let box = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        self.check = context.eventLoop.scheduleRepeatedTask(initialDelay: period, delay: period) { _ in
            let (handler, context) = box.value
            handler.look(context)
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.check?.cancel()
        self.check = nil
        self.kind.succeed(.gone)
    }

    func channelInactive(context: ChannelHandlerContext) {
        if self.phase != .handedOver { self.phase = .closed }
        self.check?.cancel()
        self.check = nil
        self.kind.succeed(.gone)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch self.phase {
        case .fresh, .serving:
            // More of what was no request, behind one that is still to be answered.
            if case ByteToMessageDecoderError.dataReceivedInErrorState = error { return }
            guard let error = error as? HTTPParserError else { return context.close(promise: nil) }
            if error == .headerOverflow {
                let detail =
                    "at most \(Limits.webHeadersMax) header fields of \(Limits.webHeaderBytesMax) in all are taken"
                self.refuse(Problem(.headersTooLarge, detail), context)
            } else {
                self.refuse(Problem(.malformedRequest, "this is no request of HTTP 1.1"), context)
            }
        case .lingering: break
        case .handedOver, .closed: context.fireErrorCaught(error)
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case is ChannelShouldQuiesceEvent where self.phase != .handedOver:
            self.isDraining = true
            if self.open.isEmpty { context.close(promise: nil) }
        case ChannelEvent.inputClosed where self.phase == .lingering:
            context.close(promise: nil)
        case ChannelEvent.inputClosed where self.phase != .handedOver && self.open.isEmpty:
            context.close(promise: nil)
        default: context.fireUserInboundEventTriggered(event)
        }
    }

    // MARK: In

    /// False: the bytes are of no use to anybody.
    func arrived(_ bytes: Int) -> Bool {
        switch self.phase {
        case .lingering, .closed: return false
        case .handedOver: return true
        case .fresh, .serving:
            self.unusedBytes += bytes
            if self.body == nil, self.headBegan == nil { self.headBegan = self.now() }
            self.body?.arrived(bytes, at: self.now())
            return true
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch self.phase {
        case .handedOver:
            guard self.endsToDrop > 0 else { return context.fireChannelRead(data) }
            self.endsToDrop -= 1
        case .lingering, .closed: break
        case .fresh, .serving:
            self.unusedBytes = 0
            switch Self.unwrapInboundIn(data) {
            case .head(let head): self.begin(head, context)
            case .body(let bytes): context.fireChannelRead(Self.wrapInboundOut(.body(bytes)))
            case .end(let trailers):
                self.body = nil
                if !self.open.isEmpty { self.open[self.open.index(before: self.open.endIndex)].isRead = true }
                let fields = trailers.map { HTTPFields($0, splitCookie: false) }
                context.fireChannelRead(Self.wrapInboundOut(.end(fields)))
            }
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        // Thrown away as fast as it comes.
        if self.phase == .lingering { return context.read() }
        if self.phase == .serving || self.phase == .fresh, self.unusedBytes > Limits.webUnusedBytesMax.rawValue {
            return self.refuse(Problem(.malformedRequest, "bytes without end that are no request"), context)
        }
        context.fireChannelReadComplete()
    }

    func read(context: ChannelHandlerContext) {
        self.body?.asked(at: self.now())
        context.read()
    }

    private func begin(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        self.headBegan = nil
        // Also behind others that are answered: browsers use their connections again.
        if self.open.isEmpty, let edge = self.edge, edge.takes(head) {
            return self.handOver(head, to: edge, context)
        }
        let request: HTTPRequest
        // A method or a target that has no name there.
        guard head.headers["host"].count <= 1,
            let made = try? HTTPRequest(head, secure: self.isSecure, splitCookie: false)
        else { return self.refuse(Problem(.malformedRequest, "this is no request of HTTP 1.1"), context) }
        request = made
        let isStream = MediaType(head.headers.first(name: "content-type")) == .lines
        if !isStream, let length = head.headers.first(name: "content-length").flatMap({ Int($0) }),
            length > Limits.webBodyBytesMax.rawValue
        {
            let detail = "a body has at most \(Limits.webBodyBytesMax)"
            return self.refuse(
                Problem(.messageTooLarge, detail, hint: "a stream of lines (application/x-ndjson) has no bound"),
                context)
        }
        if self.phase == .fresh {
            self.phase = .serving
            do {
                let channel = try NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>(
                    wrappingChannelSynchronously: context.channel,
                    configuration: .init(isOutboundHalfClosureEnabled: true))
                self.kind.succeed(.requests(channel))
            } catch {
                return context.close(promise: nil)
            }
        }
        self.open.append(OpenRequest(isLast: !head.isKeepAlive || head.version != .http1_1))
        self.body = BodyPace(isStream: isStream, at: self.now())
        if head.headers.first(name: "expect")?.lowercased() == "100-continue" {
            let goOn = HTTPResponseHead(version: .http1_1, status: .continue)
            context.writeAndFlush(Self.wrapOutboundOut(.head(goOn)), promise: nil)
        }
        context.fireChannelRead(Self.wrapInboundOut(.head(request)))
    }

    // MARK: Handing over

    private func handOver(_ head: HTTPRequestHead, to edge: EdgeEntrance, _ context: ChannelHandlerContext) {
        self.phase = .handedOver
        self.check?.cancel()
        self.check = nil
        // Of a request to upgrade the decoder still tells the end; what follows is the other protocol's. Without one
        // nothing that follows is anybody's.
        self.endsToDrop = head.headers.contains(name: "upgrade") ? 1 : Int.max
        let pipeline = context.channel.pipeline
        if let encoder = self.encoder { pipeline.syncOperations.removeHandler(encoder, promise: nil) }
        edge.take(head, context.channel, isSecure: self.isSecure, at: .after(self))
        self.kind.succeed(.gone)
        guard let decoder = self.decoder else { return }
        let box = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let removed = context.eventLoop.makePromise(of: Void.self)
        removed.futureResult.whenComplete { _ in
            let (handler, context) = box.value
            guard context.channel.isActive else { return }
            // `try?`: it is gone when it is not found.
            if let gauge = try? context.pipeline.syncOperations.handler(type: ByteGauge.self) {
                context.pipeline.syncOperations.removeHandler(gauge, promise: nil)
            }
            context.pipeline.syncOperations.removeHandler(handler, promise: nil)
        }
        pipeline.syncOperations.removeHandler(decoder, promise: removed)
    }

    // MARK: Out

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch self.phase {
        case .handedOver: return context.write(data, promise: promise)
        case .lingering, .closed:
            promise?.succeed()
            return
        case .fresh, .serving: break
        }
        switch Self.unwrapOutboundIn(data) {
        case .head(let response):
            var head = HTTPResponseHead(response)
            let isTold = head.headers.first(name: "connection")?.lowercased() == "close"
            if isTold || self.isDraining, !self.open.isEmpty { self.open[self.open.startIndex].isLast = true }
            if self.open.first?.isLast ?? true { head.headers.replaceOrAdd(name: "connection", value: "close") }
            self.hasBegunAnswer = true
            context.write(Self.wrapOutboundOut(.head(head)), promise: promise)
        case .body(let bytes): context.write(Self.wrapOutboundOut(.body(.byteBuffer(bytes))), promise: promise)
        case .end(let trailers):
            context.write(Self.wrapOutboundOut(.end(trailers.map { HTTPHeaders($0) })), promise: promise)
            self.hasBegunAnswer = false
            self.idleSince = self.now()
            // Of a body that did not all come the rest could not be told from the next request.
            let request = self.open.popFirst()
            if request?.isLast ?? true || request?.isRead != true {
                context.flush()
                self.linger(context)
            }
        }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        self.unwritableSince = context.channel.isWritable ? nil : self.now()
        context.fireChannelWritabilityChanged()
    }

    /// Answers with a problem and ends the connection; ends it at once when another answer is under way.
    private func refuse(_ problem: Problem, _ context: ChannelHandlerContext) {
        // What is wrong stands behind a request that is whole: that one gets its own answer, and the connection ends
        // behind it. Or a write would be told that it was refused, and be done.
        if !self.open.isEmpty, self.open[self.open.index(before: self.open.endIndex)].isRead {
            self.open[self.open.index(before: self.open.endIndex)].isLast = true
            return
        }
        guard !self.hasBegunAnswer, self.open.count <= 1 else { return context.close(promise: nil) }
        var body = ByteBuffer()
        body.writeJSON(problem)
        let headers: HTTPHeaders = [
            "content-type": "application/problem+json", "content-length": String(body.readableBytes),
            "connection": "close",
        ]
        let head = HTTPResponseHead(
            version: .http1_1, status: .init(statusCode: problem.code.status), headers: headers)
        context.write(Self.wrapOutboundOut(.head(head)), promise: nil)
        context.write(Self.wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
        context.writeAndFlush(Self.wrapOutboundOut(.end(nil)), promise: nil)
        self.linger(context)
    }

    private func linger(_ context: ChannelHandlerContext) {
        self.phase = .lingering
        self.lingerUntil = self.now() + .nanoseconds(Limits.webLingerMax.wholeNanoseconds)
        context.close(mode: .output, promise: nil)
        // Who waits for the rest of a request waits no more.
        context.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        // Reads go on without being asked for, to notice the client's end.
        context.read()
    }

    // MARK: Time

    private func look(_ context: ChannelHandlerContext) {
        let now = self.now()
        switch self.phase {
        case .closed, .handedOver: return
        case .lingering:
            if now >= self.lingerUntil { context.close(promise: nil) } else { context.read() }
            return
        case .fresh, .serving: break
        }
        if let since = self.unwritableSince, now - since > .nanoseconds(Limits.webUnreadWaitMax.wholeNanoseconds) {
            return context.close(promise: nil)
        }
        if let body = self.body {
            guard body.isTooSlow(at: now) else { return }
            return self.refuse(Problem(.requestTimedOut, "the request's body comes too slowly"), context)
        }
        if let began = self.headBegan ?? (self.phase == .fresh ? self.idleSince : nil) {
            guard self.open.isEmpty, now - began > .nanoseconds(Limits.webHeadWaitMax.wholeNanoseconds) else {
                return
            }
            // Nobody is told that a connection on which nothing was asked is closed.
            guard self.headBegan != nil else { return context.close(promise: nil) }
            return self.refuse(Problem(.requestTimedOut, "the request's head comes too slowly"), context)
        }
        guard self.open.isEmpty, now - self.idleSince > .nanoseconds(Limits.webIdleMax.wholeNanoseconds) else {
            return
        }
        context.close(promise: nil)
    }
}
