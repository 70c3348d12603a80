package import ApusCore
package import Logging
package import NIOCore
package import NIOHTTP1
package import WebFormats
import Synchronization

/// The endpoint server: takes connections whose first request asks for a WebSocket (`/v1/ws`) or for an event stream
/// (`/v1/stream`), and pushes to them what their channels have.
///
/// Connections stay on the event loops they came on. A topic has a home loop, which reads each of its partitions once
/// for the whole node, however many clients there are; what is found is encoded there, once, and given to the loops
/// that have clients for it.
///
/// Any thread. Owner of nothing but the loops' owners.
package final class EndpointDoor: Sendable {
    package struct Configuration: Sendable {
        package var cursorKeys: CursorKeys
        package var origins = OriginRules()
        /// Clients that offer it are sent compressed pushes (RFC 7692): a hundredth of a millisecond for each push of a
        /// loop, however many they are.
        package var mayDeflate = false
        /// Nil: nobody has to log in.
        package var login: WebLogin?
        /// Takes one-time tickets; nil: there are none.
        package var tickets: (any TicketTaker)?
        package var clock: any Clock
        /// Who keeps presence and receipts; nil: nobody.
        package var presence: (any EdgePresence)?
        /// The name of this endpoint server, for people.
        package var node = "edge"
        /// No other endpoint server has its name while it is there.
        package var isOnlyNode = false
        /// How keys come to partitions; see ``EdgeChannel/partition(of:placement:)``.
        package var placement = KeyPlacement.murmur2

        package init(cursorKeys: CursorKeys, clock: any Clock) {
            self.cursorKeys = cursorKeys
            self.clock = clock
        }
    }

    let upstream: any EdgeUpstream
    let configuration: Configuration
    let logger: Logger
    private let loops: [NIOLoopBound<EndpointLoop>]
    /// On the first of the loops.
    private let presence: NIOLoopBound<EndpointPresence>?
    private let names = Atomic<UInt64>(0)
    private let spreads = Atomic<UInt32>(0)

    private init(
        _ upstream: any EdgeUpstream, _ configuration: Configuration, _ logger: Logger,
        _ loops: [NIOLoopBound<EndpointLoop>], _ presence: NIOLoopBound<EndpointPresence>?
    ) {
        self.upstream = upstream
        self.configuration = configuration
        self.logger = logger
        self.loops = loops
        self.presence = presence
    }

    /// - Parameter group: the loops that connections come on, all of them.
    package static func make(
        _ configuration: Configuration, upstream: any EdgeUpstream, on group: any EventLoopGroup, logger: Logger
    ) -> EventLoopFuture<EndpointDoor> {
        let made = group.makeIterator().enumerated().map { index, loop in
            loop.submit {
                let made = EndpointLoop(loop, index: index, upstream: upstream, clock: configuration.clock)
                return NIOLoopBound(made, eventLoop: loop)
            }
        }
        return EventLoopFuture.whenAllSucceed(made, on: group.any()).flatMap { loops in
            Self.presence(configuration, on: loops[0].eventLoop, logger).map { presence in
                EndpointDoor(upstream, configuration, logger, loops, presence)
            }
        }
    }

    private static func presence(
        _ configuration: Configuration, on loop: any EventLoop, _ logger: Logger
    ) -> EventLoopFuture<NIOLoopBound<EndpointPresence>?> {
        guard let upstream = configuration.presence else { return loop.makeSucceededFuture(nil) }
        return loop.submit {
            let presence = EndpointPresence(
                loop, upstream, name: configuration.node, isAlone: configuration.isOnlyNode, clock: configuration.clock,
                logger: logger)
            return NIOLoopBound(presence, eventLoop: loop)
        }
    }

    /// Whether a connection that begins with this request is ours.
    package static func takes(_ head: HTTPRequestHead) -> Bool {
        let path = head.uri.prefix { $0 != "?" }
        return path == "/v1/ws" || path == "/v1/stream"
    }

    /// Takes a connection, on its loop: answers the request, and has it for good. The pipeline gives and takes raw
    /// bytes at `position`, beginning with what came behind the head; what stands behind that is given nothing.
    package func take(
        _ head: HTTPRequestHead, _ channel: any Channel, isSecure: Bool,
        at position: ChannelPipeline.SynchronousOperations.Position = .last
    ) {
        guard let loop = self.loops.first(where: { $0.eventLoop === channel.eventLoop })?.value else {
            preconditionFailure("a connection on a loop that is not of the door's group")
        }
        let request = WebRequest(
            method: head.method.rawValue, target: head.uri, isVersion11: head.version == .http1_1,
            headers: head.headers.map { (name: $0.name, value: $0.value) })
        let connection = EndpointConnection(self, loop, request, channel, isSecure: isSecure)
        do {
            try channel.syncOptions?.setOption(.recvAllocator, value: PassingReadBuffers.edge)
            try channel.pipeline.syncOperations.addHandler(connection, position: position)
        } catch {
            // The connection has gone meanwhile.
            channel.close(promise: nil)
        }
    }

    /// Tells all clients to move, closes, and cuts those that are not gone within `patience`. What comes meanwhile is
    /// refused.
    package func drain(within patience: Duration) -> EventLoopFuture<Void> {
        let sent = self.sendAway(within: patience)
        return sent.flatMap { self.drainPresence(on: sent.eventLoop) }
    }

    /// The same for a door that is there still: who has gone is told as always. It may be drained after it.
    package func sendAway(within patience: Duration) -> EventLoopFuture<Void> {
        let drained = self.loops.map { loop in
            loop.eventLoop.flatSubmit { loop.value.drain(within: patience) }
        }
        guard let first = self.loops.first?.eventLoop else { preconditionFailure("a door without a loop") }
        return EventLoopFuture.andAllComplete(drained, on: first)
    }

    /// Who has gone is told before this node is.
    private func drainPresence(on first: any EventLoop) -> EventLoopFuture<Void> {
        guard let presence = self.presence else { return first.makeSucceededVoidFuture() }
        let told = self.loops.map { loop in loop.eventLoop.submit { loop.value.tellPresence(self) } }
        return EventLoopFuture.andAllComplete(told, on: presence.eventLoop).flatMap {
            presence.value.drain(within: Limits.presenceDrainWaitMax)
        }
    }

    var keepsPresence: Bool { self.presence != nil }

    func withPresence(_ work: @escaping @Sendable (EndpointPresence) -> Void) {
        guard let presence = self.presence else { return }
        if presence.eventLoop.inEventLoop { return work(presence.value) }
        presence.eventLoop.execute { work(presence.value) }
    }

    /// Connections that are open. For operators and tests.
    package func connectionCount() -> EventLoopFuture<Int> {
        self.sum { $0.connectionCount }
    }

    /// Partitions that are read, each once. For operators and tests.
    package func readerCount() -> EventLoopFuture<Int> {
        self.sum { $0.topics.readerCount }
    }

    private func sum(_ count: @escaping @Sendable (EndpointLoop) -> Int) -> EventLoopFuture<Int> {
        self.collect(count).map { $0.reduce(0, +) }
    }

    /// Asks every loop.
    func collect<Value: Sendable>(_ ask: @escaping @Sendable (EndpointLoop) -> Value) -> EventLoopFuture<[Value]> {
        guard let first = self.loops.first?.eventLoop else { preconditionFailure("a door without a loop") }
        let answers = self.loops.map { loop in loop.eventLoop.submit { ask(loop.value) } }
        return EventLoopFuture.whenAllSucceed(answers, on: first)
    }

    // MARK: Among ourselves

    var loopCount: Int { self.loops.count }

    /// The loop that reads the topic.
    func home(of topic: TopicID) -> Int { Int(topic.low % UInt64(self.loops.count)) }

    /// The loop that a subscriber is: its number says so.
    func loop(of subscriber: SubscriberID) -> Int { Int(subscriber.number % Int64(self.loops.count)) }

    /// Runs it on that loop: at once when we are on it. What is sent from one loop to another arrives in order.
    func run(on index: Int, _ work: @escaping @Sendable (EndpointLoop) -> Void) {
        let loop = self.loops[index]
        if loop.eventLoop.inEventLoop { return work(loop.value) }
        loop.eventLoop.execute { work(loop.value) }
    }

    /// Runs it on the subscriber's loop, with how many loops there are.
    func tell(_ subscriber: SubscriberID, _ work: @escaping @Sendable (EndpointLoop, Int) -> Void) {
        let count = self.loops.count
        self.run(on: self.loop(of: subscriber)) { work($0, count) }
    }

    func seal(of channel: EdgeChannel, in topic: TopicID) -> CursorSeal {
        CursorSeal(keys: self.configuration.cursorKeys, topic: topic, selection: channel.selection)
    }

    var now: Instant { self.configuration.clock.now }
    var wallTime: Timestamp { self.configuration.clock.wallTime }

    /// A name for a connection: never given twice while this node runs.
    func nextName() -> String {
        "c\(self.names.wrappingAdd(1, ordering: .relaxed).newValue)"
    }

    /// A number that is another for every write: records without a key go to all partitions in turn.
    var nextSpread: UInt32 { self.spreads.wrappingAdd(1, ordering: .relaxed).newValue }
}
