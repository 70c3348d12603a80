package import ApusAccess
package import ApusBroker
import ApusCore
import HummingbirdCore
package import Logging
package import NIOCore
import NIOHTTP1
package import NIOSSL
import Synchronization
package import WebFormats

/// A port on which clients of the web are served: REST here, and connections whose first request is another door's.
///
/// Owner of the server and of the task that runs it: `stop` ends both. Any thread.
package final class HTTPListener: Sendable {
    package struct Configuration: Sendable {
        /// An address of this machine; `0.0.0.0` and `::` are all of them.
        package var host: String
        /// 0: any free port.
        package var port: Int
        /// Nil: in clear. Asked for each new connection.
        package var tls: (@Sendable () -> NIOSSLContext)?
        /// Nil: nobody has to log in.
        package var login: WebLogin?
        /// Clients are asked for a certificate.
        package var asksForCertificate = false
        /// What a certificate that a client showed says who it is; nil: nothing.
        package var principal: @Sendable (NIOSSLCertificate) -> Principal? = { _ in nil }
        package var caps = ConnectionCaps.Rules()
        /// Connections of another door on the same port.
        package var edge: EdgeEntrance?
        /// What another door on this port adds to `/metrics`.
        package var edgeMetrics: (@Sendable (_ then: @escaping @Sendable ([Metric]) -> Void) -> Void)?
        /// What another door says of itself at `/asyncapi.json`; nil: there is no such page.
        package var asyncAPI: ByteBuffer?
        /// Gives one-time tickets; nil: there are none.
        package var tickets: (any TicketOffice)?
        /// Told once when a client has this node drained: who else has clients here is to send them away.
        package var drainBegan: (@Sendable () -> Void)?
        /// What else is connected to this node, by door, for `/v1/connections`.
        package var connections: [ConnectionSource] = []
        /// What cursors are signed with; nil: reads give none and take none.
        package var cursorKeys: CursorKeys?
        /// Works on what takes long: threads of their own, for event loops serve others.
        package var pool: any TaskExecutor = globalConcurrentExecutor
        /// The program's own version, for people.
        package var version = ""

        package init(host: String, port: Int) {
            self.host = host
            self.port = port
        }
    }

    /// Where it listens, with the real port.
    package let endpoint: Endpoint
    private let server: Server<WebConnections>
    private let connections: WebConnections
    private let ended: EventLoopFuture<Void>

    private init(
        _ endpoint: Endpoint, _ server: Server<WebConnections>, _ connections: WebConnections,
        ended: EventLoopFuture<Void>
    ) {
        self.endpoint = endpoint
        self.server = server
        self.connections = connections
        self.ended = ended
    }

    /// Binds and serves. Fails when the address can not be bound.
    package static func start(
        _ configuration: Configuration, broker: Broker, on group: any EventLoopGroup, logger: Logger
    ) -> EventLoopFuture<HTTPListener> {
        let loop = group.any()
        let door = WebDoor(broker: broker, configuration: configuration, logger: logger)
        let connections = WebConnections(door: door, configuration: configuration)
        door.sources.withLock { $0 = configuration.connections + [connections.source] }
        let bound = loop.makePromise(of: (any Channel).self)
        // It tells of every start and stop; the broker's own line says where it listens.
        var quiet = logger
        quiet.logLevel = .critical
        let server = Server(
            childChannelSetup: connections,
            configuration: ServerConfiguration(
                address: .hostname(configuration.host, port: configuration.port), backlog: Int(Limits.listenBacklog)),
            onServerRunning: { bound.succeed($0) }, eventLoopGroup: group, logger: quiet
        )
        let ended = loop.makeFutureWithTask { try await server.run() }
        // Once it is bound this changes nothing.
        ended.whenFailure { bound.fail($0) }
        return bound.futureResult.map { channel in
            let address = channel.localAddress
            let endpoint = Endpoint(
                host: address?.ipAddress ?? configuration.host, port: UInt16(clamping: address?.port ?? 0))
            return HTTPListener(endpoint, server, connections, ended: ended)
        }
    }

    /// Says from now on that it is not ready, and serves on. Answers whether anybody ever asked.
    package func beginDraining() -> Bool {
        self.connections.door.beginDraining()
        return self.connections.door.wasAskedWhetherReady
    }

    /// Takes no more connections, answers the requests under way, and closes. Connections that are not done within
    /// `patience` are cut.
    package func stop(within patience: Duration = Limits.drainWaitMax) -> EventLoopFuture<Void> {
        let loop = self.ended.eventLoop
        self.connections.door.beginDraining()
        let cut = loop.scheduleTask(in: .nanoseconds(max(.zero, patience).wholeNanoseconds)) {
            self.connections.closeAll()
        }
        let stopped = loop.makeFutureWithTask { try await self.server.shutdownGracefully() }
        return stopped.recover { _ in }.flatMap { self.ended.recover { _ in } }.always { _ in cut.cancel() }
    }
}
