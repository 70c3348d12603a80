import ApusAccess
import ApusBroker
import ApusCore
import NIOCore
import WebFormats

/// Doing what the session decides.
extension EndpointConnection {
    func run(_ actions: [SessionAction]) {
        for action in actions { self.run(action) }
    }

    private func run(_ action: SessionAction) {
        switch action {
        case .authenticate(let connect): self.authenticate(connect)
        case .subscribe(let token, let channel, let start): self.subscribe(token, channel, start)
        case .unsubscribe(let token, let channel): self.unsubscribe(token, channel)
        case .read(let token, let channel, let reading): self.readPast(token, channel, reading)
        case .perform(let id, let operation): self.perform(id, operation)
        case .send(let line):
            // Only a WebSocket's client can ask for something that is answered.
            if !self.isStream { self.write(WebSocketFrame.of(self.session.format.opcode, line)) }
        case .tell(let event): self.tell(event)
        case .push(let push):
            self.give(self.loop.frames(of: push, self.session.format))
        case .tellLagging(let token, let channel, let ranges): self.tellLagging(token, channel, ranges)
        case .ping:
            if self.isStream {
                var comment = ByteBuffer()
                EventStream.writeKeepAlive(into: &comment)
                self.write(comment)
            } else {
                self.write(WebSocketFrame.of(.ping, ByteBuffer()))
            }
        case .close(let reason): self.close(reason)
        }
    }

    func tell(_ event: EdgeEvent) {
        var bytes = ByteBuffer()
        guard self.isStream else {
            bytes.writeJSON(event)
            return self.write(WebSocketFrame.of(self.session.format.opcode, self.session.format.line(bytes)))
        }
        // Before its answer a stream has no events.
        guard case .open = self.phase else { return }
        if case .ended(let channel, let problem) = event { self.several?.ended(channel, problem, into: &bytes) }
        EventStream.write(event, into: &bytes)
        self.write(bytes)
        guard case .ended = event, self.session.channels.isEmpty, self.several?.isUndecided != true else { return }
        // Its channels were all it was for.
        self.run(self.session.close(.disconnected))
    }

    /// Records, with nothing of the client's in them but the id of a stream of several channels.
    private func give(_ frames: SharedFrames) {
        guard self.isStream else {
            return self.write(self.isDeflating ? frames.deflated : frames.webSocket)
        }
        guard let several = self.several else { return self.write(frames.stream) }
        if let id = several.cursor.pushed(frames.push) {
            var line = ByteBuffer()
            EventStream.write(id: id, into: &line)
            self.write(line)
        }
        self.write(frames.streamData)
    }

    private func tellLagging(_ token: SubscriptionToken, _ channel: EdgeChannel, _ ranges: [MissedRange]) {
        guard let audience = self.places[token]?.audience, let topic = self.loop.audiences.topic(of: audience),
            let place = self.loop.audiences.place(of: audience)
        else { return }
        self.session.given(upTo: place.cursor, of: channel)
        self.loop.counts.skips += 1
        let cursor = SealedCursor(place.cursor, by: self.door.seal(of: channel, in: topic))
        var line = ByteBuffer()
        line.writeJSON(EdgeEvent.lagging(channel, ranges, cursor))
        self.session.owes(.bytes(line.readableBytes))
        self.tell(.lagging(channel, ranges, cursor))
    }

    // MARK: From the channels

    func pushed(_ delivery: HubDelivery, _ frames: SharedFrames, to token: SubscriptionToken) {
        switch self.session.pushed(delivery, to: token) {
        case .push:
            self.loop.counts.deliveries += 1
            self.give(frames)
        case .leaveOut: break
        case .act(let actions): self.run(actions)
        }
    }

    func lost(_ range: MissedRange, _ token: SubscriptionToken) { self.run(self.session.lost(range, for: token)) }

    func ended(_ token: SubscriptionToken, _ problem: Problem) {
        // Of an event stream that did not begin it is the answer to the request, or to a part of it.
        if self.isStream, self.session.isStarting(token), let channel = self.session.channel(of: token) {
            return self.notSubscribed(token, channel, problem)
        }
        self.run(self.session.ended(token, problem))
    }

    /// The topic has more partitions.
    func rejoin(_ token: SubscriptionToken, _ channel: EdgeChannel, of topic: TopicID, from place: ChannelPlace) {
        guard self.places.removeValue(forKey: token) != nil else { return }
        let seal = self.door.seal(of: channel, in: topic)
        self.run(self.session.rejoins(token, from: SealedCursor(place.cursor, by: seal)))
    }

    // MARK: Login and rights

    private func authenticate(_ connect: ClientOperation.Connect) {
        if let name = connect.client { self.client.clientID = name }
        if let token = connect.token, self.door.configuration.login != nil {
            return self.logIn(WebCredentials(bearer: token)) { [self] problem in self.connected(problem) }
        }
        self.connected(
            self.mustLogIn ? Problem(.unauthenticated, "'connect' needs a 'token' here") : nil)
    }

    private func connected(_ problem: Problem?) {
        if let problem {
            self.run(self.session.denied(problem))
        } else {
            self.run(self.session.connected(self.name))
        }
    }

    /// A right that is taken away ends what it was for, within a second.
    func renewRights() {
        self.renewClient()
        guard self.shared.context.access.version != self.rightsSeen else { return }
        self.rightsSeen = self.shared.context.access.version
        for (token, channel) in self.session.places where !self.mayRead(channel) {
            self.ended(token, Problem(.forbidden, "the right to read the topic was taken away"))
        }
    }

    // MARK: Quotas

    /// Counts what the client has used. Who has used too much waits: nothing is read from him or written to him before.
    func count(_ count: (inout QuotaMeter) -> Duration) {
        self.beginMeter()
        guard var meter = self.shared.meter.take() else { return }
        let wait = count(&meter)
        self.shared.meter = meter
        if wait > .zero { self.mute(for: wait) }
    }

    /// When the client's work begins; nil: there is no quota for the time that it takes.
    func beginsWork() -> Instant? {
        self.beginMeter()
        return self.shared.meter?.countsTime() == true ? self.door.now : nil
    }

    private func beginMeter() {
        if self.shared.meter?.isFor(self.client.principal, clientID: self.client.clientID) == true { return }
        self.settleMeter()
        self.shared.meter = self.door.upstream.meter(of: self.client)
    }

    func settleMeter() {
        guard var meter = self.shared.meter.take() else { return }
        let wait = meter.settle()
        if wait > .zero { self.mute(for: wait) }
    }

    private func mute(for wait: Duration) {
        if case .closed = self.phase { return }
        let end = self.door.now.advanced(by: wait)
        guard self.mutedUntil.map({ end > $0 }) ?? true else { return }
        let isMuted = self.mutedUntil != nil
        self.mutedUntil = end
        if !isMuted { self.waitToBeServed(wait) }
    }

    private func waitToBeServed(_ wait: Duration) {
        self.loop.eventLoop.assumeIsolated().scheduleTask(in: .nanoseconds(wait.wholeNanoseconds)) { [self] in
            guard let end = self.mutedUntil else { return }
            let now = self.door.now
            // Something else may have made it longer.
            guard now >= end else { return self.waitToBeServed(max(end.since(now), .milliseconds(1))) }
            self.mutedUntil = nil
            // What it said meanwhile was not read: it has not been silent. It is read before it is written to, which
            // may be too much at once, or a pong would never be heard.
            self.session.heard(at: now)
            self.readOn()
            self.flush()
        }
    }
}
