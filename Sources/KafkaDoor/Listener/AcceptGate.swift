import ApusAccess
import ApusCore
import Logging
import NIOCore

/// Turns connections away above the listener's caps, before anything is made for them, and keeps those waiting that are
/// over their address' quota.
///
/// Owner of the caps and of the connections that wait; touched on the server channel's event loop only.
final class AcceptGate: ChannelInboundHandler {
    typealias InboundIn = any Channel
    typealias InboundOut = any Channel

    /// Fired on the server channel: a connection that had to log in has done so.
    struct LoggedIn: Sendable {
        let channel: ObjectIdentifier
    }

    private var caps: ConnectionCaps
    private let mustLogIn: Bool
    /// The quota of an address, as it is now.
    private let quota: (HostAddress) -> ConnectionCaps.Quota?
    private let now: () -> Instant
    private let logger: Logger
    /// Connections that have not logged in yet.
    private var waiting: Set<ObjectIdentifier> = []
    /// Accepted connections whose time has not come: nothing is made for them and nothing is read from them before.
    private var held: [ObjectIdentifier: Held] = [:]
    /// Connections are being turned away. One line for each such time, not for each try.
    private var isTurningAway = false
    /// When it was said last that connections wait.
    private var holdingTold: Instant?

    private struct Held {
        let channel: any Channel
        let timer: Scheduled<Void>
    }

    init(
        caps: ConnectionCaps.Rules, mustLogIn: Bool, logger: Logger,
        quota: @escaping (HostAddress) -> ConnectionCaps.Quota? = { _ in nil },
        now: @escaping () -> Instant = { Instant(nanoseconds: NIODeadline.now().uptimeNanoseconds) }
    ) {
        self.caps = ConnectionCaps(caps, at: now())
        self.mustLogIn = mustLogIn
        self.quota = quota
        self.now = now
        self.logger = logger
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let child = Self.unwrapInboundIn(data)
        let address = child.remoteAddress?.plainAddress ?? "?"
        // Not an internet address: a socket of this machine.
        let host = HostAddress(address) ?? .loopback
        let wait: Duration
        do throws(ConnectionCaps.Refusal) {
            wait = try self.caps.accept(
                from: host, mustLogIn: self.mustLogIn, quota: self.quota(host), at: self.now())
        } catch {
            if !self.isTurningAway {
                self.isTurningAway = true
                self.logger.warning(
                    "turned away \(address): too many connections (\(error), \(self.caps.connections) open)")
            }
            return child.close(promise: nil)
        }
        self.isTurningAway = false
        let id = ObjectIdentifier(child)
        if self.mustLogIn { self.waiting.insert(id) }
        child.closeFuture.hop(to: context.eventLoop).assumeIsolated().whenComplete { _ in
            self.caps.closed(from: host, isWaiting: self.waiting.remove(id) != nil)
        }
        guard wait > .zero else { return context.fireChannelRead(data) }
        self.tellHolding(address)
        self.hold(child, id, for: wait, context)
    }

    /// Hands the connection on when its time has come.
    private func hold(
        _ child: any Channel, _ id: ObjectIdentifier, for wait: Duration, _ context: ChannelHandlerContext
    ) {
        let timer = context.eventLoop.assumeIsolated().scheduleTask(in: .nanoseconds(wait.wholeNanoseconds)) {
            guard self.held.removeValue(forKey: id) != nil else { return }
            context.fireChannelRead(NIOAny(child))
        }
        self.held[id] = Held(channel: child, timer: timer)
    }

    private func tellHolding(_ address: String) {
        let now = self.now()
        if let told = self.holdingTold, now.since(told) < Limits.connectionSweepPeriod { return }
        self.holdingTold = now
        self.logger.info("connections of \(address) wait: it has a quota (connection_creation_rate)")
    }

    /// The listener is closed: who waits waits for nothing.
    func handlerRemoved(context: ChannelHandlerContext) {
        let held = self.held.values
        self.held = [:]
        for entry in held {
            entry.timer.cancel()
            entry.channel.close(promise: nil)
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard let event = event as? LoggedIn else { return context.fireUserInboundEventTriggered(event) }
        if self.waiting.remove(event.channel) != nil { self.caps.loggedIn() }
    }
}
