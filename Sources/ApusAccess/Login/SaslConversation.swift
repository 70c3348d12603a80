package import ApusCore

/// One connection's login, from its first byte on, and its renewals (KIP-43, KIP-152, KIP-368).
///
///     ApiVersions* → SaslHandshake(mechanism) → SaslAuthenticate+ → anything … → SaslHandshake → SaslAuthenticate+ → …
///
/// Before the login is through, nothing but these three is heard, and nothing longer than
/// `Limits.unauthenticatedFrameBytesMax`. A login that fails is answered and then the connection is closed: there is no
/// second try on it, and a bare close would make some clients try for ever. A session that lasts may be renewed on the
/// live connection, by the same principal with the same mechanism; one that ran out is closed at its next request.
///
/// Pure: the door reads frames, writes answers, runs password checks elsewhere and keeps the deadline. Owner: the
/// connection, on its loop.
package struct SaslConversation: Sendable {
    private enum State: Sendable {
        case beforeHandshake
        case exchange(SaslExchange)
        /// Somebody else hashes a password meanwhile.
        case checking(SaslExchange, ExactText)
        case loggedIn
        case over
    }

    package let transport: Transport
    private let began: Instant
    private var state = State.beforeHandshake
    private var requests = 0
    /// Nil until the first login is through. Stays while it is renewed.
    package private(set) var session: SaslSession?

    package init(over transport: Transport, at now: Instant) {
        self.transport = transport
        self.began = now
    }

    /// The longest frame that may be read now, without its length prefix.
    package var frameBytesMax: ByteCount {
        self.session == nil ? Limits.unauthenticatedFrameBytesMax : Limits.frameBytesMax
    }

    /// Whether the next frame has no Kafka header: it is a ``SaslRequest/token(_:)``.
    package var expectsToken: Bool {
        if case .exchange(let exchange) = self.state { exchange.isBare } else { false }
    }

    /// Whether a password check is under way: the next frame is read when it is through.
    package var isChecking: Bool {
        if case .checking = self.state { true } else { false }
    }

    /// Whether the next message is one that takes its time to judge, because a signature has to be checked: hear it
    /// where no event loop waits.
    package var hearsSlowly: Bool {
        if case .exchange(let exchange) = self.state { exchange.isSlow } else { false }
    }

    /// Whether a request that is none of a login's is served now, without asking ``received(_:at:rules:)``.
    package func serves(at now: Instant) -> Bool {
        guard case .loggedIn = self.state, let session = self.session else { return false }
        return !session.isExpired(at: now)
    }

    /// Whether what came in the session may still run: also while it is being renewed.
    package func isInSession(at now: Instant) -> Bool {
        self.session.map { !$0.isExpired(at: now) } ?? false
    }

    /// When to give up on a client that has not logged in; nil once it has.
    package var deadline: Instant? {
        self.session == nil ? self.began.advanced(by: Limits.loginWaitMax) : nil
    }

    package mutating func received(
        _ request: SaslRequest, at moment: LoginMoment, rules: LoginRules
    ) -> SaslAnswer {
        if self.session == nil {
            self.requests += 1
            if self.requests > Limits.unauthenticatedRequestsMax { return self.end(.tooManyRequests) }
            if let deadline = self.deadline, moment.now >= deadline { return self.end(.timedOut) }
        }
        switch self.state {
        case .beforeHandshake: return self.beforeHandshake(request, rules)
        case .exchange(let exchange): return self.exchange(exchange, request, moment, rules)
        case .loggedIn: return self.loggedIn(request, moment.now, rules)
        case .checking, .over: return self.end(.outOfOrder)
        }
    }

    /// The answer to ``SaslAnswer/check(_:)``.
    package mutating func checked(_ fits: Bool, at moment: LoginMoment, rules: LoginRules) -> SaslAnswer {
        guard case .checking(let exchange, let user) = self.state else { return self.end(.outOfOrder) }
        guard fits, let principal = Principal(user: user.text) else {
            return self.fail(exchange, .wrongPassword, user: user)
        }
        return self.succeed(exchange, principal, bytes: [], token: nil, moment, rules)
    }

    /// The client let `deadline` pass.
    package mutating func timedOut() -> SaslAnswer {
        self.end(.timedOut)
    }

    /// Too much waits already to be judged. Not answered: a bare close is what clients try again after.
    package mutating func overloaded() -> SaslAnswer {
        self.end(.overloaded)
    }

    // MARK: What a request means where

    private mutating func beforeHandshake(_ request: SaslRequest, _ rules: LoginRules) -> SaslAnswer {
        switch request {
        case .apiVersions: return .serve
        case .handshake(let mechanism, let version, let nonce):
            return self.begin(mechanism, version: version, nonce: nonce, rules)
        case .authenticate: return self.end(.outOfOrder, reply: .failed(.illegalState, LoginFailure(.outOfOrder).told))
        case .token: return self.end(.outOfOrder)
        case .other: return self.end(.outOfOrder, reply: .illegalState)
        }
    }

    private mutating func loggedIn(_ request: SaslRequest, _ now: Instant, _ rules: LoginRules) -> SaslAnswer {
        guard let session = self.session else { return self.end(.outOfOrder) }
        if case .handshake(let mechanism, let version, let nonce) = request {
            guard now.since(session.since) >= Limits.reauthenticationWaitMin, version > 0 else {
                return .reply(.handshake(.illegalState, mechanisms: []))
            }
            guard mechanism == session.mechanism.rawValue else {
                return self.end(.mechanismChanged, reply: .handshake(.illegalState, mechanisms: [session.mechanism]))
            }
            return self.begin(mechanism, version: version, nonce: nonce, rules)
        }
        if session.isExpired(at: now) { return self.end(.sessionExpired) }
        switch request {
        case .authenticate: return .reply(.failed(.illegalState, LoginFailure(.outOfOrder).told))
        case .token: return self.end(.outOfOrder)
        case .apiVersions, .handshake, .other: return .serve
        }
    }

    private mutating func begin(
        _ name: String, version: Int16, nonce: ScramNonce, _ rules: LoginRules
    ) -> SaslAnswer {
        let offered = rules.mechanisms.offered(over: self.transport)
        guard let mechanism = SaslMechanism(rawValue: name), offered.contains(mechanism) else {
            let reply = SaslReply.handshake(.unsupportedMechanism, mechanisms: offered)
            return self.end(.mechanismNotOffered(name), reply: reply)
        }
        self.state = .exchange(SaslExchange(mechanism, isBare: version == 0, nonce: nonce))
        return .reply(.handshake(.none, mechanisms: offered))
    }

    private mutating func exchange(
        _ exchange: SaslExchange, _ request: SaslRequest, _ moment: LoginMoment, _ rules: LoginRules
    ) -> SaslAnswer {
        let bytes: [UInt8]
        switch request {
        case .authenticate(let message) where !exchange.isBare: bytes = message
        case .token(let message) where exchange.isBare: bytes = message
        case .authenticate: return self.end(.outOfOrder, reply: .failed(.illegalState, LoginFailure(.outOfOrder).told))
        case .apiVersions, .handshake, .token, .other: return self.end(.outOfOrder, reply: .illegalState)
        }
        var exchange = exchange
        switch exchange.received(bytes, now: moment.wall, rules: rules) {
        case .reply(let bytes):
            self.state = .exchange(exchange)
            return .reply(
                exchange.isBare ? .token(bytes) : .authenticate(.none, message: nil, bytes: bytes, lifetime: nil))
        case .check(let check):
            self.state = .checking(exchange, check.user)
            return .check(check)
        case .proved(let principal, let bytes, let token):
            return self.succeed(exchange, principal, bytes: bytes, token: token, moment, rules)
        case .failed(let cause, let user): return self.fail(exchange, cause, user: user)
        }
    }

    // MARK: How it ends

    private mutating func succeed(
        _ exchange: SaslExchange, _ principal: Principal, bytes: [UInt8], token: VerifiedToken?,
        _ moment: LoginMoment, _ rules: LoginRules
    ) -> SaslAnswer {
        if let session = self.session, session.principal != principal {
            return self.fail(exchange, .principalChanged, user: principal.name)
        }
        let left = token.map { Duration.milliseconds(max(1, $0.expires.rawValue - moment.wall.rawValue)) }
        let lifetime = [left, rules.sessionLifetimeMax].compactMap { $0 }.min()
        let session = SaslSession(
            principal: principal, mechanism: exchange.mechanism, since: moment.now,
            expires: lifetime.map { moment.now.advanced(by: $0) }, channels: token?.channels
        )
        self.session = session
        self.state = .loggedIn
        let reply =
            exchange.isBare
            ? SaslReply.token(bytes) : .authenticate(.none, message: nil, bytes: bytes, lifetime: lifetime)
        return .loggedIn(reply, session)
    }

    private mutating func fail(
        _ exchange: SaslExchange, _ cause: LoginFailure.Cause, user: ExactText?
    ) -> SaslAnswer {
        self.state = .over
        let failure = LoginFailure(cause, mechanism: exchange.mechanism, user: user)
        // Without Kafka's headers there is no way to say no.
        let told = if case .token = cause { OAuthBearerMessage.invalidToken } else { [UInt8]() }
        let reply =
            exchange.isBare
            ? nil
            : SaslReply.authenticate(.authenticationFailed, message: failure.told, bytes: told, lifetime: nil)
        return .refuse(reply, after: Limits.failedLoginDelay, failure)
    }

    private mutating func end(_ cause: LoginFailure.Cause, reply: SaslReply? = nil) -> SaslAnswer {
        self.state = .over
        return .refuse(reply, after: .zero, LoginFailure(cause, mechanism: self.session?.mechanism))
    }
}

extension SaslReply {
    static func failed(_ code: SaslErrorCode, _ message: String) -> SaslReply {
        .authenticate(code, message: message, bytes: [], lifetime: nil)
    }
}
