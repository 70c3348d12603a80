import ApusAccess
import ApusClient
import ApusCore
import ApusUpstream
import Crypto
import EdgeDoor
import KafkaDoor
import NIOCore
import Synchronization
import WebFormats

/// Logins at an endpoint server of its own. A token is checked here, by the issuer's keys. A password is shown to a
/// broker, over a connection that is made for it and closed again: users are the brokers', and what would be needed to
/// check one here does not leave them. Of an API key or a ticket a broker is told a digest. That a password or a key
/// was right is remembered for a moment, by a digest under a key of this process; that a ticket was, is not.
///
/// Any thread.
final class EndpointDesk: TicketTaker {
    private struct Known: Sendable {
        var session: WebSession
        var until: Instant
    }

    private let desk: LoginDesk
    private let upstream: ClusterUpstream
    private let configuration: ClientConfiguration
    private let clock: any Clock
    private let loop: any EventLoop
    private let inFlight = Atomic<Int>(0)
    private let key = SymmetricKey(size: .bits256)
    private let known = Mutex<[[UInt8]: Known]>([:])

    /// - Parameter configuration: how brokers are reached.
    init(
        _ desk: LoginDesk, _ upstream: ClusterUpstream, _ configuration: ClientConfiguration, clock: any Clock,
        on loop: any EventLoop
    ) {
        self.desk = desk
        self.upstream = upstream
        self.configuration = configuration
        self.clock = clock
        self.loop = loop
    }

    var web: WebLogin {
        WebLogin { transport in
            self.desk.mechanisms.offered(over: transport)
        } verify: { credentials, transport, address, then in
            self.verify(credentials, transport, address, then)
        }
    }

    private func verify(
        _ credentials: WebCredentials, _ transport: Transport, _ address: String,
        _ then: @escaping @Sendable (Result<WebSession, LoginFailure>) -> Void
    ) {
        let rules = self.desk.rules(users: Self.nobody)
        if let refusal = credentials.refusal(over: transport, rules) { return self.end(.failure(refusal), then) }
        self.enter(then) { ended in
            switch credentials {
            case .token:
                let clock = self.clock
                self.desk.run(.token) { ended(credentials.verified(rules, now: clock.wallTime)) }
            case .password(let message): self.verify(message, ended)
            case .key(let text): self.verify(key: text, from: address, ended)
            }
        }
    }

    /// Begins a check, unless too many are under way.
    private func enter(
        _ then: @escaping @Sendable (Result<WebSession, LoginFailure>) -> Void,
        _ check: (_ ended: @escaping @Sendable (Result<WebSession, LoginFailure>) -> Void) -> Void
    ) {
        let (before, _) = self.inFlight.add(1, ordering: .relaxed)
        let ended: @Sendable (Result<WebSession, LoginFailure>) -> Void = { result in
            self.inFlight.subtract(1, ordering: .relaxed)
            self.end(result, then)
        }
        guard before < Limits.webLoginsInFlightMax else { return ended(.failure(LoginFailure(.overloaded))) }
        check(ended)
    }

    /// Who failed is answered late, as who guesses passwords waits.
    private func end(
        _ outcome: Result<WebSession, LoginFailure>,
        _ then: @escaping @Sendable (Result<WebSession, LoginFailure>) -> Void
    ) {
        if case .success = outcome { return then(outcome) }
        self.loop.scheduleTask(in: .nanoseconds(Limits.failedLoginDelay.wholeNanoseconds)) { then(outcome) }
    }

    // MARK: API keys and tickets

    private func verify(
        key text: Secret, from address: String,
        _ then: @escaping @Sendable (Result<WebSession, LoginFailure>) -> Void
    ) {
        guard self.upstream.checksLogins else {
            return then(.failure(LoginFailure(.mechanismNotOffered("API keys"), mechanism: .oauthBearer)))
        }
        let proof: AccessKeyProof
        do throws(AccessKeyRefusal) {
            proof = try AccessKeyProof(text)
        } catch {
            return then(.failure(LoginFailure(.key(error), mechanism: .oauthBearer)))
        }
        let digest = self.digest(of: Array(proof.id.utf8) + [0] + proof.digest, kind: 2)
        let now = self.clock.now
        if let session = self.find(digest, at: now) { return then(.success(session)) }
        self.check(.key(proof), from: address, else: LoginFailure(.key(.unknown), mechanism: .oauthBearer)) { result in
            if case .success(let session) = result { self.keep(session, as: digest, at: now) }
            then(result)
        }
    }

    func redeem(
        _ ticket: String, from address: String,
        _ then: @escaping @Sendable (Result<WebSession, LoginFailure>) -> Void
    ) {
        let refusal = LoginFailure(.ticket)
        self.enter(then) { ended in
            guard self.upstream.checksLogins else { return ended(.failure(refusal)) }
            self.check(.ticket(digest: EndpointTickets.digest(of: ticket)), from: address, else: refusal, ended)
        }
    }

    private func check(
        _ proof: UpstreamProof, from address: String, else refusal: LoginFailure,
        _ then: @escaping @Sendable (Result<WebSession, LoginFailure>) -> Void
    ) {
        self.upstream.check(proof, from: address, on: self.loop) { result in
            switch result {
            case .success(let found?): then(.success(WebSession(found)))
            case .success(nil): then(.failure(refusal))
            case .failure: then(.failure(LoginFailure(.overloaded)))
            }
        }
    }

    // MARK: What is remembered

    private func find(_ digest: [UInt8], at now: Instant) -> WebSession? {
        guard let known = self.known.withLock({ $0[digest] }), now < known.until else { return nil }
        let session = known.session
        if let expires = session.expires, self.clock.wallTime >= expires { return nil }
        if let keyID = session.keyID, !self.upstream.holds(key: keyID) { return nil }
        return session
    }

    private func keep(_ session: WebSession, as digest: [UInt8], at now: Instant) {
        let entry = Known(session: session, until: now.advanced(by: Limits.webLoginRemembered))
        self.known.withLock { known in
            if known.count >= Limits.connectionsMax { known = known.filter { now < $0.value.until } }
            guard known.count < Limits.connectionsMax else { return }
            known[digest] = entry
        }
    }

    private func digest(of text: [UInt8], kind: UInt8) -> [UInt8] {
        Array(HMAC<SHA256>.authenticationCode(for: [kind] + text, using: self.key))
    }

    // MARK: Passwords

    private static let nobody = ScramUsers(mockSecret: Secret([UInt8](repeating: 0, count: 32)))

    private func verify(
        _ message: PlainMessage, _ then: @escaping @Sendable (Result<WebSession, LoginFailure>) -> Void
    ) {
        let wrong = LoginFailure(.wrongPassword, mechanism: .plain, user: message.user)
        guard let principal = Principal(user: message.user.text) else { return then(.failure(wrong)) }
        let digest = self.digest(
            of: Array(message.user.text.utf8) + [0] + Array(message.password.bytes), kind: 1)
        let now = self.clock.now
        if let session = self.find(digest, at: now) { return then(.success(session)) }
        let (user, password) = (message.user.text, String(decoding: message.password.bytes, as: UTF8.self))
        self.upstream.someServer().hop(to: self.loop).flatMap { server -> EventLoopFuture<Void> in
            var configuration = self.configuration
            if let server { configuration.servers = [server] }
            configuration.login =
                switch configuration.login {
                case .scramSHA256: .scramSHA256(user: user, password: password)
                case .plain: .plain(user: user, password: password)
                case .scramSHA512, .token, nil: .scramSHA512(user: user, password: password)
                }
            return DirectCalls.logIn(configuration, on: self.loop)
        }.whenComplete { result in
            switch result {
            case .success:
                let session = WebSession(principal: principal, mechanism: .plain, expires: nil)
                self.keep(session, as: digest, at: now)
                then(.success(session))
            case .failure(let error):
                let isWrong = (error as? ApusError)?.code == .notAuthorized
                then(.failure(isWrong ? wrong : LoginFailure(.overloaded)))
            }
        }
    }
}

extension WebSession {
    fileprivate init(_ session: UpstreamSession) {
        self.init(
            principal: session.principal, mechanism: session.mechanism, expires: session.expires,
            channels: session.channels, keyID: session.keyID)
    }
}
