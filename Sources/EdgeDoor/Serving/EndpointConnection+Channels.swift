import ApusAccess
import ApusBroker
import ApusCore
import NIOCore
import WebFormats

/// Subscribing and catching up: what the broker is asked for one client.
extension EndpointConnection {
    func subscribe(_ token: SubscriptionToken, _ channel: EdgeChannel, _ start: StartPoint) {
        self.places[token] = EndpointPlace(channel: channel, topic: .none)
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
            self.places[token]?.topic = topic.id
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
        self.findLastValues(token, plan.channel, facts.kept) { [self] outcome in
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
        self.places[token]?.isJoining = true
        let member = EndpointAudience.Member(connection: self, token: token)
        self.loop.join(plan.channel, of: topic, member, door: self.door) { [self] outcome in
            guard self.places[token] != nil else { return }
            do throws(Problem) {
                let start = try plan.begin(
                    at: try outcome.get(), kept: facts.kept, times: facts.times, lastValues: facts.lastValues,
                    keepsReceipts: topic.keepsReceipts, in: self.session.format)
                if let known = self.loop.channel(like: plan.channel, of: topic.id, in: self.session.format) {
                    self.session.shares(known, for: token)
                    self.places[token]?.channel = known
                }
                if self.isStream { try self.streamBegins(plan.channel, start) }
                self.came(to: token, topic)
                self.run(self.session.subscribed(token, .success(start)))
            } catch {
                self.notSubscribed(token, plan.channel, error)
            }
            self.requestsMoved()
        }
    }

    func notSubscribed(_ token: SubscriptionToken, _ channel: EdgeChannel, _ problem: Problem) {
        self.unsubscribe(token)
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

    func unsubscribe(_ token: SubscriptionToken) {
        if self.reading?.token == token {
            self.reading?.ticket.cancel()
            self.reading = nil
        }
        guard let place = self.places.removeValue(forKey: token) else { return }
        self.forgetLastValues(of: place)
        guard place.isJoining else { return }
        self.went(from: place)
        let member = EndpointAudience.Member(connection: self, token: token)
        self.loop.leave(place.channel, of: place.topic, member, from: place.seat, door: self.door)
    }

    func seated(_ token: SubscriptionToken, at seat: Int32) { self.places[token]?.seat = seat }

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

    func readPast(_ token: SubscriptionToken, _ channel: EdgeChannel, _ wishes: [CatchUp.Wish]) {
        guard let place = self.places[token] else { return }
        let entries = wishes.map {
            FetchEntry(
                topic: .id(place.topic), partition: $0.partition, offset: $0.from,
                bytesMax: Limits.edgeCatchUpBytesMax)
        }
        // There is something to read, as far as the loop knows; if not, this is how often it looks.
        let limits = FetchLimits(
            bytesMin: .bytes(1), bytesMax: Limits.edgeCatchUpBytesMax, waitMax: Limits.connectionSweepPeriod)
        let bound = NIOLoopBound(self, eventLoop: self.loop.eventLoop)
        self.reads += 1
        let round = self.reads
        let ticket = self.door.upstream.fetch(
            entries, limits: limits, client: self.reader(of: channel), on: self.loop.eventLoop
        ) { results in
            let connection = bound.value
            // What was found is read while its memory is set aside.
            let outcome = Self.finds(wishes, results, channel)
            // The next piece is asked for later: what is in memory is answered at once, and one piece inside the other
            // would fill the stack.
            connection.loop.eventLoop.assumeIsolated().execute {
                guard connection.places[token] != nil, connection.reads == round else { return }
                connection.run(connection.session.found(token, outcome))
                connection.forgetLastValues(ifLive: token)
            }
        }
        self.reading = (token, ticket)
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
