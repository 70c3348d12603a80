package import ApusCore
package import NIOCore
package import WebFormats

/// One edge connection: who may ask what when, which channels it is in, and what its socket still owes.
///
/// A client says who it is first; what it sends along with that waits until it is known. Then it subscribes, catches up
/// with what is behind it (``CatchUp``), and is pushed what its channels have. **What the socket has not taken is
/// bounded** by ``Limits/edgeBytesOwedMax``. Beyond it, or beyond the credit that the client gave, a live subscription
/// is not pushed to. Its rule says what that means: the connection is closed, to be resumed; or the pushes are left
/// out, and when there is room again the client is told exactly which records it missed, and goes on with the newest.
/// One that catches up is simply not read for. Only the slow client is touched.
///
/// Owner: the connection, on its event loop. It runs the actions in their order.
package struct EdgeSession: Sendable {
    /// How the client is reached.
    package enum Kind: Hashable, Sendable {
        /// It can answer.
        case socket
        /// An event stream: one way.
        case stream
    }

    enum State: Sendable {
        /// Nobody has said who this is, and has until then to do so.
        case waiting(until: Instant)
        /// It is being found out; lines that came meanwhile wait.
        indirect case connecting(RequestID?, held: [ClientLine], until: Instant)
        case open
        case closed
    }

    let kind: Kind
    /// Known when the connection is open.
    package var format = WireFormat.json
    var state: State
    /// In the order of their tokens.
    var subscriptions: [Subscription] = []
    /// Subscriptions that wait to be read for, one after the other.
    var turns: [SubscriptionToken] = []
    /// The subscription that is being read for.
    var reading: SubscriptionToken?
    /// Subscriptions that have missed something.
    var laggards = 0
    var inFlight = 0
    var owed = ByteCount.zero
    var tokens: UInt32 = 0
    private var heardAt: Instant
    private var isPinged = false

    /// - Parameter isConnected: the request that opened the connection said who this is.
    package init(_ kind: Kind = .socket, at now: Instant, isConnected: Bool = false) {
        self.kind = kind
        self.state = isConnected ? .open : .waiting(until: now.advanced(by: Limits.edgeConnectWaitMax))
        self.heardAt = now
    }

    package var isClosed: Bool { if case .closed = self.state { true } else { false } }
    package var channels: some Collection<EdgeChannel> { self.subscriptions.lazy.map(\.channel) }
    /// The channels, each with the beginning of it that counts now.
    package var places: [(token: SubscriptionToken, channel: EdgeChannel)] {
        self.subscriptions.map { ($0.token, $0.channel) }
    }

    package func channel(of token: SubscriptionToken) -> EdgeChannel? {
        self.index(of: token).map { self.subscriptions[$0].channel }
    }

    /// Nil: the client is not in it.
    package func token(of channel: EdgeChannel) -> SubscriptionToken? {
        self.index(of: channel).map { self.subscriptions[$0].token }
    }

    /// What the socket has not taken yet.
    package var bytesOwed: ByteCount { self.owed }

    /// Operations that are not answered yet.
    package var operationsUnderWay: Int { self.inFlight }

    // MARK: The client

    /// A whole message came.
    package mutating func received(_ message: ByteBuffer, at now: Instant) -> [SessionAction] {
        self.heard(at: now)
        return self.take(ClientLine.lines(of: message, in: self.format))
    }

    /// Any sign of life.
    package mutating func heard(at now: Instant) {
        self.heardAt = now
        self.isPinged = false
    }

    /// It is known who this is.
    /// - Parameter connection: its name.
    package mutating func connected(_ connection: String) -> [SessionAction] {
        guard case .connecting(let id, let held, _) = self.state else { return [] }
        self.state = .open
        let result = OperationResult.connected(connection: connection, ping: Limits.edgePingPeriod)
        return self.answer(id, .success(result)) + self.take(held)
    }

    /// Nobody that we know, or nobody who may connect; or nobody can say just now, and the client comes again.
    package mutating func denied(_ problem: Problem) -> [SessionAction] {
        guard case .connecting(let id, _, _) = self.state else { return [] }
        return self.answer(id, .failure(problem))
            + self.close(problem.code == .overloaded ? .overloaded : .unauthenticated)
    }

    /// What was performed came to this.
    package mutating func answered(
        _ id: RequestID?, _ outcome: Result<OperationResult, Problem>
    ) -> [SessionAction] {
        guard !self.isClosed else { return [] }
        self.inFlight -= 1
        return self.answer(id, outcome)
    }

    // MARK: The socket

    /// The socket has not taken so much yet of all that was written.
    package mutating func left(_ bytes: ByteCount) -> [SessionAction] {
        self.owed = bytes
        return self.recover()
    }

    /// Something was written for the client that the session did not hand out itself.
    package mutating func owes(_ bytes: ByteCount) {
        self.owed = self.owed + bytes
    }

    /// Time has passed. Asked about once a second, for all connections of a loop in one go.
    package mutating func swept(at now: Instant) -> [SessionAction] {
        switch self.state {
        case .waiting(let until), .connecting(_, _, let until):
            return now >= until ? self.close(.notConnected) : []
        case .open:
            let silence = now.since(self.heardAt)
            // A stream is never heard of: whoever it reaches is seen by what the socket takes.
            if self.kind == .stream {
                guard silence >= Limits.edgePingPeriod else { return [] }
                self.heardAt = now
                return [.ping]
            }
            if silence >= Limits.edgePingPeriod * 2 { return self.close(.idle) }
            guard silence >= Limits.edgePingPeriod, !self.isPinged else { return [] }
            self.isPinged = true
            return [.ping]
        case .closed: return []
        }
    }

    /// Until when a client that is quiet, and owed nothing, need not be looked at; nil: it has to be asked each second.
    package var quietUntil: Instant? {
        guard case .open = self.state, self.owed == .zero else { return nil }
        return self.heardAt.advanced(by: Limits.edgePingPeriod * (self.isPinged ? 2 : 1))
    }

    /// The same channel, as others know it: a name that a thousand clients sent is kept once.
    package mutating func shares(_ channel: EdgeChannel, for token: SubscriptionToken) {
        guard let index = self.index(of: token), self.subscriptions[index].channel == channel else { return }
        self.subscriptions[index].channel = channel
    }

    /// This node stops soon: the client moves to another after so long.
    package mutating func drains(retryIn wait: Duration) -> [SessionAction] {
        self.isClosed ? [] : self.tell(.moved(retryIn: wait))
    }

    /// The connection ends for this reason.
    package mutating func close(_ reason: CloseReason) -> [SessionAction] {
        guard !self.isClosed else { return [] }
        let left = self.gone()
        self.owed = self.owed + Self.length(of: .bye(reason))
        return left + [.tell(.bye(reason)), .close(reason)]
    }

    /// The client has gone: nothing reaches it any more.
    package mutating func gone() -> [SessionAction] {
        self.state = .closed
        let left = self.subscriptions.map { SessionAction.unsubscribe($0.token, $0.channel) }
        (self.subscriptions, self.turns, self.reading, self.laggards) = ([], [], nil, 0)
        return left
    }

    // MARK: Saying

    /// A request without an id is told what goes wrong, and nothing else.
    mutating func answer(_ id: RequestID?, _ outcome: Result<OperationResult, Problem>) -> [SessionAction] {
        switch outcome {
        case .success(let result): return id.map { self.send(OperationReply.ok($0, result, in: self.format)) } ?? []
        case .failure(let problem): return self.send(OperationReply.error(id, problem, in: self.format))
        }
    }

    mutating func tell(_ event: EdgeEvent) -> [SessionAction] {
        self.write(Self.length(of: event), .tell(event))
    }

    private mutating func send(_ line: ByteBuffer) -> [SessionAction] {
        self.write(ByteCount(rawValue: line.readableBytes), .send(line))
    }

    private mutating func write(_ bytes: ByteCount, _ action: SessionAction) -> [SessionAction] {
        // Pushes stay within the bound; so at twice of it the answers alone are beyond it.
        guard (self.owed + bytes).rawValue <= Limits.edgeBytesOwedMax.rawValue * 2 else { return self.close(.tooSlow) }
        self.owed = self.owed + bytes
        return [action]
    }

    private static func length(of event: EdgeEvent) -> ByteCount {
        var line = ByteBuffer()
        line.writeJSON(event)
        return ByteCount(rawValue: line.readableBytes)
    }
}
