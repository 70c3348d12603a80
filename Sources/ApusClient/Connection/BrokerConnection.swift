import ApusCore
import DequeModule
import KafkaWire
import NIOCore

/// One connection to one broker: requests out, answers in, in the same order.
///
/// The only handler of its channel. It learns first which versions the broker serves, then is ready. An answer that is
/// late, out of order or not readable ends the connection: nothing behind it could be trusted. Everything that waits is
/// then told that its answer is lost.
///
/// Owner: its event loop; every call must be made there. That is the proof behind `@unchecked Sendable`.
final class BrokerConnection: ChannelInboundHandler, RemovableChannelHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private struct Call {
        let correlationID: Int32
        let deadline: Instant
        let answer: (Result<ByteBuffer, ApusError>) -> Void
    }

    enum State {
        case connecting
        case negotiating(VersionNegotiation)
        case loggingIn
        case ready(ApiVersionTable)
        case closed(ApusError)
    }

    let peer: BrokerPeer
    private let clientID: String
    let loop: any EventLoop
    private let login: BrokerLogin?
    private let readSizes: ReadSizes
    private(set) var state = State.connecting
    private var frames: FrameAssembler
    private var calls: Deque<Call> = []
    private var correlationNext: Int32 = 0
    private var context: ChannelHandlerContext?
    private var isSweeping = false
    /// Requests that wait for a login's renewal; nil while there is none.
    private var held: [() -> Void]?
    private let negotiationDeadline: Instant
    /// Told once, when the versions are known or the connection has failed before.
    private var onReady: ((Result<Void, ApusError>) -> Void)?
    /// Told once, when the connection is gone, if it was ready.
    private var onClosed: ((ApusError) -> Void)?

    init(
        to peer: BrokerPeer, clientID: String, responseBytesMax: ByteCount, on loop: any EventLoop,
        readyBy deadline: Instant, login: BrokerLogin? = nil, onReady: @escaping (Result<Void, ApusError>) -> Void,
        onClosed: @escaping (ApusError) -> Void
    ) {
        self.peer = peer
        self.clientID = clientID
        self.loop = loop
        self.login = login
        self.frames = FrameAssembler(bytesMax: responseBytesMax.rawValue)
        self.readSizes = ReadSizes()
        self.negotiationDeadline = deadline
        self.onReady = onReady
        self.onClosed = onClosed
    }

    /// Sizes the channel's reads by what the frame that has begun still lacks.
    var readAllocator: any RecvByteBufferAllocator { self.readSizes }

    /// Whom the channel is connected to.
    var peerAddress: SocketAddress? { self.context?.channel.remoteAddress }

    // MARK: Calling

    /// The version in which a request of this API would go; nil when the broker serves none we know.
    func version(of api: ApiKey, upTo limit: Int16 = .max) -> Int16? {
        guard case .ready(let table) = self.state else { return nil }
        return table.version(of: api, upTo: limit)
    }

    /// Sends a request and answers exactly once.
    ///
    /// Nothing leaves before ``flush()``.
    /// - Parameters:
    ///   - limit: the highest version that the caller can use.
    ///   - deadline: when the answer, and with it the connection, counts as lost.
    func send<Request: KafkaRequest>(
        _ request: Request, upTo limit: Int16 = .max, deadline: Instant,
        then: @escaping (Result<Request.Response, ApusError>) -> Void
    ) {
        self.loop.preconditionInEventLoop()
        if case .closed(let error) = self.state { return then(.failure(error.unsent)) }
        guard let version = self.version(of: Request.apiKey, upTo: limit) else {
            return then(.failure(self.error(.unsupported, "it serves no version of \(Request.apiKey) that we know")))
        }
        if self.held != nil {
            // Late ones are found out when they are sent.
            self.held?.append { self.send(request, upTo: limit, deadline: deadline, then: then) }
            return
        }
        self.write(request, version: version, deadline: deadline) { [self] answer in
            then(answer.flatMap { self.decode(Request.Response.self, from: $0, version: version) })
        }
    }

    // MARK: Logins

    /// A message of a login, sent at once; a failure of it is one of the connection.
    func askForLogin<Request: KafkaRequest>(
        _ request: Request, version: Int16, then: @escaping (Request.Response) -> Void
    ) {
        let deadline = max(self.negotiationDeadline, Instant(self.loop.now).advanced(by: ClientLimits.loginWaitMax))
        self.write(request, version: version, deadline: deadline) { [self] answer in
            guard case .success(let frame) = answer else { return }
            if case .success(let response) = self.decode(Request.Response.self, from: frame, version: version) {
                then(response)
            }
        }
        self.flush()
    }

    func holdRequests() {
        self.held = self.held ?? []
    }

    /// Sends what was held back, or has it fail when the connection has.
    func letRequestsGo() {
        guard let held = self.held.take() else { return }
        for request in held { request() }
        self.flush()
    }

    /// Sends a request that has no answer; `then` is told when it was written to the socket.
    func post<Request: KafkaRequest>(
        _ request: Request, upTo limit: Int16 = .max, then: @escaping @Sendable (Result<Void, ApusError>) -> Void
    ) {
        self.loop.preconditionInEventLoop()
        if self.held != nil {
            self.held?.append { self.post(request, upTo: limit, then: then) }
            return
        }
        guard let context = self.context, let version = self.version(of: Request.apiKey, upTo: limit) else {
            return then(.failure(self.error(.connectionLost, "there is no connection").unsent))
        }
        var pieces = Frame.encode(
            request, version: version, correlationID: self.nextCorrelationID(), clientID: self.clientID)
        guard let last = pieces.popLast() else { return then(.failure(self.tooLong)) }
        for piece in pieces { context.write(self.wrapOutboundOut(piece), promise: nil) }
        let written = context.eventLoop.makePromise(of: Void.self)
        let lost = self.error(.connectionLost, "the connection went away", isRetryable: true, isIndefinite: true)
        written.futureResult.whenComplete { result in
            then(result.mapError { _ in lost })
        }
        context.write(self.wrapOutboundOut(last), promise: written)
    }

    func flush() {
        self.context?.flush()
    }

    func close() {
        self.fail(self.error(.closed, "the client was closed"))
    }

    /// Leaves the channel, logged in and with nothing asked, to whoever speaks on it next.
    func handOver() -> EventLoopFuture<any Channel> {
        self.loop.preconditionInEventLoop()
        guard case .ready = self.state, self.calls.isEmpty, let context = self.context else {
            let lost = self.error(.connectionLost, "the connection went away", isRetryable: true)
            return self.loop.makeFailedFuture(lost)
        }
        // A login that is due does not happen: it would be read by somebody else.
        self.state = .closed(self.error(.closed, "the connection was given away"))
        self.onClosed = nil
        let channel = context.channel
        return context.pipeline.syncOperations.removeHandler(self).map { channel }
    }

    private func write<Request: KafkaRequest>(
        _ request: Request, version: Int16, deadline: Instant,
        answer: @escaping (Result<ByteBuffer, ApusError>) -> Void
    ) {
        guard let context = self.context else {
            return answer(.failure(self.error(.connectionLost, "there is no connection").unsent))
        }
        let correlationID = self.nextCorrelationID()
        let pieces = Frame.encode(request, version: version, correlationID: correlationID, clientID: self.clientID)
        guard !pieces.isEmpty else { return answer(.failure(self.tooLong)) }
        self.calls.append(Call(correlationID: correlationID, deadline: deadline, answer: answer))
        for piece in pieces { context.write(self.wrapOutboundOut(piece), promise: nil) }
        self.sweepLater()
    }

    /// Nothing of it was sent, and it would be the same again.
    private var tooLong: ApusError {
        self.error(.invalidArgument, "a request over \(WireLimits.frameBytesWrittenMax) bytes: ask for less at once")
            .unsent
    }

    private func nextCorrelationID() -> Int32 {
        defer { self.correlationNext = self.correlationNext == .max ? 0 : self.correlationNext + 1 }
        return self.correlationNext
    }

    private func decode<Response: KafkaResponse>(
        _: Response.Type, from frame: ByteBuffer, version: Int16
    ) -> Result<Response, ApusError> {
        do throws(WireError) {
            return .success(try Frame.decode(Response.self, from: frame, version: version).response)
        } catch {
            let failure = self.error(
                .corrupt, "its \(Response.apiKey) answer can not be read", isIndefinite: true, cause: error)
            self.fail(failure)
            return .failure(failure)
        }
    }

    // MARK: The channel

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if context.channel.isActive { self.negotiate() }
    }

    func channelActive(context: ChannelHandlerContext) {
        self.negotiate()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        self.frames.append(self.unwrapInboundIn(data))
        do throws(WireError) {
            while let frame = try self.frames.next() { self.received(frame) }
            self.readSizes.missing = self.frames.missing
        } catch {
            self.fail(self.error(.corrupt, "what it sent is no answer", isIndefinite: true, cause: error))
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.fail(self.error(.connectionLost, "it closed the connection", isRetryable: true, isIndefinite: true))
        self.context = nil
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if let words = BrokerSocket.tlsFailure(error) { return self.fail(self.error(.tls, words, cause: error)) }
        self.fail(
            self.error(.connectionLost, "the connection failed", isRetryable: true, isIndefinite: true, cause: error))
    }

    private func received(_ frame: ByteBuffer) {
        if case .closed = self.state { return }
        guard let call = self.calls.first,
            frame.getInteger(at: frame.readerIndex, as: Int32.self) == call.correlationID
        else {
            return self.fail(self.error(.corrupt, "it answered something that was not asked", isIndefinite: true))
        }
        self.calls.removeFirst()
        call.answer(.success(frame))
    }

    // MARK: Negotiating

    private func negotiate() {
        guard case .connecting = self.state else { return }
        var negotiation = VersionNegotiation()
        let step = negotiation.start()
        self.state = .negotiating(negotiation)
        self.take(step)
    }

    private func take(_ step: VersionNegotiation.Step) {
        switch step {
        case .ask(let version):
            var request = ApiVersionsRequest()
            request.clientSoftwareName = "apus"
            request.clientSoftwareVersion = ClientLimits.softwareVersion
            self.write(request, version: version, deadline: self.negotiationDeadline) { [self] answer in
                guard case .negotiating(var negotiation) = self.state, case .success(let frame) = answer else { return }
                let step = negotiation.answered(WireReader(frame))
                self.state = .negotiating(negotiation)
                self.take(step)
            }
            self.flush()
        case .done(let table):
            guard let login = self.login else { return self.ready(table) }
            self.state = .loggingIn
            self.logIn(login, table) { self.ready(table) }
        case .failed(let why):
            self.fail(self.error(.unsupported, why))
        }
    }

    private func ready(_ table: ApiVersionTable) {
        self.state = .ready(table)
        self.onReady.take()?(.success(()))
    }

    // MARK: Failing

    /// One sweep twice a second looks at all deadlines: cheaper than a timer for each request.
    private func sweepLater() {
        guard !self.isSweeping else { return }
        self.isSweeping = true
        self.loop.scheduleTask(in: .milliseconds(500)) { self.sweep() }
    }

    private func sweep() {
        self.isSweeping = false
        guard !self.calls.isEmpty else { return }
        let now = Instant(self.loop.now)
        if self.calls.contains(where: { $0.deadline <= now }) {
            // Answers come in order: what waits behind the late one is as late.
            self.fail(self.error(.timedOut, "no answer in time", isRetryable: true, isIndefinite: true))
        } else {
            self.sweepLater()
        }
    }

    func fail(_ error: ApusError) {
        if case .closed = self.state { return }
        self.state = .closed(error)
        let calls = self.calls
        self.calls = []
        self.context?.close(promise: nil)
        self.onReady.take()?(.failure(error))
        for call in calls { call.answer(.failure(error)) }
        self.letRequestsGo()
        self.onClosed.take()?(error)
    }

    func error(
        _ code: ApusError.Code, _ message: String, isRetryable: Bool = false, isIndefinite: Bool = false,
        cause: (any Error)? = nil
    ) -> ApusError {
        ApusError(
            code, message, isRetryable: isRetryable, isIndefinite: isIndefinite, broker: "\(self.peer.address)",
            brokerID: self.peer.id, cause: cause
        )
    }
}

extension ApusError {
    /// The same for a request that never left.
    var unsent: ApusError {
        var error = self
        error.isIndefinite = false
        error.isRetryable = !error.isFinal && error.code != .closed
        return error
    }

    /// Trying again with nothing changed is of no use.
    var isFinal: Bool { [.notAuthorized, .tls, .loginInClear].contains(self.code) }
}
