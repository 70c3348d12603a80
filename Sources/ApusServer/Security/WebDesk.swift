import ApusAccess
import ApusBroker
import ApusCore
import KafkaDoor
import NIOCore
import Synchronization
import WebFormats

/// Logins of the doors of the web: the Kafka listener's rules, users, keys and threads, asked with the credentials of
/// HTTP. Owner of the count of those that are being checked. Any thread.
final class WebDesk: Sendable {
    private let login: ListenerLogin
    private let audit: BrokerAudit
    /// Keeps those waiting who failed.
    private let loop: any EventLoop
    private let inFlight = Atomic<Int>(0)

    init(_ login: ListenerLogin, of broker: Broker, on loop: any EventLoop) {
        self.login = login
        self.audit = broker.audit
        self.loop = loop
    }

    var web: WebLogin {
        WebLogin { transport in
            self.login.rules().mechanisms.offered(over: transport)
        } verify: { credentials, transport, address, then in
            self.verify(credentials, transport, address, then)
        }
    }

    private func verify(
        _ credentials: WebCredentials, _ transport: Transport, _ address: String,
        _ then: @escaping @Sendable (Result<WebSession, LoginFailure>) -> Void
    ) {
        let rules = self.login.rules()
        if let refusal = credentials.refusal(over: transport, rules) {
            return self.end(.failure(refusal), address, then)
        }
        let (before, _) = self.inFlight.add(1, ordering: .relaxed)
        guard before < Limits.webLoginsInFlightMax else {
            self.inFlight.subtract(1, ordering: .relaxed)
            return then(.failure(LoginFailure(.overloaded)))
        }
        let work: LoginWork = if case .password = credentials { .password } else { .token }
        let clock = self.login.clock
        self.login.elsewhere(work) {
            let outcome = credentials.verified(rules, now: clock.wallTime)
            self.inFlight.subtract(1, ordering: .relaxed)
            self.end(outcome, address, then)
        }
    }

    /// Written down; and who failed is answered late.
    private func end(
        _ outcome: Result<WebSession, LoginFailure>, _ address: String,
        _ then: @escaping @Sendable (Result<WebSession, LoginFailure>) -> Void
    ) {
        switch outcome {
        case .success(let session):
            let client = ClientContext(principal: session.principal, address: address)
            self.audit.note(.login, "HTTP \(session.word)", by: client)
            then(outcome)
        case .failure(let failure):
            let principal = failure.user.flatMap { Principal(user: $0.text) } ?? .anonymous
            let client = ClientContext(principal: principal, address: address)
            let how = "HTTP \(failure.mechanism?.rawValue ?? "no mechanism")"
            self.audit.note(.login, how, by: client, .failed("\(failure.cause)"))
            self.loop.scheduleTask(in: .nanoseconds(Limits.failedLoginDelay.wholeNanoseconds)) { then(outcome) }
        }
    }
}
