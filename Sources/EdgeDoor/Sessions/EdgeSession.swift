package import ApusCore
package import NIOCore
package import WebFormats

/// One edge connection: who may ask what when, which channels it is in, and what its socket still owes.
///
/// A client says who it is first; what it sends along with that waits until it is known. Then it subscribes, and is
/// pushed what its channels have. **What the socket has not taken is bounded** by ``Limits/edgeBytesOwedMax``. Beyond
/// it, or beyond the credit that the client gave, a subscription is not pushed to. Its rule says what that means: the
/// connection is closed, to be resumed; or the pushes are left out, and when there is room again the client is told
/// exactly which records it missed, and goes on with the newest. Only the slow client is touched.
///
/// Owner: the connection, on its event loop. It runs the actions in their order.
package struct EdgeSession: Sendable {
    private enum State: Sendable {
        /// Nobody has said who this is, and has until then to do so.
        case waiting(until: Instant)
        /// It is being found out; lines that came meanwhile wait.
        case connecting(RequestID?, held: [ClientLine], until: Instant)
        case open
        case closed
    }

    private enum Phase: Hashable, Sendable {
        /// Where it begins is being found out.
        case starting(SubscriptionToken, RequestID?)
        case live
    }

    private struct Subscription: Sendable {
        var phase: Phase
        let whenSlow: SlowReaderRule
        /// Records that may still be pushed; nil: as many as the socket takes.
        var credit: Int?
        /// What was not pushed since the client fell behind.
        var missed: [PartitionIndex: MissedRange] = [:]
    }

    private var state: State
    private var subscriptions: [EdgeChannel: Subscription] = [:]
    private var inFlight = 0
    private var owed = ByteCount.zero
    private var tokens: UInt64 = 0
    private var heard: Instant
    private var isPinged = false

    /// - Parameter isConnected: the request that opened the connection said who this is, as an event stream's does.
    package init(at now: Instant, isConnected: Bool = false) {
        self.state = isConnected ? .open : .waiting(until: now.advanced(by: Limits.edgeConnectWaitMax))
        self.heard = now
    }

    package var isClosed: Bool { if case .closed = self.state { true } else { false } }
    package var channels: some Collection<EdgeChannel> { self.subscriptions.keys }
    /// What the socket has not taken yet.
    package var bytesOwed: ByteCount { self.owed }

    /// A whole message came.
    package mutating func received(_ message: ByteBuffer, at now: Instant) -> [SessionAction] {
        self.heard = now
        self.isPinged = false
        return self.take(ClientLine.lines(of: message))
    }

    /// It is known who this is.
    /// - Parameter connection: its name.
    package mutating func connected(_ connection: String) -> [SessionAction] {
        guard case .connecting(let id, let held, _) = self.state else { return [] }
        self.state = .open
        let result = OperationResult.connected(connection: connection, ping: Limits.edgePingPeriod)
        return self.answer(id, .success(result)) + self.take(held)
    }

    /// Nobody that we know, or nobody who may connect.
    package mutating func denied(_ problem: Problem) -> [SessionAction] {
        guard case .connecting(let id, _, _) = self.state else { return [] }
        return self.answer(id, .failure(problem)) + self.close(.unauthenticated)
    }

    /// Where a subscription begins was found out, and its hub joined; or it may not be.
    package mutating func subscribed(
        _ token: SubscriptionToken, to channel: EdgeChannel, _ outcome: Result<(SealedCursor, [ResumeGap]), Problem>
    ) -> [SessionAction] {
        guard !self.isClosed, case .starting(token, let id) = self.subscriptions[channel]?.phase else { return [] }
        self.inFlight -= 1
        switch outcome {
        case .success((let cursor, let gaps)):
            self.subscriptions[channel]?.phase = .live
            return self.answer(id, .success(.subscribed(channel, cursor, gaps)))
        case .failure(let problem):
            self.subscriptions[channel] = nil
            return self.answer(id, .failure(problem))
        }
    }

    /// What was performed came to this.
    package mutating func answered(
        _ id: RequestID?, _ outcome: Result<OperationResult, Problem>
    ) -> [SessionAction] {
        guard !self.isClosed else { return [] }
        self.inFlight -= 1
        return self.answer(id, outcome)
    }

    /// The hub has records for a channel of this connection.
    package mutating func pushed(_ delivery: HubDelivery) -> [SessionAction] {
        guard !self.isClosed, var subscription = self.subscriptions[delivery.channel], subscription.phase == .live
        else { return [] }
        let bytes = ByteCount(rawValue: delivery.push.body.readableBytes)
        // A push is never cut. The first one goes out however long it is, or it never would.
        let hasRoom = self.owed == .zero || self.owed + bytes <= Limits.edgeBytesOwedMax
        if subscription.missed.isEmpty, hasRoom, subscription.credit != 0 {
            subscription.credit = subscription.credit.map { max(0, $0 - delivery.recordCount) }
            self.subscriptions[delivery.channel] = subscription
            self.owed = self.owed + bytes
            return [.push(delivery.push)]
        }
        guard subscription.whenSlow == .skip else { return self.close(.tooSlow) }
        let range = delivery.range
        subscription.missed[range.partition, default: range].to = range.to
        self.subscriptions[delivery.channel] = subscription
        return []
    }

    /// The socket took so much.
    package mutating func took(_ bytes: ByteCount) -> [SessionAction] {
        precondition(bytes <= self.owed, "more was taken than was owed")
        self.owed = self.owed - bytes
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
            let silence = now.since(self.heard)
            if silence >= Limits.edgePingPeriod * 2 { return self.close(.idle) }
            guard silence >= Limits.edgePingPeriod, !self.isPinged else { return [] }
            self.isPinged = true
            return [.ping]
        case .closed: return []
        }
    }

    /// A channel of this connection is not to be had any more: the right to it was taken away, or its topic is gone.
    package mutating func ended(_ channel: EdgeChannel, _ problem: Problem) -> [SessionAction] {
        guard !self.isClosed, let subscription = self.subscriptions.removeValue(forKey: channel) else { return [] }
        guard case .starting(_, let id) = subscription.phase else {
            return [.unsubscribe(channel)] + self.tell(.ended(channel, problem))
        }
        self.inFlight -= 1
        return [.unsubscribe(channel)] + self.answer(id, .failure(problem))
    }

    /// This node stops soon: the client moves to another after so long.
    package mutating func drains(retryIn wait: Duration) -> [SessionAction] {
        self.isClosed ? [] : self.tell(.moved(retryIn: wait))
    }

    /// The connection ends for this reason.
    package mutating func close(_ reason: CloseReason) -> [SessionAction] {
        guard !self.isClosed else { return [] }
        self.state = .closed
        let left = self.subscriptions.keys.map { SessionAction.unsubscribe($0) }
        self.subscriptions = [:]
        var line = ByteBuffer()
        line.writeJSON(EdgeEvent.bye(reason))
        self.owed = self.owed + ByteCount(rawValue: line.readableBytes)
        return left + [.send(line), .close(reason)]
    }
}

extension EdgeSession {
    private mutating func take(_ lines: [ClientLine]) -> [SessionAction] {
        var actions: [SessionAction] = []
        for line in lines { actions += self.take(line) }
        return actions
    }

    private mutating func take(_ line: ClientLine) -> [SessionAction] {
        switch self.state {
        case .closed: return []
        case .waiting(let until):
            guard case .request(let id, .connect(let connect)) = line else {
                guard line != .pong else { return [] }
                let problem = Problem(
                    .notConnected, "the first operation is connect", hint: #"{"id":1,"op":"connect"}"#)
                return self.answer(nil, .failure(problem)) + self.close(.notConnected)
            }
            self.state = .connecting(id, held: [], until: until)
            return [.authenticate(connect)]
        case .connecting(let id, var held, let until):
            guard held.count < Limits.edgeOperationsInFlightMax else { return self.close(.overloaded) }
            held.append(line)
            self.state = .connecting(id, held: held, until: until)
            return []
        case .open:
            switch line {
            case .pong: return []
            case .refused(let id, let problem): return self.answer(id, .failure(problem))
            case .request(let id, let operation): return self.perform(id, operation)
            }
        }
    }

    private mutating func perform(_ id: RequestID?, _ operation: ClientOperation) -> [SessionAction] {
        switch operation {
        case .connect:
            return self.answer(id, .failure(Problem(.alreadyConnected, "this connection is known already")))
        case .subscribe(let wish): return self.subscribe(id, wish)
        case .unsubscribe(let channel): return self.unsubscribe(id, channel)
        case .ack(let channel, let partition, let offset):
            guard self.subscriptions[channel] != nil else { return self.answer(id, .failure(Self.unknown(channel))) }
            return [.acknowledge(channel, partition, offset)] + self.answer(id, .success(.taken))
        case .flow(let channel, let credit):
            guard self.subscriptions[channel] != nil else { return self.answer(id, .failure(Self.unknown(channel))) }
            let sum = (self.subscriptions[channel]?.credit ?? 0) + credit
            self.subscriptions[channel]?.credit = min(sum, Limits.edgeCreditMax)
            return self.answer(id, .success(.taken)) + self.recover()
        case .seek(let channel, let start): return self.seek(id, channel, start)
        case .ping: return self.answer(id, .success(.pong))
        case .create, .write, .read, .deleteTopic, .presence:
            return self.begin(id) { [.perform(id, operation)] }
        }
    }

    private mutating func subscribe(_ id: RequestID?, _ wish: ClientOperation.Subscribe) -> [SessionAction] {
        guard self.subscriptions[wish.channel] == nil else {
            return self.answer(id, .failure(Problem(.alreadySubscribed, "in '\(wish.channel)' already")))
        }
        guard self.subscriptions.count < Limits.edgeChannelsPerConnectionMax else {
            let detail = "a connection is in at most \(Limits.edgeChannelsPerConnectionMax) channels"
            return self.answer(id, .failure(Problem(.tooMany, detail)))
        }
        let token = self.nextToken()
        let actions = self.begin(id) { [.subscribe(token, wish.channel, wish.start)] }
        guard case .subscribe = actions.first else { return actions }
        self.subscriptions[wish.channel] = Subscription(
            phase: .starting(token, id), whenSlow: wish.whenSlow, credit: wish.credit)
        return actions
    }

    private mutating func unsubscribe(_ id: RequestID?, _ channel: EdgeChannel) -> [SessionAction] {
        guard let subscription = self.subscriptions.removeValue(forKey: channel) else {
            return self.answer(id, .failure(Self.unknown(channel)))
        }
        var actions: [SessionAction] = [.unsubscribe(channel)]
        if case .starting(_, let first) = subscription.phase {
            self.inFlight -= 1
            let problem = Problem(.notSubscribed, "'\(channel)' was unsubscribed from before it began")
            actions += self.answer(first, .failure(problem))
        }
        return actions + self.answer(id, .success(.unsubscribed(channel)))
    }

    /// The client leaves its place in the channel and joins again elsewhere.
    private mutating func seek(_ id: RequestID?, _ channel: EdgeChannel, _ start: StartPoint) -> [SessionAction] {
        guard self.subscriptions[channel]?.phase == .live else {
            return self.answer(id, .failure(Self.unknown(channel)))
        }
        let token = self.nextToken()
        let actions = self.begin(id) { [.unsubscribe(channel), .subscribe(token, channel, start)] }
        guard case .unsubscribe = actions.first else { return actions }
        self.subscriptions[channel]?.phase = .starting(token, id)
        self.subscriptions[channel]?.missed = [:]
        return actions
    }

    /// One more operation under way, if there may be.
    private mutating func begin(_ id: RequestID?, _ actions: () -> [SessionAction]) -> [SessionAction] {
        guard self.inFlight < Limits.edgeOperationsInFlightMax else {
            let detail = "\(Limits.edgeOperationsInFlightMax) operations are under way"
            return self.answer(id, .failure(Problem(.tooMany, detail, hint: "wait for their answers")))
        }
        self.inFlight += 1
        return actions()
    }

    /// Whoever has missed something and has room again goes on with the newest.
    private mutating func recover() -> [SessionAction] {
        // Half, so that a client at the edge does not change between the two with every push.
        guard self.owed.rawValue <= Limits.edgeBytesOwedMax.rawValue / 2, !self.isClosed else { return [] }
        var actions: [SessionAction] = []
        for (channel, subscription) in self.subscriptions where !subscription.missed.isEmpty && subscription.credit != 0
        {
            let ranges = subscription.missed.values.sorted { $0.partition < $1.partition }
            self.subscriptions[channel]?.missed = [:]
            actions.append(.tellLagging(channel, ranges))
        }
        return actions
    }

    /// A request without an id is told what goes wrong, and nothing else.
    private mutating func answer(
        _ id: RequestID?, _ outcome: Result<OperationResult, Problem>
    ) -> [SessionAction] {
        switch outcome {
        case .success(let result): return id.map { self.send(OperationReply.ok($0, result)) } ?? []
        case .failure(let problem): return self.send(OperationReply.error(id, problem))
        }
    }

    private mutating func tell(_ event: EdgeEvent) -> [SessionAction] {
        var line = ByteBuffer()
        line.writeJSON(event)
        return self.send(line)
    }

    private mutating func send(_ line: ByteBuffer) -> [SessionAction] {
        // Pushes stay within the bound; so at twice of it the answers alone are beyond it.
        let bytes = ByteCount(rawValue: line.readableBytes)
        guard (self.owed + bytes).rawValue <= Limits.edgeBytesOwedMax.rawValue * 2 else { return self.close(.tooSlow) }
        self.owed = self.owed + bytes
        return [.send(line)]
    }

    private mutating func nextToken() -> SubscriptionToken {
        self.tokens += 1
        return SubscriptionToken(rawValue: self.tokens)
    }

    private static func unknown(_ channel: EdgeChannel) -> Problem {
        Problem(.notSubscribed, "not in '\(channel)'")
    }
}
