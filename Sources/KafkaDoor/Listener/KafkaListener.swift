package import ApusAccess
package import ApusBroker
package import ApusCore
package import Logging
package import NIOCore
import NIOPosix
import NIOSSL

/// A port on which Kafka clients are served.
///
/// Connections are spread over the group's event loops. Any thread.
package final class KafkaListener: Sendable {
    package struct Configuration: Sendable {
        /// An address or a name of this machine; `0.0.0.0` and `::` are all of them.
        package var host: String
        /// 0: any free port.
        package var port: Int
        /// Under which `Broker.advertise` tells where clients reach this listener. What is not advertised, clients are
        /// told to reach where they came to.
        package var name: String
        /// Nil: nobody has to log in.
        package var login: ListenerLogin?
        /// Nil: in clear.
        package var tls: ListenerTLS?
        /// What signs the cursors of the endpoint server, told to those in processes of their own that may ask
        /// (CLUSTER_ACTION on the cluster); nil: to nobody.
        package var cursorKey: [UInt8]?
        /// Takes tickets that are shown to such an endpoint server; nil: there are none.
        package var tickets: EdgeTickets?
        /// Is told how each login ended, for the audit trail; on a connection's loop.
        package var loginEnded: @Sendable (LoginReport) -> Void = { _ in }
        package var caps = ConnectionCaps.Rules()
        /// By which connections are counted and rated as they come.
        package var now: @Sendable () -> Instant = { Instant(nanoseconds: NIODeadline.now().uptimeNanoseconds) }
        package var frameBytesMax = Limits.frameBytesMax
        package var replyMemory = Limits.replyMemoryDefault

        package init(host: String, port: Int, name: String = "kafka") {
            self.host = host
            self.port = port
            self.name = name
        }
    }

    /// Where it listens, with the real port.
    package let endpoint: Endpoint

    private let server: any Channel
    private let loops: [NIOLoopBound<DoorLoop>]

    private init(server: any Channel, loops: [NIOLoopBound<DoorLoop>]) {
        self.server = server
        self.loops = loops
        let address = server.localAddress
        self.endpoint = Endpoint(
            host: address?.plainAddress ?? "", port: UInt16(clamping: address?.port ?? 0)
        )
    }

    /// Binds and serves. Fails when the address can not be bound.
    package static func start(
        _ configuration: Configuration, broker: Broker, on group: any EventLoopGroup, logger: Logger
    ) -> EventLoopFuture<KafkaListener> {
        let door = Door(
            broker: broker, listenerName: configuration.name, frameBytesMax: configuration.frameBytesMax,
            login: configuration.login, tls: configuration.tls, cursorKey: configuration.cursorKey,
            tickets: configuration.tickets, loginEnded: configuration.loginEnded
        )
        let eventLoops = Array(group.makeIterator())
        let replyMemory = ReplyMemory(limit: configuration.replyMemory)
        let sessionsMax = Limits.fetchSessionsMax / max(1, eventLoops.count)
        let made = eventLoops.enumerated().map { index, eventLoop in
            eventLoop.submit {
                let loop = DoorLoop(
                    eventLoop: eventLoop, logger: logger, replyMemory: replyMemory, fetchSessionsMax: sessionsMax,
                    numbers: (UInt64(index) + 1, UInt64(eventLoops.count))
                )
                return NIOLoopBound(loop, eventLoop: eventLoop)
            }
        }
        return EventLoopFuture.whenAllSucceed(made, on: group.any()).flatMap { loops in
            self.bind(configuration, door: door, loops: loops, on: group, logger: logger).map { server in
                KafkaListener(server: server, loops: loops)
            }
        }
    }

    private static func bind(
        _ configuration: Configuration, door: Door, loops: [NIOLoopBound<DoorLoop>], on group: any EventLoopGroup,
        logger: Logger
    ) -> EventLoopFuture<any Channel> {
        let byLoop = Dictionary(uniqueKeysWithValues: loops.map { (ObjectIdentifier($0.eventLoop), $0) })
        return ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: Limits.listenBacklog)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelOption(.maxMessagesPerRead, value: 16)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let gate = AcceptGate(
                        caps: configuration.caps, mustLogIn: configuration.login != nil || configuration.tls != nil,
                        logger: logger, quota: { door.broker.access.quotas.acceptQuota(of: $0) }, now: configuration.now
                    )
                    try channel.pipeline.syncOperations.addHandler(gate)
                }
            }
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.socketOption(.so_keepalive), value: 1)
            .childChannelOption(.maxMessagesPerRead, value: UInt(FrameReader.readsPerTurn))
            .childChannelOption(
                .writeBufferWaterMark,
                value: .init(low: Limits.unsentBytesLow.rawValue, high: Limits.unsentBytesHigh.rawValue)
            )
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let loop = byLoop[ObjectIdentifier(channel.eventLoop)]?.value else {
                        preconditionFailure("a connection on a loop that is not of the listener's group")
                    }
                    try Self.connect(channel, door: door, loop: loop)
                }
            }
            .bind(host: configuration.host, port: configuration.port)
    }

    /// Makes a channel a connection of this door.
    static func connect(_ channel: any Channel, door: Door, loop: DoorLoop) throws {
        let framesMax =
            door.login == nil ? door.frameBytesMax : min(door.frameBytesMax, Limits.unauthenticatedFrameBytesMax)
        let reader = FrameReader(frameBytesMax: framesMax)
        if let tls = door.tls {
            try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls.context()))
        } else {
            // Each connection reads into its own buffers, so it can not be an option of the listener. Under TLS what is
            // read from the socket is no frame yet.
            try channel.syncOptions?.setOption(.recvAllocator, value: reader)
        }
        let connection = KafkaConnection(
            door: door, loop: loop, reader: reader, local: channel.localAddress, remote: channel.remoteAddress
        )
        try channel.pipeline.syncOperations.addHandler(connection)
    }

    /// Asks every loop.
    func collect<Value: Sendable>(_ ask: @escaping @Sendable (DoorLoop) -> Value) -> EventLoopFuture<[Value]> {
        let answers = self.loops.map { loop in loop.eventLoop.submit { ask(loop.value) } }
        return EventLoopFuture.whenAllSucceed(answers, on: self.server.eventLoop)
    }

    /// Takes no more connections and no more requests, answers those under way, and closes. Connections that are not
    /// done within `patience` are cut.
    package func stop(within patience: Duration = Limits.drainWaitMax) -> EventLoopFuture<Void> {
        let closed = self.server.close().recover { _ in }
        return closed.flatMap { [loops] in
            let drained = loops.map { loop in
                loop.eventLoop.flatSubmit { loop.value.drain(within: patience) }
            }
            return EventLoopFuture.andAllSucceed(drained, on: closed.eventLoop)
        }
    }
}
