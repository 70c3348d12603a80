package import ApusClient
import ApusCore
package import Logging
import ApusAccess
import ApusSystem
import ApusUpstream
import EdgeDoor
import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Synchronization
import WebFormats

/// An endpoint server alone in this process: clients of WebSockets and event streams in front, brokers elsewhere
/// behind. It keeps nothing on a disk, and any number of them may run.
///
/// Owner of its event loops, of the port, and of the connections on it.
package final class EndpointServer: Sendable {
    /// Where clients connect, with the real port.
    package let http: ServerAddress
    package let clusterID: String

    private let channel: any Channel
    private let loops: MultiThreadedEventLoopGroup
    private let upstream: ClusterUpstream
    private let security: ServerSecurity
    private let door: EndpointDoor
    private let pages: EndpointPages
    private let configuration: ServerConfiguration
    private let logger: Logger

    private init(
        _ channel: any Channel, _ loops: MultiThreadedEventLoopGroup, _ upstream: ClusterUpstream.Started,
        _ security: ServerSecurity, _ door: EndpointDoor, _ pages: EndpointPages,
        _ configuration: ServerConfiguration, _ logger: Logger
    ) {
        let address = channel.localAddress
        self.http = ServerAddress(host: address?.ipAddress ?? "", port: address?.port ?? 0)
        self.clusterID = upstream.clusterID
        self.channel = channel
        self.loops = loops
        self.upstream = upstream.upstream
        self.security = security
        self.door = door
        self.pages = pages
        self.configuration = configuration
        self.logger = logger
    }

    // MARK: Start

    /// Asks the brokers what there is to know, and listens. When this answers, clients are served.
    ///
    /// - Parameters:
    ///   - configuration: what of it is a broker's alone, the data directory first, does not count.
    ///   - client: how brokers are reached, and as whom.
    package static func start(
        _ configuration: ServerConfiguration, upstream client: ClientConfiguration, logger: Logger
    ) async throws(ServerError) -> EndpointServer {
        let address = try Self.address(configuration)
        let clock = SystemClock()
        let security = try ServerSecurity(
            configuration, clock: clock, randomness: SystemRandomness(), logger: logger)
        DescriptorLimit.raise()
        let loops = MultiThreadedEventLoopGroup(
            numberOfThreads: configuration.loops ?? max(1, System.coreCount / 2))
        var upstream: ClusterUpstream?
        do {
            let started = try await ClusterUpstream.start(client, clock: clock, logger: logger).get()
            upstream = started.upstream
            await security.open(on: loops.any())
            var settings = EndpointDoor.Configuration(
                cursorKeys: CursorKeys(current: started.cursorKey), clock: clock)
            let desk = security.endpointDesk(started.upstream, client, clock: clock, on: loops.any())
            if security.asksForLogin { settings.login = desk.web }
            settings.tickets = desk
            settings.mayDeflate = configuration.deflatesWebSockets
            settings.presence = started.upstream
            settings.node = "\(ProcessInfo.processInfo.hostName):\(address.port)"
            settings.origins = OriginRules(allowed: configuration.httpOrigins)
            settings.origins.isPrivate = settings.login == nil && HostAddress(address.host)?.isLoopback == true
            let door = try await EndpointDoor.make(settings, upstream: started.upstream, on: loops, logger: logger)
                .get()
            let loop = loops.any()
            let pages = EndpointPages(
                door, started.upstream, login: settings.login, origins: settings.origins,
                version: configuration.version
            ) {
                logger.notice("told to send its clients away")
                // As when it stops: balancers see that it is not ready, and then its clients move.
                loop.scheduleTask(in: .nanoseconds(configuration.drainGrace.wholeNanoseconds)) {
                    _ = door.sendAway(within: configuration.stopWaitMax)
                }
            }
            let channel = try await Self.listen(address, configuration, security, door, pages, on: loops).get()
            security.start(on: loops.any())
            let server = EndpointServer(
                channel, loops, started, security, door, pages, configuration, logger)
            logger.info(
                "ready",
                metadata: [
                    "role": "edge", "cluster": "\(started.clusterID)", "http": "\(server.http)",
                    "upstream": "\(client.servers.joined(separator: " "))",
                ])
            return server
        } catch {
            upstream?.close()
            // `try?`: it did not start; what else goes wrong is no news.
            try? await security.stop(on: loops.any())
            try? await loops.shutdownGracefully()
            throw Self.refusal(of: error, address, client)
        }
    }

    private static func address(_ configuration: ServerConfiguration) throws(ServerError) -> ListenAddress {
        guard let http = configuration.http else {
            throw ServerError(.configuration, "an endpoint server without --http serves nobody")
        }
        return try ListenAddress(
            http, flag: "--http", danger: configuration.isInsecure ? nil : configuration.dangerInPublic)
    }

    private static func refusal(
        of error: any Error, _ address: ListenAddress, _ client: ClientConfiguration
    ) -> ServerError {
        if let error = error as? ServerError { return error }
        guard let failure = error as? UpstreamFailure else { return address.refusal(of: error) }
        let servers = client.servers.joined(separator: ",")
        return ServerError(
            .upstream, "--upstream \(servers): \(failure.words)", cause: error, isRetryable: failure.isRetryable)
    }

    private static func listen(
        _ address: ListenAddress, _ configuration: ServerConfiguration, _ security: ServerSecurity,
        _ door: EndpointDoor, _ pages: EndpointPages, on loops: MultiThreadedEventLoopGroup
    ) -> EventLoopFuture<any Channel> {
        let gate = EndpointGate(configuration)
        let tls = security.tlsContext
        return ServerBootstrap(group: loops)
            .serverChannelOption(.backlog, value: Limits.listenBacklog)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.socketOption(.so_keepalive), value: 1)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard gate.admits(channel) else { return channel.close(promise: nil) }
                    let pipeline = channel.pipeline.syncOperations
                    if let tls { try pipeline.addHandler(NIOSSLServerHandler(context: tls())) }
                    let encoder = HTTPResponseEncoder()
                    var limits = NIOHTTPDecoderLimitConfiguration()
                    limits.maxHeaderFieldCount = Limits.webHeadersMax
                    limits.maxHeaderFieldSize = Limits.webHeaderFieldBytesMax.rawValue
                    limits.maxHeaderListSize = Limits.webHeaderBytesMax.rawValue
                    let decoder = ByteToMessageHandler(
                        HTTPRequestDecoder(
                            leftOverBytesStrategy: .forwardBytes, informationalResponseStrategy: .drop,
                            limitConfiguration: limits))
                    let front = EndpointFront(
                        door, pages, isSecure: tls != nil, encoder: encoder, decoder: decoder)
                    try pipeline.addHandlers(encoder, decoder, front)
                }
            }
            .bind(host: address.host, port: address.port)
    }

    /// Reads the files and fetches the keys behind TLS and tokens again now.
    package func reload() { self.security.reload(on: self.loops.any()) }

    // MARK: Stop

    /// Says that it is not ready, waits until whoever looks has seen that, tells its clients to move, and stops when
    /// they have gone. Who is still here after ``ServerConfiguration/stopWaitMax`` is cut. To be called once.
    package func shutdown() async {
        self.pages.beginDraining()
        if self.pages.wasAskedWhetherReady, self.configuration.drainGrace > .zero {
            self.logger.info("not ready any more", metadata: ["grace": "\(self.configuration.drainGrace)"])
            await self.pause(for: self.configuration.drainGrace)
        }
        // `try?`, here and below: each part is stopped whatever became of the others.
        try? await self.door.drain(within: self.configuration.stopWaitMax).get()
        try? await self.channel.close().get()
        self.upstream.close()
        try? await self.security.stop(on: self.loops.any())
        try? await self.loops.shutdownGracefully()
        self.logger.info("stopped", metadata: ["role": "edge"])
    }

    private func pause(for duration: Duration) async {
        await withCheckedContinuation { continuation in
            self.loops.any().scheduleTask(in: .nanoseconds(duration.wholeNanoseconds)) { continuation.resume() }
        }
    }
}

/// The caps on connections of an endpoint server. Any thread.
private final class EndpointGate: Sendable {
    private let caps: Mutex<ConnectionCaps>

    init(_ configuration: ServerConfiguration) {
        self.caps = Mutex(ConnectionCaps(configuration.caps, at: SystemClock().now))
    }

    func admits(_ channel: any Channel) -> Bool {
        let host = channel.remoteAddress?.ipAddress.flatMap { HostAddress($0) } ?? .loopback
        let isAdmitted = self.caps.withLock { caps in
            do throws(ConnectionCaps.Refusal) {
                _ = try caps.accept(from: host, mustLogIn: false, quota: nil, at: SystemClock().now)
                return true
            } catch {
                return false
            }
        }
        guard isAdmitted else { return false }
        channel.closeFuture.whenComplete { _ in self.caps.withLock { $0.closed(from: host, isWaiting: false) } }
        return true
    }
}
