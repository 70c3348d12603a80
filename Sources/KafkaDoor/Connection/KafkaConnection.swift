import ApusAccess
import ApusBroker
import ApusCore
import DequeModule
import KafkaWire
import NIOCore
import NIOTLS

/// One client: its only channel handler. Bytes in, requests handled as they arrive, answers out in the requests' order.
///
/// What bounds a client (design promise P6):
///
/// - A frame's memory is reserved from the broker's budget as the frame comes; refused, the socket is not read.
/// - So many unanswered requests, then the socket is not read.
/// - A client that does not read is not read either: nothing is handled while its socket takes no more.
/// - One fetch runs at a time, and the next begins when its answer was let out, so that unread answers do not add up.
/// - What a fetch reads is set aside from the memory for answers, all connections together, before it is read.
/// - A frame that does not go on arriving, and an answer that nobody takes, end the connection (``sweep(at:)``).
///
/// Owner: its channel's event loop; touched nowhere else.
final class KafkaConnection: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    enum Phase {
        case open
        /// No more requests are taken; what was taken is answered, then the connection closes.
        case draining
        case closed
    }

    let door: Door
    let loop: DoorLoop
    let peer: String
    /// Who it is, and what he may do: renewed at the next request when the rules have changed.
    var client: ClientContext
    /// Where the client reached us: the fallback for what Metadata tells it to connect to.
    let localEndpoint: Endpoint

    var phase = Phase.open
    var context: ChannelHandlerContext?
    var replies = ReplyQueue()
    /// Cut and not yet handled: empty unless something above stops us.
    var frames = Deque<ByteBuffer>()
    /// Fetches that wait for the one that runs. They have their places already.
    var fetchesHeld = Deque<Call>()
    var isFetchRunning = false
    var fetchTicket: FetchTicket?
    /// The fetch that runs is answered as soon as something is asked behind it.
    var fetchYields = false
    var pace = ReaderPace()
    var watch = ConnectionWatch()
    /// Nil where nobody has to log in.
    var login: ConnectionLogin?
    var tls = TLSProgress.none
    /// Requests run without the login being asked: there is none, or its session has no end.
    var isAdmitted = true
    /// The listener still counts it among those who have not logged in.
    var isUncounted = false
    /// What was asked for before its time, for the log line.
    var apiRefused: ApiKey?
    /// What the client has used; made when it is first counted.
    var meter: QuotaMeter?
    /// Nothing of the client is read or begun before.
    var mutedUntil: Instant?

    let reader: FrameReader
    /// Made once: reserving memory is on the way of every request.
    private var resumeReading: (@Sendable () -> Void)?
    /// Bytes asked from the budget and not granted yet; zero when nothing is.
    private var bytesAwaited = ByteCount.zero
    private var memoryTicket: MemoryBudget.Ticket?
    /// Bytes granted for the frame that is not complete yet.
    private var bytesGranted = ByteCount.zero
    private var isReadHeld = false
    /// Cutting stopped at a frame of the login.
    private var isCuttingHeld = false
    private var isWorking = false
    private var needsFlush = false

    let id: ConnectionID
    let since: Timestamp

    init(door: Door, loop: DoorLoop, reader: FrameReader, local: SocketAddress?, remote: SocketAddress?) {
        self.door = door
        self.loop = loop
        self.reader = reader
        self.id = ConnectionID(.kafka, loop.nextNumber())
        self.since = door.broker.wallTime
        self.peer = remote.map { "\($0.plainAddress):\($0.port ?? 0)" } ?? "?"
        self.client = door.broker.access.client(.anonymous, address: remote?.plainAddress ?? "")
        self.localEndpoint = Endpoint(
            host: local?.plainAddress ?? "127.0.0.1", port: UInt16(clamping: local?.port ?? 0)
        )
        if let login = door.login {
            self.login = ConnectionLogin(login, over: door.transport(from: self.client.address))
            self.isAdmitted = false
        }
        if door.tls != nil { self.tls = .handshake(sinceSweep: loop.sweep) }
        self.isUncounted = door.login != nil || door.tls != nil
    }

    // MARK: Channel events

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        self.resumeReading = { bound.value.memoryGranted() }
        self.loop.add(self)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard self.phase == .open else { return }
        let buffer = Self.unwrapInboundIn(data)
        self.watch.received(buffer.readableBytes)
        self.reader.received(buffer)
        self.cutFrames()
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        // Only now, because until now the channel itself held on to what it read, and a broker that patches a batch
        // would have had to copy it.
        self.work()
        self.flushIfNeeded()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        self.work()
        self.flushIfNeeded()
    }

    func read(context: ChannelHandlerContext) {
        guard self.mayRead else {
            self.isReadHeld = true
            return
        }
        context.read()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if self.isInHandshake { return self.handshakeFailed(error) }
        // The socket's own failures (reset, timed out) are a client that went away: no news.
        self.close()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case TLSUserEvent.handshakeCompleted? = event as? TLSUserEvent { self.handshakeCompleted(context) }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        // A producer with acks=0 writes and leaves: what it wrote is still to be taken in.
        if self.phase == .open { self.handleWritesLeft() }
        self.ended()
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.ended()
        self.context = nil
    }

    // MARK: Reading

    /// Whether there is room for another request.
    private var mayRead: Bool {
        self.phase == .open && self.bytesAwaited == .zero && self.frames.isEmpty && self.hasRoom
            && self.login?.isBusy != true
    }

    private var hasRoom: Bool {
        self.mutedUntil == nil && self.replies.count < Limits.requestsInFlightMax
            && self.replies.byteCountWaiting < Limits.repliesWaitingBytesMax.rawValue
            && self.context?.channel.isWritable ?? false
    }

    /// Whether we, and not the client, are why no bytes come.
    var isReadingHeld: Bool { self.isReadHeld || self.bytesAwaited > .zero }
    var isInsideFrame: Bool { self.reader.isInsideFrame }
    /// Holds memory for half a frame and waits for more, as others may that wait for ours.
    var isStarving: Bool { self.bytesAwaited > .zero && self.bytesGranted > .zero }

    private func cutFrames() {
        do throws(WireError) {
            while self.phase == .open, self.bytesAwaited == .zero {
                // What a frame may be, and how the next one is to be read, is known once it was heard.
                self.isCuttingHeld = self.login?.isDone == false && !self.frames.isEmpty
                if self.isCuttingHeld { return }
                switch try self.reader.next() {
                case .needsBytes:
                    return
                case .frame(let frame):
                    self.bytesGranted = .zero
                    self.watch.completedFrame()
                    self.frames.append(frame)
                case .needsMemory(let bytes):
                    self.reserve(bytes)
                }
            }
        } catch {
            // What came before it was in order.
            self.work()
            return self.close(because: "bad frame: \(error)")
        }
        // Held back, and still bytes come: the channel empties the socket after the client closed it. Nobody waits for
        // answers to these, and there is no memory for them.
        if self.reader.byteCountUncut > FrameReader.readsPerTurn * Limits.readBytesMax.rawValue { self.close() }
    }

    private func reserve(_ bytes: ByteCount) {
        guard let context = self.context, let resumeReading = self.resumeReading else { return }
        self.memoryTicket = self.door.broker.memory.reserve(bytes, on: context.eventLoop, resume: resumeReading)
        if self.memoryTicket == nil {
            self.bytesGranted = self.bytesGranted + bytes
            self.reader.granted(bytes)
        } else {
            self.bytesAwaited = bytes
        }
    }

    private func memoryGranted() {
        let bytes = self.bytesAwaited
        self.bytesAwaited = .zero
        self.memoryTicket = nil
        guard self.phase == .open else { return self.door.broker.memory.release(bytes) }
        self.bytesGranted = self.bytesGranted + bytes
        self.reader.granted(bytes)
        self.cutFrames()
        self.work()
        self.flushIfNeeded()
    }

    // MARK: Working

    /// Handles what waits, as far as there is room, lets out what is ready, and reads on if there is room then.
    func work() {
        guard !self.isWorking else { return }
        self.isWorking = true
        defer { self.isWorking = false }
        self.letOut()
        while self.phase == .open, self.startFetch() || self.handleFrame() {
            self.letOut()
            if let context, !context.channel.isWritable { self.flushIfNeeded() }
        }
        if self.isReadHeld, self.mayRead {
            self.isReadHeld = false
            self.context?.read()
        }
        if self.phase == .draining, self.replies.isEmpty { self.closeAfterWriting() }
    }

    private func handleFrame() -> Bool {
        guard self.hasRoom, self.login?.isBusy != true else { return false }
        if self.isCuttingHeld, self.frames.isEmpty { self.cutFrames() }
        guard !self.frames.isEmpty, self.phase == .open else { return false }
        self.handleNextFrame()
        return true
    }

    private func startFetch() -> Bool {
        guard !self.isFetchRunning, self.mutedUntil == nil, self.context?.channel.isWritable ?? false,
            var call = self.fetchesHeld.popFirst()
        else { return false }
        self.isFetchRunning = true
        // It was let in when it came; its session may have ended since.
        guard self.isAdmitted || self.login?.admitsHeld ?? true else {
            self.fill(call.place, with: [])
            self.close(because: "a fetch was held for longer than its session")
            return true
        }
        self.pace.asked(at: .now())
        self.run(&call)
        return true
    }

    /// Fills a request's place. Called by its handler, now or later.
    func answer(_ place: ReplyQueue.Place, with bytes: [ByteBuffer]) {
        self.fill(place, with: bytes)
        guard !self.isWorking else { return }
        self.work()
        if self.needsFlush { self.loop.flushSoon(self) }
    }

    /// From here on a large answer counts, until the socket has taken it: it may have to wait for earlier ones.
    func fill(_ place: ReplyQueue.Place, with bytes: [ByteBuffer]) {
        guard self.replies.fill(place, with: bytes) else { return }
        let count = Self.bytesCounted(bytes)
        if count > .zero { self.loop.replyMemory.hold(count) }
    }

    /// Zero for an answer so small that it is not counted.
    private static func bytesCounted(_ reply: [ByteBuffer]) -> ByteCount {
        let count = ByteCount(rawValue: reply.reduce(0) { $0 + $1.readableBytes })
        return count >= Limits.replyBytesCountedMin ? count : .zero
    }

    private func letOut() {
        while let reply = self.replies.next() {
            self.door.broker.memory.release(reply.requestBytes)
            if reply.isFetch {
                self.isFetchRunning = false
                self.fetchTicket = nil
                self.fetchYields = false
                self.pace.answered(with: reply.bytes.reduce(0) { $0 + $1.readableBytes }, at: .now())
            }
            self.write(reply.bytes)
        }
    }

    private func write(_ bytes: [ByteBuffer]) {
        let (memory, counted) = (self.loop.replyMemory, Self.bytesCounted(bytes))
        guard self.phase != .closed, let context, let last = bytes.last else {
            if counted > .zero { memory.drop(counted) }
            return
        }
        let count = bytes.reduce(0) { $0 + $1.readableBytes }
        self.watch.wrote(count)
        // Last, because a write that fills the channel calls `channelWritabilityChanged`, which flushes what there is
        // so far: what is written after that must be flushed, too.
        defer { self.needsFlush = true }
        for chunk in bytes.dropLast() { context.write(self.wrapOutboundOut(chunk), promise: nil) }
        guard counted > .zero else {
            return context.write(self.wrapOutboundOut(last), promise: nil)
        }
        let promise = context.eventLoop.makePromise(of: Void.self)
        promise.futureResult.assumeIsolated().whenComplete { _ in memory.drop(counted) }
        context.write(self.wrapOutboundOut(last), promise: promise)
    }

    func flushIfNeeded() {
        guard self.needsFlush else { return }
        self.needsFlush = false
        self.context?.flush()
    }

    // MARK: Ending

    /// Takes no more requests, answers those it has, and closes.
    func drain() {
        guard self.phase == .open else { return }
        self.phase = .draining
        self.dropFrames()
        self.work()
        self.flushIfNeeded()
    }

    /// Closes for something the client did, with one log line.
    func close(because reason: String) {
        guard self.phase != .closed else { return }
        self.loop.log("closed \(self.peer): \(reason)")
        self.close()
    }

    func close() {
        guard self.phase != .closed else { return }
        self.flushIfNeeded()
        self.ended()
        self.context?.close(promise: nil)
    }

    private func closeAfterWriting() {
        guard let context, self.phase == .draining else { return }
        self.needsFlush = false
        let written = context.eventLoop.makePromise(of: Void.self)
        written.futureResult.assumeIsolated().whenComplete { _ in self.close() }
        context.writeAndFlush(self.wrapOutboundOut(ByteBuffer()), promise: written)
    }

    private func ended() {
        guard self.phase != .closed else { return }
        self.phase = .closed
        self.settleMeter()
        self.dropFrames()
        self.fetchTicket?.cancel()
        self.fetchTicket = nil
        self.fetchesHeld.removeAll()
        self.replies.abandon()
        self.letOut()
        self.loop.remove(self)
    }

    private func dropFrames() {
        let bytes = self.frames.reduce(self.bytesGranted) { $0 + ByteCount(rawValue: $1.readableBytes) }
        self.bytesGranted = .zero
        self.frames.removeAll()
        if let ticket = self.memoryTicket.take() { self.door.broker.memory.leave(ticket) }
        if bytes > .zero { self.door.broker.memory.release(bytes) }
    }

    private func handleWritesLeft() {
        self.isWorking = true
        defer { self.isWorking = false }
        while let frame = self.frames.first {
            if self.isWrite(frame), self.isAdmitted || self.login?.admits == true {
                self.handleNextFrame()
            } else {
                self.frames.removeFirst()
                self.door.broker.memory.release(ByteCount(rawValue: frame.readableBytes))
            }
        }
    }
}

extension SocketAddress {
    /// The numeric address without a port. An IPv4 address that came in through an IPv6 socket is told as IPv4.
    var plainAddress: String {
        guard let address = self.ipAddress else { return self.pathname ?? "?" }
        return address.hasPrefix("::ffff:") && address.contains(".") ? String(address.dropFirst(7)) : address
    }
}
