import ApusAccess
import ApusCore

/// The client's side of a login, whatever the mechanism: which message is said next. What it does may take long, as it
/// hashes the password: never on an event loop.
struct LoginExchange: Sendable {
    enum Failure: Error, Sendable {
        case scram(ScramClient.Refusal)
        /// Whoever gives the token did not.
        case token(any Error)
        /// The broker goes on talking when all was said.
        case unexpected
    }

    private enum State: Sendable {
        case first
        case challenged(ScramClient)
        case proving(ScramServerProof)
        case said
    }

    private let login: ClientConfiguration.Login
    private let nonce: ScramNonce
    private var state = State.first

    init(_ login: ClientConfiguration.Login, nonce: ScramNonce) {
        self.login = login
        self.nonce = nonce
    }

    var mechanism: String {
        switch self.login {
        case .scramSHA512: SaslMechanism.scramSHA512.rawValue
        case .scramSHA256: SaslMechanism.scramSHA256.rawValue
        case .plain: SaslMechanism.plain.rawValue
        case .token: SaslMechanism.oauthBearer.rawValue
        }
    }

    /// The next message for what the broker said (at first nothing); nil: all is said, and the broker is who it should
    /// be.
    mutating func next(_ heard: [UInt8]) throws(Failure) -> [UInt8]? {
        switch self.state {
        case .first: return try self.first()
        case .challenged(let client):
            do throws(ScramClient.Refusal) {
                let (message, proof) = try client.final(heard)
                self.state = .proving(proof)
                return message
            } catch {
                throw .scram(error)
            }
        case .proving(let proof):
            do throws(ScramClient.Refusal) { try proof.check(heard) } catch { throw .scram(error) }
            self.state = .said
            return nil
        case .said:
            // A token that is not taken is said so in words first (RFC 7628); the refusal follows.
            if case .token = self.login, !heard.isEmpty { return OAuthBearerMessage.abort }
            guard heard.isEmpty else { throw .unexpected }
            return nil
        }
    }

    private mutating func first() throws(Failure) -> [UInt8] {
        switch self.login {
        case .scramSHA512(let user, let password): return try self.scram(.sha512, user, password)
        case .scramSHA256(let user, let password): return try self.scram(.sha256, user, password)
        case .plain(let user, let password):
            self.state = .said
            return [0] + user.utf8 + [0] + password.utf8
        case .token(let give):
            let token: String
            do { token = try give() } catch { throw .token(error) }
            self.state = .said
            return Array("n,,\u{1}auth=Bearer ".utf8) + token.utf8 + [1, 1]
        }
    }

    private mutating func scram(_ hash: ScramHash, _ user: String, _ password: String) throws(Failure) -> [UInt8] {
        do throws(ScramClient.Refusal) {
            let client = try ScramClient(hash, user: user, password: Secret(password.utf8), nonce: self.nonce)
            self.state = .challenged(client)
            return client.first
        } catch {
            throw .scram(error)
        }
    }
}

extension LoginExchange.Failure {
    var words: String {
        switch self {
        case .scram(.password): "a password is printable ASCII, 1 to 1,024 characters"
        case .scram(.serverSignature): "the broker does not know the password: it is not the one it says it is"
        case .scram(.nonce), .scram(.malformed), .unexpected: "the broker's answer is no part of a login"
        case .scram(.iterations(let count)): "the broker asks for \(count) rounds of hashing, which is not sensible"
        case .scram(.refused(let text)): "the broker refused the login: \(text)"
        case .token(let error): "there is no token: \(error)"
        }
    }
}

/// How the connections of a client log in: with what, and where the slow part runs.
struct BrokerLogin: Sendable {
    let login: ClientConfiguration.Login
    /// Whether the connections have TLS.
    let isOverTLS: Bool
    let randomness: any Randomness
    /// Runs work on a thread that is no event loop.
    let elsewhere: @Sendable (_ work: @escaping @Sendable () -> Void) -> Void

    /// Nil where the configuration has no login.
    init?(_ configuration: ClientConfiguration, _ environment: ClientEnvironment) {
        guard let login = configuration.login else { return nil }
        self.login = login
        self.isOverTLS = configuration.tls != nil
        self.randomness = environment.randomness
        self.elsewhere = environment.elsewhere
    }

    /// Whether whoever reads along can log in with it: with SCRAM he can not.
    var showsSecret: Bool {
        switch self.login {
        case .plain, .token: true
        case .scramSHA512, .scramSHA256: false
        }
    }

    func exchange() -> LoginExchange {
        let random = (self.randomness.next(), self.randomness.next(), self.randomness.next())
        return LoginExchange(self.login, nonce: ScramNonce(random: random))
    }
}
