import ApusCore
import NIOCore
import WebFormats

/// What the client asks for.
extension EdgeSession {
    mutating func take(_ lines: [ClientLine]) -> [SessionAction] {
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
        case .subscribe(let wish): return self.subscribe(wish, id)
        case .unsubscribe(let channel): return self.unsubscribe(id, channel)
        case .flow(let channel, let credit):
            guard let index = self.index(of: channel) else { return self.answer(id, .failure(Self.unknown(channel))) }
            let sum = (self.subscriptions[index].credit ?? 0) + credit
            self.subscriptions[index].credit = min(sum, Limits.edgeCreditMax)
            let answer = self.answer(id, .success(.taken))
            self.queue(channel)
            return answer + self.recover()
        case .seek(let channel, let start): return self.seek(id, channel, start)
        case .ping: return self.answer(id, .success(.pong))
        case .create, .write, .read, .deleteTopic, .presence, .acknowledge:
            return self.begin(id) { [.perform(id, operation)] }
        }
    }

    /// - Parameter id: nil: success is not answered.
    package mutating func subscribe(_ wish: ClientOperation.Subscribe, _ id: RequestID? = nil) -> [SessionAction] {
        guard self.index(of: wish.channel) == nil else {
            return self.answer(id, .failure(Problem(.alreadySubscribed, "in '\(wish.channel)' already")))
        }
        guard self.subscriptions.count < Limits.edgeChannelsPerConnectionMax else {
            let detail = "a connection is in at most \(Limits.edgeChannelsPerConnectionMax) channels"
            return self.answer(id, .failure(Problem(.tooMany, detail)))
        }
        guard let token = self.nextToken() else { return self.close(.overloaded) }
        let actions = self.begin(id) { [.subscribe(token, wish.channel, wish.start)] }
        guard case .subscribe = actions.first else { return actions }
        self.add(
            Subscription(token, wish.channel, .starting(id), whenSlow: wish.whenSlow, credit: wish.credit))
        return actions
    }

    private mutating func unsubscribe(_ id: RequestID?, _ channel: EdgeChannel) -> [SessionAction] {
        guard let index = self.index(of: channel) else { return self.answer(id, .failure(Self.unknown(channel))) }
        let subscription = self.take(at: index)
        var actions: [SessionAction] = [.unsubscribe(subscription.token, channel)]
        switch subscription.phase {
        case .starting(let first):
            self.inFlight -= 1
            let problem = Problem(.notSubscribed, "'\(channel)' was unsubscribed from before it began")
            actions += self.answer(first, .failure(problem))
        case .restarting: self.inFlight -= 1
        case .catchingUp, .live: break
        }
        return actions + self.answer(id, .success(.unsubscribed(channel))) + self.readOn()
    }

    /// The client leaves its place in the channel and joins again elsewhere.
    private mutating func seek(_ id: RequestID?, _ channel: EdgeChannel, _ start: StartPoint) -> [SessionAction] {
        guard let index = self.index(of: channel) else { return self.answer(id, .failure(Self.unknown(channel))) }
        switch self.subscriptions[index].phase {
        case .starting, .restarting: return self.answer(id, .failure(Self.unknown(channel)))
        case .catchingUp, .live: break
        }
        let old = self.subscriptions[index].token
        guard let token = self.nextToken() else { return self.close(.overloaded) }
        let actions = self.begin(id) { [.unsubscribe(old, channel), .subscribe(token, channel, start)] }
        guard case .unsubscribe = actions.first else { return actions }
        var subscription = self.take(at: index)
        subscription.token = token
        subscription.phase = .starting(id)
        subscription.missed = [:]
        subscription.given = nil
        subscription.isQueued = false
        self.add(subscription)
        return actions + self.readOn()
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

    /// Nil: this connection has had four billion.
    mutating func nextToken() -> SubscriptionToken? {
        guard self.tokens < .max else { return nil }
        self.tokens += 1
        return SubscriptionToken(rawValue: self.tokens)
    }

    private static func unknown(_ channel: EdgeChannel) -> Problem {
        Problem(.notSubscribed, "not in '\(channel)'")
    }
}
