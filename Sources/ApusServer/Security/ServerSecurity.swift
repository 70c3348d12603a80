import ApusAccess
import ApusBroker
import ApusClient
import ApusCore
import ApusUpstream
import AsyncHTTPClient
import HTTPDoor
import KafkaDoor
import Logging
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization
import WebFormats

/// Everything a server has to do with who comes in: logins, certificates, the keys of token issuers, and looking now
/// and then whether the files and URLs behind them have changed.
///
/// Owner of the looking. Any thread.
final class ServerSecurity: Sendable {
    private let desk: LoginDesk
    private let certificates: CertificateKeeper?
    private let sources: [TokenKeySource]
    private let client: HTTPClient?
    private let files: NIOThreadPool
    private let watch = Mutex<RepeatedTask?>(nil)
    let asksForLogin: Bool

    /// Reads the files, which must make sense together. Blocking.
    init(
        _ configuration: ServerConfiguration, clock: any Clock, randomness: any Randomness, logger: Logger
    ) throws(ServerError) {
        try Self.check(configuration)
        let desk = LoginDesk(configuration, clock: clock, randomness: randomness)
        var sources: [TokenKeySource] = []
        self.certificates = try configuration.tls.map { tls throws(ServerError) in
            try CertificateKeeper(tls, clock: clock, logger: logger)
        }
        for issuer in configuration.authentication.tokens {
            let source = try TokenKeySource(issuer, desk: desk, clock: clock, logger: logger)
            // A URL may come later, nobody is let in until then; a file that is wrong is a mistake of now.
            try source.look(mustRead: true)
            sources.append(source)
        }
        self.desk = desk
        self.sources = sources
        self.asksForLogin = !configuration.authentication.mechanisms.isEmpty
        self.client =
            sources.contains { $0.isRemote }
            ? HTTPClient(
                eventLoopGroupProvider: .singleton,
                configuration: HTTPClient.Configuration(
                    redirectConfiguration: .disallow,
                    timeout: .init(connect: .nanoseconds(Limits.tokenKeysFetchMax.wholeNanoseconds))))
            : nil
        self.files = NIOThreadPool(numberOfThreads: 1)
        self.files.start()
    }

    static func check(_ configuration: ServerConfiguration) throws(ServerError) {
        let authentication = configuration.authentication
        let takesTokens = authentication.mechanisms.contains(.oauthBearer)
        guard takesTokens == !authentication.tokens.isEmpty else {
            throw ServerError(
                .configuration,
                takesTokens
                    ? "tokens can not be checked without the issuer's keys: --jwks, --jwt-issuer and --jwt-audience"
                    : "--jwks is for logins with tokens: --auth oauth")
        }
        guard authentication.tokens.count <= Limits.tokenIssuersMax,
            Set(authentication.tokens.map(\.name)).count == authentication.tokens.count,
            authentication.tokens.allSatisfy({ !$0.name.isEmpty && !$0.audiences.isEmpty && !$0.audiences.contains("") }
            )
        else {
            throw ServerError(
                .configuration,
                "a token issuer has a name and an audience, each is named once, and there are at most "
                    + "\(Limits.tokenIssuersMax)")
        }
        if let lifetime = authentication.sessionLifetimeMax, lifetime < Limits.reauthenticationWaitMin {
            throw ServerError(.configuration, "a session lasts \(Limits.reauthenticationWaitMin) at least")
        }
        _ = try Self.superUsers(configuration)
    }

    /// The configured names as principals.
    static func superUsers(_ configuration: ServerConfiguration) throws(ServerError) -> Set<Principal> {
        var principals: Set<Principal> = []
        for name in configuration.authentication.superUsers {
            let principal = name.hasPrefix("User:") ? Principal(parsing: name) : Principal(user: name)
            guard let principal, principal != .everybody else {
                throw ServerError(.configuration, "\"\(name)\" can not be a super user's name")
            }
            principals.insert(principal)
        }
        return principals
    }

    /// Makes the first user and fetches the keys; then a listener may ask.
    func open(
        _ broker: Broker, _ configuration: ServerConfiguration, on loop: any EventLoop, logger: Logger
    ) async throws(ServerError) {
        if let user = configuration.authentication.firstUser {
            try await self.desk.makeFirstUser(user, in: broker, on: loop, logger: logger)
        }
        await self.fetch(on: loop, isUrgent: true)
        if configuration.isAuthenticating, broker.access.users.count == 0, broker.access.superUsers.isEmpty {
            logger.warning("there is no user and no super user: nobody can make rules (--bootstrap-user, --super-user)")
        }
    }

    func protect(_ door: inout KafkaListener.Configuration, of broker: Broker, _ configuration: ServerConfiguration) {
        door.caps = configuration.caps
        if self.asksForLogin { door.login = self.desk.login(for: broker) }
        door.tls = self.certificates?.tls
        let audit = broker.audit
        door.loginEnded = { report in
            let (principal, how, outcome) = report.audited
            audit.note(.login, how, by: ClientContext(principal: principal, address: report.address), outcome)
        }
    }

    /// The same for clients of the web: the same users, certificates and caps.
    func protect(
        _ door: inout HTTPListener.Configuration, of broker: Broker, _ configuration: ServerConfiguration,
        on loop: any EventLoop
    ) {
        door.caps = configuration.caps
        if self.asksForLogin { door.login = WebDesk(self.desk.login(for: broker), of: broker, on: loop).web }
        guard let tls = self.certificates?.tls else { return }
        door.tls = tls.context
        door.asksForCertificate = tls.asksForCertificate
        door.principal = { tls.principal(of: $0) }
    }

    // MARK: An endpoint server

    /// Fetches the keys; then a login may be judged.
    func open(on loop: any EventLoop) async { await self.fetch(on: loop, isUrgent: true) }

    /// Where clients of an endpoint server in a process of its own log in, and show tickets.
    func endpointDesk(
        _ upstream: ClusterUpstream, _ client: ClientConfiguration, clock: any Clock, on loop: any EventLoop
    ) -> EndpointDesk {
        EndpointDesk(self.desk, upstream, client, clock: clock, on: loop)
    }

    /// Nil: in clear.
    var tlsContext: (@Sendable () -> NIOSSLContext)? { self.certificates?.tls.context }

    // MARK: Looking again

    func start(on loop: any EventLoop) {
        guard self.certificates != nil || !self.sources.isEmpty else { return }
        let period = TimeAmount.nanoseconds(Limits.secretFileLookPeriod.wholeNanoseconds)
        let watch = loop.scheduleRepeatedTask(initialDelay: period, delay: period) { [weak self] _ in
            self?.look(on: loop, mustRead: false)
        }
        self.watch.withLock { $0 = watch }
    }

    /// Reads everything again now.
    func reload(on loop: any EventLoop) {
        self.look(on: loop, mustRead: true)
    }

    private func look(on loop: any EventLoop, mustRead: Bool) {
        self.files.submit { state in
            guard state == .active else { return }
            self.certificates?.look(mustRead: mustRead)
            for source in self.sources { source.lookAgain(mustRead: mustRead) }
        }
        guard let client = self.client else { return }
        for source in self.sources { _ = source.fetch(with: client, on: loop, isUrgent: mustRead) }
    }

    private func fetch(on loop: any EventLoop, isUrgent: Bool) async {
        guard let client = self.client else { return }
        let fetches = self.sources.map { $0.fetch(with: client, on: loop, isUrgent: isUrgent) }
        // Each ends well: what went wrong is in the log.
        try? await EventLoopFuture.andAllComplete(fetches, on: loop).get()
    }

    // MARK: Stop

    func stop(on loop: (any EventLoop)?) async throws {
        if let watch = self.watch.withLock({ $0 }), let loop {
            let stopped = loop.makePromise(of: Void.self)
            watch.cancel(promise: stopped)
            // A repeated task ends without an error, or the loop is gone and it with it.
            try? await stopped.futureResult.get()
        }
        try await self.client?.shutdown()
        try await self.files.shutdownGracefully()
        try await self.desk.stop()
    }
}

extension LoginReport {
    /// Who it was, as far as that is known; how; and how it ended. Of one who failed the name is what he said.
    fileprivate var audited: (Principal, String, AuditRecord.Outcome) {
        switch self.outcome {
        case .loggedIn(let session): (session.principal, session.mechanism.rawValue, .ok)
        case .certified(let principal): (principal, "certificate", .ok)
        case .failed(let failure):
            (
                failure.user.flatMap { Principal(user: $0.text) } ?? .anonymous,
                failure.mechanism?.rawValue ?? "no mechanism", .failed("\(failure.cause)")
            )
        }
    }
}
