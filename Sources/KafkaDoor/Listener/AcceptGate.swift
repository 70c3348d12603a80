import ApusAccess
import ApusCore
import Logging
import NIOCore

/// Turns connections away above the listener's caps, before anything is made for them.
///
/// Owner of the caps; touched on the server channel's event loop only.
final class AcceptGate: ChannelInboundHandler {
    typealias InboundIn = any Channel
    typealias InboundOut = any Channel

    /// Fired on the server channel: a connection that had to log in has done so.
    struct LoggedIn: Sendable {
        let channel: ObjectIdentifier
    }

    private var caps: ConnectionCaps
    private let mustLogIn: Bool
    private let now: () -> Instant
    private let logger: Logger
    /// Connections that have not logged in yet.
    private var waiting: Set<ObjectIdentifier> = []
    /// Connections are being turned away. One line for each such time, not for each try.
    private var isTurningAway = false

    init(
        caps: ConnectionCaps.Rules, mustLogIn: Bool, logger: Logger,
        now: @escaping () -> Instant = { Instant(nanoseconds: NIODeadline.now().uptimeNanoseconds) }
    ) {
        self.caps = ConnectionCaps(caps, at: now())
        self.mustLogIn = mustLogIn
        self.now = now
        self.logger = logger
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let child = Self.unwrapInboundIn(data)
        let address = child.remoteAddress?.plainAddress ?? "?"
        // Not an internet address: a socket of this machine.
        let host = HostAddress(address) ?? .loopback
        if let refusal = self.caps.accept(from: host, mustLogIn: self.mustLogIn, at: self.now()) {
            if !self.isTurningAway {
                self.isTurningAway = true
                self.logger.warning(
                    "turned away \(address): too many connections (\(refusal), \(self.caps.connections) open)")
            }
            return child.close(promise: nil)
        }
        self.isTurningAway = false
        let id = ObjectIdentifier(child)
        if self.mustLogIn { self.waiting.insert(id) }
        child.closeFuture.hop(to: context.eventLoop).assumeIsolated().whenComplete { _ in
            self.caps.closed(from: host, isWaiting: self.waiting.remove(id) != nil)
        }
        context.fireChannelRead(data)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard let event = event as? LoggedIn else { return context.fireUserInboundEventTriggered(event) }
        if self.waiting.remove(event.channel) != nil { self.caps.loggedIn() }
    }
}
