import ApusAccess
import ApusBroker
import ApusCore
import HTTPTypes
import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1
import NIOHTTPTypes
import NIOSSL
import Synchronization
import WebFormats

/// Makes each accepted connection one of this door's, and runs the requests of those that are.
///
/// Owner of the connections that are open and of the caps on them. Any thread.
final class WebConnections: HTTPChannelHandler {
    /// A connection whose first head has not come yet.
    struct Value: ServerChildChannelValue {
        let channel: any Channel
        let kind: EventLoopFuture<ConnectionGuard.Kind>
    }

    let door: WebDoor
    let responder: HTTPChannelHandler.Responder
    private let configuration: HTTPListener.Configuration
    private let state: Mutex<State>

    private struct Open {
        let id: ConnectionID
        let channel: any Channel
        let since: Timestamp
        /// Another door's, which lists it itself.
        var isHandedOver = false
    }

    private struct State {
        var caps: ConnectionCaps
        var open: [ObjectIdentifier: Open] = [:]
        var names: UInt64 = 0
        var isTurningAway = false
    }

    init(door: WebDoor, configuration: HTTPListener.Configuration) {
        self.door = door
        self.configuration = configuration
        self.state = Mutex(State(caps: ConnectionCaps(configuration.caps, at: door.broker.now)))
        let routes = WebResponder(door)
        self.responder = { request, writer, channel in
            try await routes.respond(to: request, writer, on: channel)
        }
    }

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        channel.eventLoop.makeCompletedFuture {
            let kind = channel.eventLoop.makePromise(of: ConnectionGuard.Kind.self)
            let value = Value(channel: channel, kind: kind.futureResult)
            guard self.admits(channel) else {
                kind.succeed(.gone)
                channel.close(promise: nil)
                return value
            }
            // `try?`: what the system does not know does not matter.
            try? channel.syncOptions?.setOption(.tcpOption(.tcp_nodelay), value: 1)
            try? channel.syncOptions?.setOption(.socketOption(.so_keepalive), value: 1)
            try? channel.syncOptions?.setOption(.recvAllocator, value: GrowingReadBuffers())
            try? channel.syncOptions?.setOption(.maxMessagesPerRead, value: 1)
            let pipeline = channel.pipeline.syncOperations
            if let tls = self.configuration.tls { try pipeline.addHandler(NIOSSLServerHandler(context: tls())) }
            let encoder = HTTPResponseEncoder()
            let decoder = ByteToMessageHandler(
                HTTPRequestDecoder(
                    leftOverBytesStrategy: .forwardBytes, informationalResponseStrategy: .drop,
                    limitConfiguration: Self.limits))
            let guardian = ConnectionGuard(
                kind, edge: self.edge, isSecure: self.configuration.tls != nil, encoder: encoder,
                decoder: decoder)
            try pipeline.addHandlers(ByteGauge(guardian), encoder, decoder, guardian)
            return value
        }
    }

    func handle(value: Value, logger: Logger) async {
        // `try?`: a connection that is gone needs nothing.
        guard case .requests(let channel)? = try? await value.kind.get() else { return }
        await withTaskExecutorPreference(LoopExecutor(value.channel.eventLoop)) {
            await self.handleHTTP(asyncChannel: channel, logger: logger)
        }
    }

    /// A client that takes too long is not waited for any more.
    func closeAll() {
        for open in self.state.withLock({ Array($0.open.values) }) { open.channel.close(promise: nil) }
    }

    /// Those that ask one request after the other.
    var source: ConnectionSource {
        ConnectionSource(.http) { after, limit, then in
            let open = self.state.withLock { $0.open.values.filter { !$0.isHandedOver } }
            then(
                open.lazy.map {
                    OpenConnection(
                        id: $0.id, transport: .http, principal: nil, client: "",
                        address: $0.channel.remoteAddress?.ipAddress ?? "", since: $0.since)
                }.page(after: after, limit))
        } disconnect: { id, then in
            let found = self.state.withLock { $0.open.values.first { $0.id == id && !$0.isHandedOver } }
            found?.channel.close(promise: nil)
            then(found != nil)
        }
    }

    /// The way to the other door; who has gone it is none of ours any more.
    private var edge: EdgeEntrance? {
        self.configuration.edge.map { edge in
            EdgeEntrance(takes: edge.takes) { [weak self] head, channel, isSecure, position in
                self?.state.withLock { $0.open[ObjectIdentifier(channel)]?.isHandedOver = true }
                edge.take(head, channel, isSecure: isSecure, at: position)
            }
        }
    }

    // MARK: Caps

    private func admits(_ channel: any Channel) -> Bool {
        // Not an internet address: a socket of this machine.
        let host = channel.remoteAddress?.ipAddress.flatMap { HostAddress($0) } ?? .loopback
        let quota = self.door.broker.access.quotas.acceptQuota(of: host)
        let id = ObjectIdentifier(channel)
        let refusal = self.state.withLock { state -> (ConnectionCaps.Refusal, isFirst: Bool)? in
            do throws(ConnectionCaps.Refusal) {
                _ = try state.caps.accept(from: host, mustLogIn: false, quota: quota, at: self.door.broker.now)
                state.names += 1
                state.open[id] = Open(
                    id: ConnectionID(.http, state.names), channel: channel, since: self.door.wallTime)
                state.isTurningAway = false
                return nil
            } catch {
                defer { state.isTurningAway = true }
                return (error, !state.isTurningAway)
            }
        }
        if let (refusal, isFirst) = refusal {
            if isFirst { self.door.logger.warning("turned away connections to HTTP: too many (\(refusal))") }
            return false
        }
        self.door.connectionOpened()
        channel.closeFuture.whenComplete { _ in
            self.door.connectionClosed()
            self.state.withLock { state in
                state.open[id] = nil
                state.caps.closed(from: host, isWaiting: false)
            }
        }
        return true
    }

    private static var limits: NIOHTTPDecoderLimitConfiguration {
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderFieldCount = Limits.webHeadersMax
        limits.maxHeaderFieldSize = Limits.webHeaderFieldBytesMax.rawValue
        limits.maxHeaderListSize = Limits.webHeaderBytesMax.rawValue
        return limits
    }
}
