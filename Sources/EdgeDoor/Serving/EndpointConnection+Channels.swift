import ApusAccess
import ApusBroker
import ApusCore
import NIOCore
import WebFormats

/// Subscribing and catching up: what the broker is asked for one client.
extension EndpointConnection {
    func subscribe(_ token: SubscriptionToken, _ channel: EdgeChannel, _ start: StartPoint) {
        self.places[token] = EndpointPlace()
        self.findTopic(of: channel) { [self] found in
            // It may have been left meanwhile.
            if self.places[token] != nil { self.subscribe(token, channel, start, found) }
        }
    }

    private func subscribe(
        _ token: SubscriptionToken, _ channel: EdgeChannel, _ start: StartPoint, _ found: Result<EdgeTopic, Problem>
    ) {
        do throws(Problem) {
            let topic = try found.get()
            let plan = try StartPlan(
                start, of: channel, partitions: topic.partitionCount, placement: self.door.configuration.placement,
                seal: self.door.seal(of: channel, in: topic.id))
            if start == .lastValues, !topic.isCompacted {
                throw Problem(
                    .invalidRequest, "'\(topic.name)' does not keep the newest record of each key",
                    hint: "'last value' is for topics with cleanup.policy=compact")
            }
            self.ask(plan, topic) { [self] outcome in
                guard self.places[token] != nil else { return }
                switch outcome {
                case .success(let facts) where start == .lastValues: self.joinBehindScan(token, topic, plan, facts)
                case .success(let facts): self.join(token, topic, plan, facts)
                case .failure(let problem): self.notSubscribed(token, channel, problem)
                }
            }
        } catch {
            self.notSubscribed(token, channel, error)
        }
    }

    private func joinBehindScan(
        _ token: SubscriptionToken, _ topic: EdgeTopic, _ plan: StartPlan, _ facts: EndpointFacts
    ) {
        self.findLastValues(token, plan.channel, of: topic.id, facts.kept) { [self] outcome in
            guard self.places[token] != nil else { return }
            switch outcome {
            case .success(let found):
                var facts = facts
                facts.lastValues = found
                self.join(token, topic, plan, facts)
            case .failure(let problem): self.notSubscribed(token, plan.channel, problem)
            }
        }
    }

    private func join(_ token: SubscriptionToken, _ topic: EdgeTopic, _ plan: StartPlan, _ facts: EndpointFacts) {
        let member = EndpointAudience.Member(connection: self, token: token)
        self.loop.join(plan.channel, of: topic, member, door: self.door) { [self] outcome in
            guard self.places[token] != nil else { return }
            do throws(Problem) {
                let start = try plan.begin(
                    at: try outcome.get(), kept: facts.kept, times: facts.times, lastValues: facts.lastValues,
                    keepsReceipts: topic.keepsReceipts)
                if let audience = self.places[token]?.audience, let known = self.loop.audiences.channel(of: audience) {
                    self.session.shares(known, for: token)
                }
                if self.isStream { try self.streamBegins(plan.channel, start) }
                self.came(to: plan.channel, of: topic, token)
                self.run(self.session.subscribed(token, .success(start)))
            } catch {
                self.notSubscribed(token, plan.channel, error)
            }
            self.requestsMoved()
        }
    }

    func notSubscribed(_ token: SubscriptionToken, _ channel: EdgeChannel, _ problem: Problem) {
        self.unsubscribe(token, channel)
        if self.isStream, case .knocking = self.phase, self.several?.lacks(channel, problem) ?? true {
            return self.refuse(self.several?.failures.first?.problem ?? problem)
        }
        self.run(self.session.subscribed(token, .failure(problem)))
        // That one of several can not be had is no answer to the request, but an event.
        if case .open = self.phase, self.several?.lacksNew(channel, problem) == true {
            self.tell(.ended(channel, problem))
        }
        self.requestsMoved()
    }

    func unsubscribe(_ token: SubscriptionToken, _ channel: EdgeChannel) {
        if let reading = self.reading, reading.token == token {
            self.reading = nil
            self.loop.past.giveUp(reading.read)
        }
        self.forgetLastValues(of: token)
        guard let place = self.places.removeValue(forKey: token), place.audience != .none else { return }
        if place.isRecorded { self.went(from: channel) }
        let member = EndpointAudience.Member(connection: self, token: token)
        self.loop.leave(place.audience, member, from: place.seat, door: self.door)
    }

    /// It is about to be one of them.
    func joins(_ token: SubscriptionToken, _ audience: AudienceID) { self.places[token]?.audience = audience }

    func seated(_ token: SubscriptionToken, at seat: Int32) { self.places[token]?.seat = seat }

    /// The topic of a channel that it is in.
    func topic(of token: SubscriptionToken) -> TopicID? {
        self.places[token].flatMap { self.loop.audiences.topic(of: $0.audience) }
    }

    func isSeated(_ token: SubscriptionToken) -> Bool { self.places[token]?.seat != nil }

    /// Whether the client may be given the records of a channel.
    func mayRead(_ channel: EdgeChannel) -> Bool {
        if let told = PresenceChannel.told(in: channel), self.mayRead(told) { return true }
        return self.client.allows(.subscribe, ChannelKeys(channel.selection), ofTopic: channel.topic)
    }

    /// As whom the records of a channel are read, which the client may be given.
    func reader(of channel: EdgeChannel) -> ClientContext {
        PresenceChannel.told(in: channel) == nil ? self.client.cleared : .embedded
    }

    /// The topic of a channel that the client may read. What is forbidden and what is not there are told alike to those
    /// who may not.
    func findTopic(of channel: EdgeChannel, then: @escaping (Result<EdgeTopic, Problem>) -> Void) {
        let name = channel.topic
        self.renewClient()
        guard self.mayRead(channel) else {
            return then(.failure(Problem(.forbidden, "not allowed to read '\(channel)'")))
        }
        self.door.upstream.topic(named: name, on: self.loop.eventLoop) { found in
            switch found {
            case .success(let topic?): then(.success(topic))
            case .success(nil): then(.failure(Problem(.topicNotFound, "there is no topic '\(name)'")))
            case .failure(let error): then(.failure(Problem(error)))
            }
        }
    }

    // MARK: Catching up

    func readPast(_ token: SubscriptionToken, _ channel: EdgeChannel, _ reading: PastReading) {
        guard let topic = self.topic(of: token) else { return }
        self.reads += 1
        let round = self.reads
        self.renewClient()
        // What others were read is given without asking the broker.
        guard self.mayRead(channel) else {
            let problem = Problem(.forbidden, "the right to read the topic was taken away")
            return self.loop.turns.inTurn { self.wasRead(.failure(problem), for: token, round) }
        }
        let waiter = EndpointPast.Waiter(
            connection: self, token: token, channel: channel, reading: reading, round: round)
        self.reading = self.loop.past.read(topic, waiter).map { (token, $0) }
    }

    /// Whether it waits for this read of the past.
    func isReading(_ token: SubscriptionToken, _ round: Int) -> Bool {
        self.reads == round && self.places[token] != nil
    }

    func wasRead(_ outcome: Result<PastPiece, Problem>, for token: SubscriptionToken, _ round: Int) {
        guard self.isReading(token, round) else { return }
        self.reading = nil
        self.run(self.session.found(token, outcome))
        self.forgetLastValues(ifLive: token)
    }

    static func finds(
        _ wishes: [CatchUp.Wish], _ results: [FetchResult], _ channel: EdgeChannel
    ) -> Result<[CatchUp.Found], Problem> {
        Result { () throws(Problem) in
            var finds: [CatchUp.Found] = []
            for (wish, result) in zip(wishes, results) {
                if let found = try Self.found(wish, result, channel) { finds.append(found) }
            }
            return finds
        }
    }

    /// Nil when there was nothing for it this time.
    private static func found(
        _ wish: CatchUp.Wish, _ result: FetchResult, _ channel: EdgeChannel
    ) throws(Problem) -> CatchUp.Found? {
        switch result.error {
        case nil: break
        case .offsetOutOfRange(let start, let end): return .gone(wish.partition, start: start, end: end)
        case .overloaded, .timedOut, .notLeader: return nil
        case .unknownTopicID: throw Problem(.topicNotFound, "the topic '\(channel.topic)' was deleted")
        case .some(let error): throw Problem(error)
        }
        do {
            let isWanted: ((ByteBuffer?) -> Bool)? = channel.selection == .everything ? nil : { channel.takes($0) }
            let (records, next) = try ChannelRecords.read(
                result.batches, of: wish.partition, from: wish.from, upTo: Limits.edgeCatchUpContentBytesMax,
                where: isWanted)
            return next.map { .records(wish.partition, records, next: $0) }
        } catch {
            throw Problem(.storageFailed, "partition \(wish.partition) can not be read at \(wish.from)")
        }
    }
}

extension ChannelKeys {
    init(_ selection: EdgeChannel.Selection) {
        switch selection {
        case .everything: self = .everything
        case .key(let key): self = .key(key)
        case .prefix(let prefix): self = .prefix(prefix)
        }
    }
}
