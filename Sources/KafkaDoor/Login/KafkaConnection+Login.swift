import ApusAccess
import ApusBroker
import ApusCore
import DequeModule
import KafkaWire
import NIOCore

/// Login: what runs before it, what a client is told, and who it is from then on.
///
/// A message of a login is heard in its turn like any request. While it is judged elsewhere, and while a refusal waits,
/// nothing else of the connection is handled or read, so one connection has one judgement under way at most.
extension KafkaConnection {
    /// Whether a request of this API may run that came now. If not, the connection ends.
    func admits(_ key: ApiKey, _ place: ReplyQueue.Place) -> Bool {
        guard !self.isAdmitted, let login = self.login, !login.admits else { return true }
        switch key {
        case .saslHandshake, .saslAuthenticate: return true
        case .apiVersions: break
        default: self.apiRefused = key
        }
        let answer = self.told(key == .apiVersions ? .apiVersions : .other)
        if case .serve = answer { return true }
        self.follow(answer) { [self] _ in self.fill(place, with: []) }
        return false
    }

    /// A message of a login. `answer` is called exactly once, now or later, on this loop; with nil, there is none.
    func hear(_ request: SaslRequest, answer: @escaping (SaslReply?) -> Void) {
        // Whoever asks for a login where there is none is told so, and goes on.
        guard let login = self.login else { return answer(.illegalState) }
        guard login.conversation.hearsSlowly else { return self.follow(self.told(request), answer) }
        let (rules, moment) = (login.listener.rules(), login.listener.moment)
        let conversation = login.conversation
        self.elsewhere(.token) {
            var conversation = conversation
            let answer = conversation.received(request, at: moment, rules: rules)
            return (conversation, answer)
        } then: { [self] judged in
            guard let (conversation, judgement) = judged else {
                return self.follow(self.login?.conversation.overloaded() ?? .serve, answer)
            }
            self.login?.conversation = conversation
            self.follow(judgement, answer)
        }
    }

    /// A frame without Kafka's header: what follows version 0 of SaslHandshake.
    func handleToken() {
        guard let frame = self.frames.popFirst() else { return }
        let place = self.replies.begin(requestBytes: ByteCount(rawValue: frame.readableBytes), isFetch: false)
        self.hear(.token(Array(frame.readableBytesView))) { [self] reply in
            guard case .token(let bytes) = reply else { return self.answer(place, with: []) }
            var buffer = ByteBuffer()
            buffer.reserveCapacity(4 + bytes.count)
            buffer.writeInteger(Int32(clamping: bytes.count))
            buffer.writeBytes(bytes)
            self.answer(place, with: [buffer])
        }
    }

    private func told(_ request: SaslRequest) -> SaslAnswer {
        guard let listener = self.login?.listener else { return .serve }
        let (rules, moment) = (listener.rules(), listener.moment)
        return self.login?.conversation.received(request, at: moment, rules: rules) ?? .serve
    }

    // MARK: What follows

    private func follow(_ judgement: SaslAnswer, _ answer: @escaping (SaslReply?) -> Void) {
        // Before any answer: with it the next frame may be cut.
        self.fitReader()
        guard self.phase != .closed else { return answer(nil) }
        switch judgement {
        case .serve: answer(nil)
        case .reply(let reply): answer(reply)
        case .loggedIn(let reply, let session):
            self.loggedIn(session)
            answer(reply)
        case .check(let check): self.judge(check, answer)
        case .refuse(let reply, let delay, let failure): self.refuse(reply, after: delay, failure, answer)
        }
    }

    private func judge(_ check: PasswordCheck, _ answer: @escaping (SaslReply?) -> Void) {
        self.elsewhere(.password) {
            check.run()
        } then: { [self] fits in
            guard let listener = self.login?.listener else { return answer(nil) }
            let (rules, moment) = (listener.rules(), listener.moment)
            let judgement =
                fits.flatMap { self.login?.conversation.checked($0, at: moment, rules: rules) }
                ?? self.login?.conversation.overloaded()
            self.follow(judgement ?? .serve, answer)
        }
    }

    private func loggedIn(_ session: SaslSession) {
        self.identify(as: session.principal, channels: session.channels)
        self.isAdmitted = session.expires == nil
        self.door.loginEnded(LoginReport(outcome: .loggedIn(session), address: self.client.address))
    }

    /// From here on requests are this principal's.
    func identify(as principal: Principal, channels: ChannelGrants? = nil) {
        self.client = self.door.broker.access.client(principal, address: self.client.address, channels: channels)
        self.countAsIn()
    }

    /// The listener counts it no more among those who have not logged in.
    func countAsIn() {
        guard self.isUncounted else { return }
        self.isUncounted = false
        guard let context else { return }
        let id = ObjectIdentifier(context.channel)
        context.channel.parent?.pipeline.fireUserInboundEventTriggered(AcceptGate.LoggedIn(channel: id))
    }

    private func refuse(
        _ reply: SaslReply?, after delay: Duration, _ failure: LoginFailure, _ answer: @escaping (SaslReply?) -> Void
    ) {
        self.isAdmitted = false
        self.tell(failure)
        self.login?.isBusy = true
        guard delay > .zero else {
            answer(reply)
            return self.drain()
        }
        self.loop.eventLoop.assumeIsolated().scheduleTask(in: .nanoseconds(delay.wholeNanoseconds)) { [self] in
            answer(reply)
            self.drain()
        }
    }

    /// One line, and the audit trail.
    private func tell(_ failure: LoginFailure) {
        var words = "login refused \(self.peer): \(failure.cause)"
        if let key = self.apiRefused.take() { words += ", \(key) before the login" }
        if let mechanism = failure.mechanism { words += ", \(mechanism.rawValue)" }
        if let user = failure.user { words += ", user \(user.text)" }
        self.loop.log(words)
        self.door.loginEnded(LoginReport(outcome: .failed(failure), address: self.client.address))
    }

    /// Called with every sweep: ends the connection of a client that takes too long to log in.
    func endLateLogin() {
        guard let login = self.login, !login.isBusy, let deadline = login.conversation.deadline,
            login.listener.clock.now >= deadline, let judgement = self.login?.conversation.timedOut()
        else { return }
        self.follow(judgement) { _ in }
    }

    /// How long frames may be, and how short, follows the login.
    private func fitReader() {
        guard let login = self.login else { return }
        self.reader.takeFrames(
            upTo: login.isDone
                ? self.door.frameBytesMax : min(login.conversation.frameBytesMax, self.door.frameBytesMax),
            areBare: login.conversation.expectsToken)
    }

    // MARK: Elsewhere

    /// Runs work on another thread and then goes on here; nil when so much of its kind waits already that no more is
    /// begun.
    private func elsewhere<Value: Sendable>(
        _ kind: LoginWork, _ work: @escaping @Sendable () -> Value, then: @escaping (Value?) -> Void
    ) {
        guard let listener = self.login?.listener, self.loop.logins.begin(kind) else { return then(nil) }
        self.login?.isBusy = true
        let eventLoop = self.loop.eventLoop
        let bound = NIOLoopBound((connection: self, then: then), eventLoop: eventLoop)
        listener.elsewhere(kind) {
            let value = work()
            eventLoop.execute {
                let (connection, then) = bound.value
                connection.loop.logins.end(kind)
                connection.login?.isBusy = false
                then(value)
                connection.work()
                connection.flushIfNeeded()
            }
        }
    }
}
