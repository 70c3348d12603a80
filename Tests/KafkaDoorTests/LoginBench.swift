import ApusAccess
import ApusBroker
import ApusCore
import ApusFakes
import KafkaWire
import NIOCore
import NIOEmbedded
import Synchronization
import Testing

@testable import KafkaDoor

/// A door that asks for a login, with a user `alice` whose password is `tea`, and a client's messages.
final class LoginBench {
    /// Work that was handed out and not run yet, when it is held back.
    private final class Elsewhere: Sendable {
        let held = Mutex<Set<LoginWork>>([])
        let waiting = Mutex<[@Sendable () -> Void]>([])

        func run(_ kind: LoginWork, _ work: @escaping @Sendable () -> Void) {
            guard self.held.withLock({ $0.contains(kind) }) else { return work() }
            self.waiting.withLock { $0.append(work) }
        }
    }

    let bench: DoorBench
    let reports = Held<[String]>()
    private let elsewhere = Elsewhere()

    init(
        mechanisms: Set<SaslMechanism> = Set(SaslMechanism.allCases), inClear: Bool = true, lifetime: Duration? = nil,
        from address: String = "127.0.0.1", superUsers: Set<Principal> = []
    ) throws {
        var users = ScramUsers(mockSecret: Secret(repeatElement(7, count: 32)))
        for hash in ScramHash.allCases {
            let work = try PasswordHashing("tea", hash: hash, salt: Array(1...16), iterations: 4096)
            let credential = try #require(work.run())
            users.set(credential, of: "alice", hash)
        }
        let rules = LoginRules(
            mechanisms: MechanismRules(enabled: mechanisms, allowsScramInClear: inClear), users: users,
            tokens: TokenVerifier([
                TokenIssuer(
                    name: "https://id.example", audiences: ["apus"],
                    keys: try TokenKeys(Array(Self.tokenKeys.utf8)))
            ]), sessionLifetimeMax: lifetime)
        let (elsewhere, reports) = (self.elsewhere, self.reports)
        func login(_ clock: any Clock) -> ListenerLogin {
            ListenerLogin(clock: clock, randomness: SeededRandomness(seed: 9)) {
                rules
            } elsewhere: { kind, work in
                elsewhere.run(kind, work)
            }
        }
        self.bench = try DoorBench(
            remoteAddress: address,
            change: {
                $0.isAuthorizing = true
                $0.superUsers = superUsers
            }, login: login,
            loginEnded: { report in
                let words =
                    switch report.outcome {
                    case .loggedIn(let session): "in: \(session.principal)"
                    case .certified(let principal): "certified: \(principal)"
                    case .failed(let failure): "failed: \(failure.cause)"
                    }
                reports.put((reports.value ?? []) + [words])
            })
    }

    /// The key that alice's token is signed with. Its other half was thrown away.
    private static let tokenKeys = """
        {"keys":[{"kty":"OKP","crv":"Ed25519","kid":"ed","alg":"EdDSA",\
        "x":"EnQdA9IX0f1ZTdrLVQs-ZKGGjYQ59zmQp4rk7j68BNM"},\
        {"kty":"OKP","crv":"Ed25519","kid":"bounded","alg":"EdDSA","x":"fJrud08MFb2-U-UtFEEdOfFwWBv_RsYCquMgmSAJ1ig"}]}
        """

    /// A message of PLAIN with alice's password.
    static let password = Array("\0alice\0tea".utf8)
    /// A message of OAUTHBEARER with a token of alice's: good for an hour from the moment at which the clock begins.
    static let token = Array(
        """
        n,,\u{1}auth=Bearer eyJhbGciOiJFZERTQSIsImtpZCI6ImVkIn0\
        .eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUiLCJhdWQiOiJhcHVzIiwiZXhwIjoxNzUwMDAzNjAwLCJzdWIiOiJhbGljZSJ9\
        .c5m_jWay19WcFzIDH7c621S8jIyMKXDdfUfDaM6x7d92GmD8jFDFPdK-lg05\
        9zzsEbJiGbrNzMLl2YeF2AC9Bw\u{1}\u{1}
        """.utf8)

    /// The same, but its claim `apus` is `{"read":["news"],"write":["chat/*"]}`.
    static let boundedToken = Array(
        """
        n,,\u{1}auth=Bearer eyJhbGciOiJFZERTQSIsImtpZCI6ImJvdW5kZWQifQ\
        .eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUiLCJhdWQiOiJhcHVzIiwiZ\
        XhwIjoxNzUwMDAzNjAwLCJzdWIiOiJhbGljZSIsImFwdXMiOnsicmVhZCI6WyJuZXdzIl0sIndyaXRlIjpbImNoYXQvKiJdfX0.H\
        4IaVakEmKjFF2hjD6VKlUJ7ToMo79RlvoMK-nzEUcP7XT5W7EVMfj_THZ5avB0cHwnbVfBwz-KeYtgTozLTDw\
        \u{1}\u{1}
        """.utf8)
    /// The same, but its claim is `{"admin":["*"]}`, which is none.
    static let oddToken = Array(
        """
        n,,\u{1}auth=Bearer eyJhbGciOiJFZERTQSIsImtpZCI6ImJvdW5kZWQifQ\
        .eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUiLCJhdWQiOiJhcHVzIiwiZ\
        XhwIjoxNzUwMDAzNjAwLCJzdWIiOiJhbGljZSIsImFwdXMiOnsiYWRtaW4iOlsiKiJdfX0.V0M62XpgXv2Pz3W5Kszb3MaARE8xH\
        H9srfea_5_D965YBlj1cwd6nLDrAEYJtabpTyHe8y5vXtdkcgYgAN0CDg\
        \u{1}\u{1}
        """.utf8)

    // MARK: Work elsewhere

    func hold(_ kinds: Set<LoginWork> = Set(LoginWork.allCases)) { self.elsewhere.held.withLock { $0 = kinds } }
    var workHeld: Int { self.elsewhere.waiting.withLock { $0.count } }

    func release() {
        self.elsewhere.held.withLock { $0 = [] }
        let waiting = self.elsewhere.waiting.withLock { waiting in
            defer { waiting = [] }
            return waiting
        }
        for work in waiting { work() }
        self.bench.loop.run()
    }

    // MARK: Saying

    func handshake(_ mechanism: String, version: Int16 = 1) throws -> SaslHandshakeResponse {
        try self.bench.ask(Self.handshakeRequest(mechanism), version: version)
    }

    static func handshakeRequest(_ mechanism: String) -> SaslHandshakeRequest {
        var request = SaslHandshakeRequest()
        request.mechanism = mechanism
        return request
    }

    static func message(_ bytes: [UInt8]) -> SaslAuthenticateRequest {
        var request = SaslAuthenticateRequest()
        request.authBytes = ByteBuffer(bytes: bytes)
        return request
    }

    func authenticate(_ bytes: [UInt8], version: Int16 = 2) throws -> SaslAuthenticateResponse {
        try self.bench.ask(Self.message(bytes), version: version)
    }

    static func scram(
        _ user: String = "alice", _ password: String = "tea", _ hash: ScramHash = .sha512
    ) throws -> ScramClient {
        try ScramClient(hash, user: user, password: Secret(password.utf8), nonce: ScramNonce(random: (4, 5, 6)))
    }

    /// Logs in with SCRAM-SHA-512; the last answer.
    @discardableResult
    func logIn(_ user: String = "alice", _ password: String = "tea") throws -> SaslAuthenticateResponse {
        #expect(try self.handshake("SCRAM-SHA-512").errorCode == .none)
        let client = try Self.scram(user, password)
        let challenge = try self.authenticate(client.first)
        try #require(challenge.errorCode == .none)
        let (message, proof) = try client.final(Array(challenge.authBytes.readableBytesView))
        let last = try self.authenticate(message)
        try proof.check(Array(last.authBytes.readableBytesView))
        return last
    }

    /// The answer to a message that is refused, which comes after its delay; then the connection is closed.
    func refusal(of bytes: [UInt8]) throws -> SaslAuthenticateResponse {
        try self.bench.send(Self.message(bytes), version: 2)
        #expect(try self.bench.replies().isEmpty, "whoever guesses passwords waits")
        #expect(self.bench.isOpen)
        self.bench.loop.advanceTime(by: .nanoseconds(Limits.failedLoginDelay.wholeNanoseconds))
        let replies = try self.bench.replies()
        try #require(replies.count == 1)
        #expect(!self.bench.isOpen)
        return try self.bench.decode(replies[0], SaslAuthenticateResponse.self, version: 2)
    }

    /// Whether an ordinary request is served, as alice's.
    func isServed() throws -> Bool {
        let brokers = try self.bench.ask(MetadataRequest(), version: 9).brokers
        return try brokers.count == 1 && self.bench.connection.client.principal == Principal(user: "alice")
    }
}
