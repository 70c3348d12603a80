import ApusCore
import NIOCore
package import WebFormats

/// What the client is given of its channels.
extension EdgeSession {
    /// Where a subscription begins was found out, and its hub joined at this moment; or it may not be.
    package mutating func subscribed(
        _ token: SubscriptionToken, _ outcome: Result<SubscriptionStart, Problem>
    ) -> [SessionAction] {
        guard let index = self.index(of: token) else { return [] }
        let id: RequestID?
        var isAsked = true
        switch self.subscriptions[index].phase {
        case .starting(let asked): id = asked
        case .restarting: (id, isAsked) = (nil, false)
        case .catchingUp, .live: return []
        }
        self.inFlight -= 1
        switch outcome {
        case .success(let start):
            let channel = self.subscriptions[index].channel
            self.subscriptions[index].given = start.given
            self.subscriptions[index].phase = start.catchUp.map { .catchingUp($0) } ?? .live
            let answer = self.answer(id, .success(.subscribed(channel, start.cursor, start.gaps)))
            self.queue(token)
            return answer + self.readOn()
        case .failure(let problem):
            let channel = self.take(at: index).channel
            return isAsked ? self.answer(id, .failure(problem)) : self.tell(.ended(channel, problem))
        }
    }

    /// The topic has more partitions: the subscription goes on in all of them, from where it is.
    /// - Parameter live: where the live pushes of its channel stand.
    package mutating func rejoins(_ token: SubscriptionToken, from live: SealedCursor) -> [SessionAction] {
        guard let index = self.index(of: token) else { return [] }
        let cursor: SealedCursor
        switch self.subscriptions[index].phase {
        case .starting, .restarting: return []
        case .catchingUp(let catchUp): cursor = catchUp.cursor
        case .live: cursor = live
        }
        guard let next = self.nextToken() else { return self.close(.overloaded) }
        var subscription = self.take(at: index)
        subscription.token = next
        subscription.phase = .restarting
        subscription.isQueued = false
        if !subscription.missed.isEmpty { self.laggards += 1 }
        self.inFlight += 1
        self.add(subscription)
        let channel = subscription.channel
        return [.unsubscribe(token, channel), .subscribe(subscription.token, channel, .cursors([cursor.text]))]
            + self.readOn()
    }

    /// The hub has records for a channel of this connection.
    package mutating func pushed(_ delivery: HubDelivery, to token: SubscriptionToken) -> PushAnswer {
        guard let index = self.index(of: token) else { return .leaveOut }
        if self.subscriptions[index].isPlain { return self.pushLive(delivery, at: index) }
        switch self.subscriptions[index].phase {
        case .starting, .restarting: return .leaveOut
        case .live: return self.pushLive(delivery, at: index)
        case .catchingUp(var catchUp):
            // Emptied first, so that the change does not copy what it holds.
            self.subscriptions[index].phase = .live
            catchUp.delivered(delivery)
            self.subscriptions[index].phase = .catchingUp(catchUp)
            self.queue(token)
            let actions = self.readOn()
            return actions.isEmpty ? .leaveOut : .act(actions)
        }
    }

    private mutating func pushLive(_ delivery: HubDelivery, at index: Int) -> PushAnswer {
        let bytes = ByteCount(rawValue: delivery.push.body(in: self.format).readableBytes)
        // A push is never cut. The first one goes out however long it is, or it never would.
        let hasRoom = self.owed == .zero || self.owed + bytes <= Limits.edgeBytesOwedMax
        if hasRoom, self.subscriptions[index].isPlain {
            self.owed = self.owed + bytes
            return .push
        }
        let isLagging = !self.subscriptions[index].missed.isEmpty
        if !isLagging, hasRoom, self.subscriptions[index].credit != 0 {
            self.spend(delivery.recordCount, at: index)
            self.subscriptions[index].given?.give(delivery)
            self.owed = self.owed + bytes
            return .push
        }
        guard self.subscriptions[index].whenSlow == .skip else { return .act(self.close(.tooSlow)) }
        let range = delivery.range
        self.subscriptions[index].missed[range.partition, default: range].to = range.to
        if !isLagging { self.laggards += 1 }
        return .leaveOut
    }

    /// Retention passed the live pushes of a channel: nobody is given these records.
    package mutating func lost(_ range: MissedRange, for token: SubscriptionToken) -> [SessionAction] {
        guard let index = self.index(of: token) else { return [] }
        switch self.subscriptions[index].phase {
        case .starting, .restarting: return []
        case .live where self.subscriptions[index].missed.isEmpty:
            return self.tell(.gone(self.subscriptions[index].channel, [range]))
        case .live:
            self.subscriptions[index].missed[range.partition, default: range].to = range.to
            return []
        case .catchingUp(var catchUp):
            catchUp.lost(range)
            self.subscriptions[index].phase = .catchingUp(catchUp)
            self.queue(token)
            return self.readOn()
        }
    }

    /// What was to be read is there, or can not be had.
    package mutating func found(
        _ token: SubscriptionToken, _ outcome: Result<PastPiece, Problem>
    ) -> [SessionAction] {
        guard self.reading == token, let index = self.index(of: token) else { return [] }
        self.reading = nil
        let piece: PastPiece
        switch outcome {
        case .success(let found): piece = found
        case .failure(let problem): return self.ended(token, problem)
        }
        guard case .catchingUp(var catchUp) = self.subscriptions[index].phase else { return self.readOn() }
        let channel = self.subscriptions[index].channel
        self.subscriptions[index].phase = .live
        let step = catchUp.found(piece)
        if !step.isLive { self.subscriptions[index].phase = .catchingUp(catchUp) }
        var actions: [SessionAction] = []
        if !step.missing.isEmpty { actions += self.tell(.gone(channel, step.missing)) }
        guard !self.isClosed else { return actions }
        if let push = step.push {
            self.spend(step.recordCount, at: index)
            self.subscriptions[index].given?.give(upTo: catchUp.place)
            self.owed = self.owed + ByteCount(rawValue: push.body(in: self.format).readableBytes)
            actions.append(.push(push))
        }
        if let cursor = step.cursor {
            let push = Push(channel, [], cursor, as: [self.format])
            self.owed = self.owed + ByteCount(rawValue: push.body(in: self.format).readableBytes)
            actions.append(.push(push))
        }
        for delivery in step.held where !self.isClosed {
            switch self.pushLive(delivery, at: index) {
            case .push: actions.append(.push(delivery.push))
            case .leaveOut: break
            case .act(let more): actions += more
            }
        }
        self.queue(token)
        return actions + self.readOn()
    }

    /// A subscription is not to be had any more: the right to it was taken away, or its topic is gone, or can not be
    /// read.
    package mutating func ended(_ token: SubscriptionToken, _ problem: Problem) -> [SessionAction] {
        guard let index = self.index(of: token) else { return [] }
        let subscription = self.take(at: index)
        let leave = SessionAction.unsubscribe(token, subscription.channel)
        switch subscription.phase {
        case .starting(let id):
            self.inFlight -= 1
            return [leave] + self.answer(id, .failure(problem)) + self.readOn()
        case .restarting: self.inFlight -= 1
        case .catchingUp, .live: break
        }
        return [leave] + self.tell(.ended(subscription.channel, problem)) + self.readOn()
    }

    /// Whether it is not known yet if the subscription can be had.
    package func isStarting(_ token: SubscriptionToken) -> Bool {
        guard let index = self.index(of: token), case .starting = self.subscriptions[index].phase else { return false }
        return true
    }

    /// Whether the subscription has met the live pushes.
    package func isLive(_ token: SubscriptionToken) -> Bool {
        guard let index = self.index(of: token), case .live = self.subscriptions[index].phase else { return false }
        return true
    }

    /// What was pushed to the client of a channel that keeps receipts; nil when it is in no such one.
    package func given(of channel: EdgeChannel) -> GivenRecords? {
        self.index(of: channel).flatMap { self.subscriptions[$0].given }
    }

    /// It was told that what it was not given in front of this place is left out.
    package mutating func given(upTo cursor: EdgeCursor, of channel: EdgeChannel) {
        guard let index = self.index(of: channel) else { return }
        self.subscriptions[index].given?.give(upTo: cursor)
    }

    private mutating func spend(_ records: Int, at index: Int) {
        self.subscriptions[index].credit = self.subscriptions[index].credit.map { max(0, $0 - records) }
    }
}

/// Room, and who waits for it.
extension EdgeSession {
    /// Half, so that a client at the edge does not change between the two with every push.
    private var hasRoom: Bool { self.owed.rawValue <= Limits.edgeBytesOwedMax.rawValue / 2 && !self.isClosed }

    /// Whoever has missed something and has room again goes on with the newest.
    mutating func recover() -> [SessionAction] {
        guard self.hasRoom else { return [] }
        var actions: [SessionAction] = []
        if self.laggards > 0 {
            for index in self.subscriptions.indices
            where !self.subscriptions[index].missed.isEmpty && self.subscriptions[index].credit != 0 {
                let ranges = self.subscriptions[index].missed.values.sorted { $0.partition < $1.partition }
                self.subscriptions[index].missed = [:]
                self.laggards -= 1
                actions.append(
                    .tellLagging(self.subscriptions[index].token, self.subscriptions[index].channel, ranges))
            }
        }
        return actions + self.readOn()
    }

    /// The next subscription that has something to catch up with is read for: one at a time, so that a connection costs
    /// one piece of memory, however many channels it resumes.
    mutating func readOn() -> [SessionAction] {
        guard self.reading == nil, !self.turns.isEmpty, self.hasRoom else { return [] }
        while !self.turns.isEmpty {
            guard let index = self.index(of: self.turns.removeFirst()) else { continue }
            self.subscriptions[index].isQueued = false
            guard self.subscriptions[index].credit != 0,
                case .catchingUp(var catchUp) = self.subscriptions[index].phase, catchUp.isBehind
            else { continue }
            self.subscriptions[index].phase = .live
            let reading = catchUp.begin()
            self.subscriptions[index].phase = .catchingUp(catchUp)
            self.reading = self.subscriptions[index].token
            if self.turns.isEmpty { self.turns = [] }
            return [.read(self.subscriptions[index].token, self.subscriptions[index].channel, reading)]
        }
        // Its room goes, too.
        self.turns = []
        return []
    }

    /// It waits for its turn, if it has something to wait for.
    mutating func queue(_ token: SubscriptionToken) {
        guard let index = self.index(of: token), !self.subscriptions[index].isQueued,
            case .catchingUp(let catchUp) = self.subscriptions[index].phase, catchUp.isBehind
        else { return }
        self.subscriptions[index].isQueued = true
        self.turns.append(token)
    }

    mutating func queue(_ channel: EdgeChannel) {
        if let index = self.index(of: channel) { self.queue(self.subscriptions[index].token) }
    }

    func index(of channel: EdgeChannel) -> Int? { self.subscriptions.firstIndex { $0.channel == channel } }

    func index(of token: SubscriptionToken) -> Int? {
        var (low, high) = (0, self.subscriptions.count)
        while low < high {
            let middle = low + (high - low) / 2
            if self.subscriptions[middle].token < token { low = middle + 1 } else { high = middle }
        }
        return low < self.subscriptions.count && self.subscriptions[low].token == token ? low : nil
    }

    /// Takes a subscription out; what is read for it is given up.
    mutating func take(at index: Int) -> Subscription {
        let subscription = self.subscriptions.remove(at: index)
        if !subscription.missed.isEmpty { self.laggards -= 1 }
        if self.reading == subscription.token { self.reading = nil }
        return subscription
    }
}
