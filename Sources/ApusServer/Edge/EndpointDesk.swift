import ApusAccess
import ApusClient
import ApusCore
import ApusUpstream
import Crypto
import KafkaDoor
import NIOCore
import Synchronization
import WebFormats

/// Logins at an endpoint server of its own. A token is checked here, by the issuer's keys. A password is shown to a
/// broker, over a connection that is made for it and closed again: users are the brokers', and what would be needed to
/// check one here does not leave them. That somebody's password was right is remembered for a moment, by a digest under
/// a key of this process.
///
/// Any thread.
final class EndpointDesk: Sendable {
    private struct Known: Sendable {
        var principal: Principal
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
        } verify: { credentials, transport, _, then in
            self.verify(credentials, transport, then)
        }
    }

    private func verify(
        _ credentials: WebCredentials, _ transport: Transport,
        _ then: @escaping @Sendable (Result<WebSession, LoginFailure>) -> Void
    ) {
        let rules = self.desk.rules(users: Self.nobody)
        if let refusal = credentials.refusal(over: transport, rules) { return self.end(.failure(refusal), then) }
        let (before, _) = self.inFlight.add(1, ordering: .relaxed)
        let ended: @Sendable (Result<WebSession, LoginFailure>) -> Void = { result in
            self.inFlight.subtract(1, ordering: .relaxed)
            self.end(result, then)
        }
        guard before < Limits.webLoginsInFlightMax else { return ended(.failure(LoginFailure(.overloaded))) }
        switch credentials {
        case .token:
            let clock = self.clock
            self.desk.run(.token) { ended(credentials.verified(rules, now: clock.wallTime)) }
        case .password(let message): self.verify(message, ended)
        // Of API keys only brokers know.
        case .key: ended(.failure(LoginFailure(.mechanismNotOffered("API keys"), mechanism: .oauthBearer)))
        }
    }

    /// Who failed is answered late, as who guesses passwords waits.
    private func end(
        _ outcome: Result<WebSession, LoginFailure>,
        _ then: @escaping @Sendable (Result<WebSession, LoginFailure>) -> Void
    ) {
        if case .success = outcome { return then(outcome) }
        self.loop.scheduleTask(in: .nanoseconds(Limits.failedLoginDelay.wholeNanoseconds)) { then(outcome) }
    }

    // MARK: Passwords

    private static let nobody = ScramUsers(mockSecret: Secret([UInt8](repeating: 0, count: 32)))

    private func verify(
        _ message: PlainMessage, _ then: @escaping @Sendable (Result<WebSession, LoginFailure>) -> Void
    ) {
        let wrong = LoginFailure(.wrongPassword, mechanism: .plain, user: message.user)
        guard let principal = Principal(user: message.user.text) else { return then(.failure(wrong)) }
        let digest = self.digest(of: message)
        let now = self.clock.now
        let known = self.known.withLock { $0[digest] }
        if let known, now < known.until {
            return then(.success(WebSession(principal: known.principal, mechanism: .plain, expires: nil)))
        }
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
                self.keep(
                    digest, Known(principal: principal, until: now.advanced(by: Limits.webLoginRemembered)), at: now)
                then(.success(WebSession(principal: principal, mechanism: .plain, expires: nil)))
            case .failure(let error):
                let isWrong = (error as? ApusError)?.code == .notAuthorized
                then(.failure(isWrong ? wrong : LoginFailure(.overloaded)))
            }
        }
    }

    private func digest(of message: PlainMessage) -> [UInt8] {
        let text = Array(message.user.text.utf8) + [0] + Array(message.password.bytes)
        return Array(HMAC<SHA256>.authenticationCode(for: text, using: self.key))
    }

    private func keep(_ digest: [UInt8], _ entry: Known, at now: Instant) {
        self.known.withLock { known in
            if known.count >= Limits.connectionsMax { known = known.filter { now < $0.value.until } }
            guard known.count < Limits.connectionsMax else { return }
            known[digest] = entry
        }
    }
}
