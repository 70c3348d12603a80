import ApusAccess
import ApusBroker
import ApusCore
import NIOCore
import WebFormats

/// One client of the edge: its only channel handler, behind the one request that HTTP read. Bytes in, what the session
/// decides out.
///
/// What bounds a client (design promise P6): messages and operations by the session, what was pushed and not taken by
/// ``Limits/edgeBytesOwedMax``, messages that wait for their answers by ``Limits/edgeRequestBytesMax``, and those of
/// all clients by ``Limits/edgeRequestMemoryPerLoop``.
///
/// Owner: its channel's event loop; touched nowhere else.
final class EndpointConnection: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    enum Phase {
        /// The request was not answered yet.
        case knocking
        case open
        /// The last word was said; cut at this time. Closed before, as soon as the socket took it, if the client has
        /// nothing more to say.
        case closing(until: Instant, isLast: Bool)
        case closed
    }

    let door: EndpointDoor
    let loop: EndpointLoop
    let name: String
    let since: Timestamp
    /// Let go of when it was answered: its headers are more than all else of a quiet connection.
    var knocked: Knock?
    let transport: Transport
    let isStream: Bool
    /// Its messages may be compressed.
    var isDeflating = false
    private(set) var shared: EndpointClient
    /// The version of the rules that its subscriptions were held against.
    var rightsSeen: StoreRevision
    /// Somebody has to say who this is, and nobody has.
    var mustLogIn: Bool
    /// When its token runs out.
    var expires: Timestamp? { didSet { self.disturbed() } }
    /// The API key that it logged in with, while that is there.
    var keyID: String? { didSet { self.disturbed() } }
    var session: EdgeSession
    /// Only of an event stream of several channels.
    var several: EndpointStream?
    var phase = Phase.knocking { didSet { self.disturbed() } }
    /// Subscriptions that are asked for or joined.
    var places = EndpointPlaces()
    /// The read of the log that is under way, and for which subscription.
    var reading: (token: SubscriptionToken, read: EndpointPast.Read)?
    /// Counts the reads of the past.
    var reads = 0
    /// The client has used its quota up: nothing is read from it or written to it before.
    var mutedUntil: Instant?
    private(set) var context: ChannelHandlerContext?

    /// Only while a message is on its way.
    private var reader: Reader?
    /// What is to be written at the end of the tick.
    private var pending: [ByteBuffer] = []
    /// Where it stands in the loop's roster; nil: it is in none.
    var seat: EndpointRoster.Seat?
    /// The sweep leaves it alone for a while.
    private var isQuiet = false
    private var isUnflushed = false
    private var isReadHeld = false
    /// Of messages whose operations are under way.
    private var requestBytes = 0
    /// What the loop knows that is held for this client.
    private var bytesTold = 0
    /// Handed to the socket.
    private var bytesWritten = 0
    /// How much of it the socket had taken, and since when it is no more; nil: it owes nothing.
    private var unread: (taken: Int, since: Instant)?

    /// What is kept of the request until it is answered.
    final class Knock {
        let request: WebRequest
        /// It is refused then.
        let until: Instant

        init(_ request: WebRequest, until: Instant) {
            self.request = request
            self.until = until
        }
    }

    /// On the heap: most connections have none.
    final class Reader {
        var value = WebSocketReader()
    }

    init(
        _ door: EndpointDoor, _ loop: EndpointLoop, _ request: WebRequest, _ channel: any Channel, isSecure: Bool
    ) {
        self.door = door
        self.loop = loop
        self.knocked = Knock(request, until: door.now.advanced(by: Limits.edgeKnockWaitMax))
        self.name = door.nextName()
        self.since = door.wallTime
        let address = channel.remoteAddress?.ipAddress ?? ""
        let shared = loop.anonymous(address)
        (self.shared, self.rightsSeen) = (shared, shared.context.access.version)
        self.transport = isSecure ? .tls : HostAddress(address)?.isLoopback == true ? .loopback : .open
        self.mustLogIn = door.configuration.login != nil
        self.isStream = request.path == "/v1/stream"
        self.session = EdgeSession(
            self.isStream ? .stream : .socket, at: door.now, isConnected: self.isStream)
    }

    var request: WebRequest { self.knocked?.request ?? WebRequest(method: "GET", target: "", headers: []) }

    /// Who this is. Whoever becomes somebody else has a place of its own: what a token allows is nobody else's.
    var client: ClientContext {
        get { self.shared.context }
        set {
            self.settleMeter()
            self.shared = EndpointClient(newValue)
            self.loop.renewRights(of: self)
        }
    }

    func renewClient() { self.door.upstream.renew(&self.shared.context) }

    // MARK: Channel events

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        self.loop.add(self)
        self.knock()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // A stream is one way. What follows its request is nobody's.
        guard !self.isStream, !self.isClosed else { return }
        guard case .open = self.phase else {
            if case .knocking = self.phase {
                self.refuse(Problem(.invalidRequest, "a WebSocket's frames follow the answer to its request"))
            }
            return
        }
        let began = self.beginsWork()
        let reader = self.reader ?? self.loop.spareReader ?? Reader()
        (self.reader, self.loop.spareReader) = (reader, nil)
        (reader.value.format, reader.value.mayInflate) = (self.session.format, self.isDeflating)
        reader.value.received(Self.unwrapInboundIn(data))
        self.readFrames(reader)
        self.tellHeld()
        if reader.value.isIdle { (self.reader, self.loop.spareReader) = (nil, reader) }
        if let began {
            let worked = self.door.now.since(began)
            self.count { $0.worked(worked) }
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        context.fireChannelReadComplete()
    }

    func read(context: ChannelHandlerContext) {
        guard self.mayRead else {
            self.isReadHeld = true
            return
        }
        context.read()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        self.settle()
        context.fireChannelWritabilityChanged()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        // A client that sends nothing more has gone: browsers and their like close both ways at once, and without this
        // a stream would stay until it is written to.
        if case ChannelEvent.inputClosed = event, case .open = self.phase { self.cut() }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // The socket's own failures (reset, timed out) are a client that went away: no news.
        self.cut()
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.ended()
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.ended()
        self.context = nil
    }

    /// For tests.
    var keepsReader: Bool { self.reader != nil }

    private var isClosed: Bool { if case .closed = self.phase { true } else { false } }

    private func ended() {
        guard !self.isClosed else { return }
        self.phase = .closed
        self.run(self.session.gone())
        self.settleMeter()
        self.pending = []
        self.requestBytes = 0
        self.reader = nil
        self.tellHeld()
        self.loop.remove(self)
    }

    /// Closes without a word.
    func cut() {
        guard !self.isClosed else { return }
        self.context?.close(promise: nil)
        self.ended()
    }

    // MARK: Reading

    private var mayRead: Bool {
        self.mutedUntil == nil && self.requestBytes < Limits.edgeRequestBytesMax.rawValue
    }

    func readOn() {
        guard self.isReadHeld, self.mayRead else { return }
        self.isReadHeld = false
        self.context?.read()
    }

    private func readFrames(_ reader: Reader) {
        do throws(WebSocketFault) {
            while case .open = self.phase, let event = try reader.value.next() {
                switch event {
                case .message(let text):
                    self.run(self.session.received(text, at: self.door.now))
                    if self.session.operationsUnderWay > 0 { self.requestBytes += text.readableBytes }
                case .ping(let payload):
                    self.session.heard(at: self.door.now)
                    self.answerPing(payload)
                case .pong: self.session.heard(at: self.door.now)
                case .close(let code): self.sayGoodbye(WebSocketFrame.close(code ?? 1000), isLast: true)
                }
            }
        } catch {
            self.sayGoodbye(WebSocketFrame.close(error.closeCode, error.text), isLast: false)
        }
    }

    private func answerPing(_ payload: ByteBuffer) {
        let frame = WebSocketFrame.of(.pong, payload)
        self.session.owes(.bytes(frame.readableBytes))
        guard self.session.bytesOwed.rawValue <= Limits.edgeBytesOwedMax.rawValue * 2 else {
            return self.run(self.session.close(.tooSlow))
        }
        self.write(frame)
    }

    /// Operations were answered: the client is read on when all are, or few bytes wait.
    func requestsMoved() {
        if self.session.operationsUnderWay == 0 { self.requestBytes = 0 }
        self.tellHeld()
        self.readOn()
    }

    /// Messages of all clients together are bounded: who brings a large one while there is no room comes again.
    private func tellHeld() {
        let held = (self.reader?.value.byteCount ?? 0) + self.requestBytes
        let more = held - self.bytesTold
        guard more != 0 else { return }
        self.bytesTold = held
        guard !self.loop.holds(more), held > Limits.edgeRequestBytesFree.rawValue, case .open = self.phase else {
            return
        }
        self.run(self.session.close(.overloaded))
    }

    // MARK: Writing

    func write(_ bytes: ByteBuffer) {
        guard !self.isClosed else { return }
        self.disturbed()
        self.pending.append(bytes)
        guard !self.isUnflushed else { return }
        self.isUnflushed = true
        self.loop.flushSoon(self)
    }

    /// All that came together in this tick is one write.
    /// - Returns: how many bytes were written.
    @discardableResult
    func flush() -> Int {
        self.isUnflushed = false
        guard let context = self.context, !self.isClosed, !self.pending.isEmpty else { return 0 }
        guard self.mutedUntil == nil else { return 0 }
        let pending = self.pending
        self.pending = []
        // A buffer costs the socket more than copying a few hundred bytes, and many small ones cost memory that nobody
        // counts, while the client takes nothing.
        let joinedMax = Limits.edgeJoinedWriteBytesMax.rawValue
        let bytes = pending.reduce(0) { $0 + $1.readableBytes }
        var (left, joined) = (bytes, ByteBuffer())
        for part in pending {
            if joined.readableBytes > 0, joined.readableBytes + part.readableBytes > joinedMax {
                context.write(Self.wrapOutboundOut(joined), promise: nil)
                joined = ByteBuffer()
            }
            if pending.count > 1, part.readableBytes <= joinedMax / 2 {
                if joined.readableBytes == 0 { joined.reserveCapacity(min(left, joinedMax)) }
                joined.writeImmutableBuffer(part)
            } else {
                if joined.readableBytes > 0 { context.write(Self.wrapOutboundOut(joined), promise: nil) }
                joined = ByteBuffer()
                context.write(Self.wrapOutboundOut(part), promise: nil)
            }
            left -= part.readableBytes
        }
        if joined.readableBytes > 0 { context.write(Self.wrapOutboundOut(joined), promise: nil) }
        self.bytesWritten &+= bytes
        context.flush()
        self.loop.counts.bytes += bytes
        self.count { $0.fetched(.bytes(bytes)) }
        self.settle()
        return bytes
    }

    /// What the socket has not taken is what the client is owed.
    private func settle() {
        guard let context = self.context, !self.isClosed else { return }
        let left = Self.buffered(context.channel) + self.pending.reduce(0) { $0 + $1.readableBytes }
        if left > 0 { self.disturbed() }
        if left == 0, case .closing(_, isLast: true) = self.phase { return self.cut() }
        guard left != self.session.bytesOwed.rawValue || left == 0 else { return }
        self.run(self.session.left(.bytes(left)))
    }

    /// The option exists on every stream channel; one without it has nothing to hold back.
    private static func buffered(_ channel: any Channel) -> Int {
        (try? channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
    }

    // MARK: Ending

    /// The last frame of a WebSocket. The client's own follows, if it is not there already.
    private func sayGoodbye(_ frame: ByteBuffer, isLast: Bool) {
        self.run(self.session.gone())
        self.write(frame)
        self.phase = .closing(until: self.door.now.advanced(by: Limits.edgeCloseWaitMax), isLast: isLast)
    }

    func close(_ reason: CloseReason) {
        guard case .open = self.phase else { return self.cut() }
        self.loop.counts.closes[reason, default: 0] += 1
        if !self.isStream { self.write(WebSocketFrame.close(reason.rawValue, "\(reason.word)")) }
        self.phase = .closing(
            until: self.door.now.advanced(by: Limits.edgeCloseWaitMax), isLast: self.isStream)
        if self.pending.isEmpty { self.settle() }
    }

    func drain(retryIn wait: Duration) {
        self.run(self.session.drains(retryIn: wait))
        self.run(self.session.close(.shuttingDown))
    }

    // MARK: Time

    /// Something happened that the sweep may have to look at.
    private func disturbed() {
        guard self.isQuiet else { return }
        self.isQuiet = false
        self.loop.disturb(self)
    }

    /// Once a second, but for a connection that is quiet: there are many.
    /// - Returns: until when it need not be looked at, unless something happens.
    func sweep(at now: Instant) -> Instant {
        self.look(at: now)
        guard case .open = self.phase, self.expires == nil, self.keyID == nil, self.several == nil,
            let until = self.session.quietUntil
        else { return .longAgo }
        self.isQuiet = true
        return until
    }

    private func look(at now: Instant) {
        if case .closing(let until, _) = self.phase {
            if now >= until { self.cut() }
            return
        }
        if case .knocking = self.phase {
            guard let knocked = self.knocked, now >= knocked.until else { return }
            return self.refuse(Problem(.overloaded, "the request could not be answered in time"))
        }
        if let expires = self.expires, self.door.wallTime >= expires { return self.run(self.session.close(.revoked)) }
        if let keyID = self.keyID, !self.door.upstream.holds(key: keyID) {
            return self.run(self.session.close(.revoked))
        }
        // Who is kept waiting can neither answer a ping nor take what it is owed.
        guard self.mutedUntil == nil else {
            self.unread = nil
            return
        }
        self.sweepStream()
        self.run(self.session.swept(at: now))
        self.endUnread(at: now)
    }

    /// A client that takes nothing of what it is owed has gone, whatever its socket says. One that takes a little now
    /// and then is slow, and has not.
    private func endUnread(at now: Instant) {
        guard !self.isClosed, self.session.bytesOwed > .zero, let context = self.context else {
            self.unread = nil
            return
        }
        self.settle()
        let taken = self.bytesWritten &- Self.buffered(context.channel)
        guard let unread = self.unread, unread.taken == taken else {
            self.unread = (taken, now)
            return
        }
        if now.since(unread.since) >= Limits.edgeUnreadWaitMax { self.run(self.session.close(.tooSlow)) }
    }
}
