import ApusAccess
import ApusCore
import DequeModule
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
    private var waiting: [ObjectIdentifier: Accepted] = [:]
    /// They again, in the order in which they came; who has logged in or is gone is passed over.
    private var arrivals: Deque<Accepted> = []
    /// Accepted connections whose time has not come: nothing is made for them and nothing is read from them before.
    private var held: [ObjectIdentifier: Held] = [:]
    /// Connections are being turned away. One line for each such time, not for each try.
    private var isTurningAway = false
    /// When it was said last that connections wait.
    private var holdingTold: Instant?

    /// One that is counted. Kept until it is closed, so that its identity is nobody else's meanwhile.
    private final class Accepted {
        let channel: any Channel
        let host: HostAddress
        let since: Instant
        var isWaiting: Bool
        var isCounted = true

        init(_ channel: any Channel, from host: HostAddress, at since: Instant, isWaiting: Bool) {
            self.channel = channel
            self.host = host
            self.since = since
            self.isWaiting = isWaiting
        }
    }

    private struct Held {
        let channel: any Channel
        let timer: Scheduled<Void>
    }

    init(
        caps: ConnectionCaps.Rules, mustLogIn: Bool, logger: Logger,
        quota: @escaping (HostAddress) -> ConnectionCaps.Quota? = { _ in nil },
        now: @escaping () -> Instant
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
            wait = try self.accept(from: host)
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
        let accepted = Accepted(child, from: host, at: self.now(), isWaiting: self.mustLogIn)
        if self.mustLogIn {
            self.waiting[id] = accepted
            self.arrivals.append(accepted)
        }
        child.closeFuture.hop(to: context.eventLoop).assumeIsolated().whenComplete { _ in self.forget(accepted) }
        guard wait > .zero else { return context.fireChannelRead(data) }
        self.tellHolding(address)
        self.hold(child, id, for: wait, context)
    }

    /// When too many have not logged in, the one that has taken longest makes room, if it had its time: those who
    /// never will log in could keep all others out for as long as they stay. Not sooner, or a storm of honest clients
    /// would push one another out for ever.
    private func accept(from host: HostAddress) throws(ConnectionCaps.Refusal) -> Duration {
        let (quota, now) = (self.quota(host), self.now())
        do throws(ConnectionCaps.Refusal) {
            return try self.caps.accept(from: host, mustLogIn: self.mustLogIn, quota: quota, at: now)
        } catch .unauthenticated {
            guard let oldest = self.arrivals.first, now.since(oldest.since) >= Limits.loginUndisturbed else {
                throw .unauthenticated
            }
            self.forget(oldest)
            oldest.channel.close(promise: nil)
            return try self.caps.accept(from: host, mustLogIn: self.mustLogIn, quota: quota, at: now)
        }
    }

    /// It is closed, or will be.
    private func forget(_ accepted: Accepted) {
        guard accepted.isCounted else { return }
        accepted.isCounted = false
        self.caps.closed(from: accepted.host, isWaiting: accepted.isWaiting)
        self.waiting[ObjectIdentifier(accepted.channel)] = nil
        self.loggedIn(accepted)
    }

    /// It waits no more.
    private func loggedIn(_ accepted: Accepted) {
        accepted.isWaiting = false
        while let first = self.arrivals.first, !first.isWaiting { self.arrivals.removeFirst() }
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
        guard let accepted = self.waiting.removeValue(forKey: event.channel) else { return }
        self.caps.loggedIn()
        self.loggedIn(accepted)
    }
}
