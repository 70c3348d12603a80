import ApusCore
import EdgeDoor
import NIOCore
import NIOHTTP1
import WebFormats

/// The port of an endpoint server: what it says of itself, and connections of clients, which the endpoint server has
/// for good from their first request on.
///
/// A connection that asks for anything else is answered once and closed: there is little to ask for here, and who wants
/// more is told where it is.
///
/// Owner: its connection, on its loop.
final class EndpointFront: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private enum Phase {
        case fresh
        /// The answer is being found, or the client has it and has not closed.
        case answering
        /// What comes is passed on as it is.
        case handedOver
    }

    private let door: EndpointDoor
    private let pages: EndpointPages
    private let isSecure: Bool
    private weak var encoder: HTTPResponseEncoder?
    private weak var decoder: ByteToMessageHandler<HTTPRequestDecoder>?
    private var phase = Phase.fresh
    private var deadline: Scheduled<Void>?
    /// The end of a request that was handed over, still to come from the decoder.
    private var endsToDrop = 0

    init(
        _ door: EndpointDoor, _ pages: EndpointPages, isSecure: Bool, encoder: HTTPResponseEncoder,
        decoder: ByteToMessageHandler<HTTPRequestDecoder>
    ) {
        self.door = door
        self.pages = pages
        self.isSecure = isSecure
        self.encoder = encoder
        self.decoder = decoder
    }

    func handlerAdded(context: ChannelHandlerContext) { self.close(context, after: Limits.webHeadWaitMax) }

    func handlerRemoved(context: ChannelHandlerContext) { self.deadline?.cancel() }

    /// Who takes too long is not waited for.
    private func close(_ context: ChannelHandlerContext, after wait: Duration) {
        self.deadline?.cancel()
        let channel = context.channel
        self.deadline = context.eventLoop.scheduleTask(in: .nanoseconds(wait.wholeNanoseconds)) {
            channel.close(promise: nil)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.deadline?.cancel()
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch self.phase {
        case .handedOver:
            guard self.endsToDrop > 0 else { return context.fireChannelRead(data) }
            self.endsToDrop -= 1
        case .answering: break
        case .fresh:
            guard case .head(let head) = Self.unwrapInboundIn(data) else { return }
            if EndpointDoor.takes(head) { self.handOver(head, context) } else { self.answer(head, context) }
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch self.phase {
        case .handedOver: context.fireErrorCaught(error)
        case .answering: context.close(promise: nil)
        case .fresh:
            guard error is HTTPParserError else { return context.close(promise: nil) }
            self.phase = .answering
            self.write(EndpointPages.Page(Problem(.malformedRequest, "this is no request of HTTP 1.1")), context)
        }
    }

    // MARK: Clients

    private func handOver(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        self.phase = .handedOver
        self.deadline?.cancel()
        // Of a request to upgrade the decoder still tells the end; what follows is the other protocol's. Without one
        // nothing that follows is anybody's.
        self.endsToDrop = head.headers.contains(name: "upgrade") ? 1 : Int.max
        let pipeline = context.channel.pipeline
        if let encoder = self.encoder { pipeline.syncOperations.removeHandler(encoder, promise: nil) }
        self.door.take(head, context.channel, isSecure: self.isSecure, at: .after(self))
        guard let decoder = self.decoder else { return }
        let box = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let removed = context.eventLoop.makePromise(of: Void.self)
        removed.futureResult.whenComplete { _ in
            let (handler, context) = box.value
            guard context.channel.isActive else { return }
            context.pipeline.syncOperations.removeHandler(handler, promise: nil)
        }
        pipeline.syncOperations.removeHandler(decoder, promise: removed)
    }

    // MARK: Everything else

    private func answer(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        self.phase = .answering
        let address = context.channel.remoteAddress?.ipAddress ?? ""
        let box = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        self.pages.page(for: head, from: address, isSecure: self.isSecure, on: context.eventLoop).whenSuccess { page in
            let (handler, context) = box.value
            guard context.channel.isActive else { return }
            handler.write(page, context, isHead: head.method == .HEAD)
        }
    }

    private func write(_ page: EndpointPages.Page, _ context: ChannelHandlerContext, isHead: Bool = false) {
        var headers = page.headers
        headers.replaceOrAdd(name: "content-length", value: String(page.body.readableBytes))
        headers.replaceOrAdd(name: "cache-control", value: "no-store")
        headers.replaceOrAdd(name: "connection", value: "close")
        let head = HTTPResponseHead(
            version: .http1_1, status: .init(statusCode: page.status), headers: headers)
        context.write(Self.wrapOutboundOut(.head(head)), promise: nil)
        if !isHead { context.write(Self.wrapOutboundOut(.body(.byteBuffer(page.body))), promise: nil) }
        context.writeAndFlush(Self.wrapOutboundOut(.end(nil)), promise: nil)
        // What the client still sends is thrown away for a moment, or the kernel would reset the connection before the
        // client has read the answer.
        context.close(mode: .output, promise: nil)
        self.close(context, after: Limits.webLingerMax)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if self.phase != .handedOver, case ChannelEvent.inputClosed = event { return context.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }
}
