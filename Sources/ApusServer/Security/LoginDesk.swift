import ApusAccess
import ApusBroker
import ApusCore
import KafkaDoor
import Logging
import NIOCore
import NIOPosix
import Synchronization

/// What logins of this server are decided by: the operator's rules, the users in the store, the keys of token issuers.
///
/// Owner of the keys as they were last read, and of the threads that hash and check. Any thread.
final class LoginDesk: Sendable {
    let mechanisms: MechanismRules
    private let sessionLifetimeMax: Duration?
    private let tokens: Mutex<TokenVerifier>
    private let passwordThreads = NIOThreadPool(numberOfThreads: Limits.passwordThreads)
    private let tokenThreads = NIOThreadPool(numberOfThreads: Limits.tokenThreads)
    private let clock: any Clock
    private let randomness: any Randomness

    init(_ configuration: ServerConfiguration, clock: any Clock, randomness: any Randomness) {
        let authentication = configuration.authentication
        self.mechanisms = MechanismRules(
            enabled: Set(authentication.mechanisms.compactMap { SaslMechanism(rawValue: $0.rawValue) }),
            allowsScramInClear: authentication.allowsScramInClear)
        self.sessionLifetimeMax = authentication.sessionLifetimeMax
        self.tokens = Mutex(
            TokenVerifier(
                authentication.tokens.map { issuer in
                    TokenIssuer(
                        name: ExactText(issuer.name), audiences: Set(issuer.audiences.map { ExactText($0) }), keys: nil)
                }))
        self.clock = clock
        self.randomness = randomness
        self.passwordThreads.start()
        self.tokenThreads.start()
    }

    /// New keys of an issuer, for logins from now on.
    func set(_ keys: TokenKeys, of issuer: ExactText) {
        self.tokens.withLock { $0.set(keys, of: issuer) }
    }

    /// What a listener of this broker asks.
    func login(for broker: Broker) -> ListenerLogin {
        let access = broker.access
        return ListenerLogin(clock: self.clock, randomness: self.randomness) { [self] in
            self.rules(users: access.users, keys: access.keys)
        } elsewhere: { [self] kind, work in
            self.run(kind, work)
        }
    }

    /// What a login is judged by now.
    func rules(users: ScramUsers, keys: AccessKeys = AccessKeys()) -> LoginRules {
        LoginRules(
            mechanisms: self.mechanisms, users: users, tokens: self.tokens.withLock { $0 }, keys: keys,
            sessionLifetimeMax: self.sessionLifetimeMax)
    }

    /// Runs a login's slow work. A crowd of one kind holds up none of the other: they share processors, which the
    /// system divides fairly between threads, but no thread.
    func run(_ kind: LoginWork, _ work: @escaping @Sendable () -> Void) {
        let threads =
            switch kind {
            case .password: self.passwordThreads
            case .token: self.tokenThreads
            }
        // Whatever the pool's state: an answer that never comes would keep its request's memory.
        threads.submit { _ in work() }
    }

    func stop() async throws {
        try await self.passwordThreads.shutdownGracefully()
        try await self.tokenThreads.shutdownGracefully()
    }

    // MARK: The first user

    /// Makes the configured first user, with both SCRAM mechanisms and every right, if there is no user at all.
    func makeFirstUser(
        _ user: ServerConfiguration.FirstUser, in broker: Broker, on loop: any EventLoop, logger: Logger
    ) async throws(ServerError) {
        guard broker.access.users.count == 0 else {
            return logger.info("there are users: the first one is not made again", metadata: ["user": "\(user.name)"])
        }
        guard let principal = Principal(user: user.name) else {
            throw ServerError(.configuration, "\"\(user.name)\" can not be the name of a user")
        }
        var changes: [StoreChange] = []
        for hash in ScramHash.allCases {
            let credential = try await self.credential(user, hash)
            let name = ExactText(user.name)
            changes.append(
                .put(key: ScramRecord.key(of: name, hash), value: ScramRecord.encoded(credential, of: name)))
        }
        for acl in Self.everyRight(of: principal) {
            changes.append(.put(key: AclRecord.key(of: acl), value: AclRecord.encoded(acl)))
        }
        let made = await withCheckedContinuation { continuation in
            broker.access.commit(on: loop) { [changes] records in
                // Another broker may have made one meanwhile.
                let isFirst = records.users.count == 0
                return AccessDraft(isFirst ? changes : [], answer: isFirst)
            } then: { (result: Result<Bool, BrokerError>) in
                continuation.resume(returning: result)
            }
        }
        switch made {
        case .success(true): logger.notice("made the first user", metadata: ["user": "\(user.name)"])
        case .success(false): break
        case .failure(let error):
            throw ServerError(.broker, "the first user could not be made: \(error)", cause: error)
        }
    }

    private func credential(
        _ user: ServerConfiguration.FirstUser, _ hash: ScramHash
    ) async throws(ServerError) -> ScramCredential {
        let salt = (0..<(Limits.scramSaltBytes.rawValue / 8)).flatMap { _ in
            let bits = self.randomness.next()
            return (0..<8).map { UInt8(truncatingIfNeeded: bits >> (8 * $0)) }
        }
        let work: PasswordHashing
        do throws(ScramCredential.Refusal) {
            work = try PasswordHashing(user.password, hash: hash, salt: salt)
        } catch {
            throw ServerError(
                .configuration, "the first user's password is not printable ASCII, 1 to 1,024 characters", cause: error)
        }
        let credential = await withCheckedContinuation { continuation in
            self.passwordThreads.submit { _ in continuation.resume(returning: work.run()) }
        }
        guard let credential else { throw ServerError(.broker, "the first user's password can not be hashed") }
        return credential
    }

    /// Rules like any others, so that they can be seen and taken away again.
    private static func everyRight(of principal: Principal) -> [Acl] {
        ResourceType.allCases.compactMap { type in
            let name = type == .cluster ? Resource.clusterName : ResourcePattern.wildcard
            // `try?`: of delegation tokens there are no rules, and none is needed.
            return try? Acl(ResourcePattern(type, .literal, name), principal, .any, .all, .allow)
        }
    }
}
