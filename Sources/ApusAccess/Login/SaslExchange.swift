import ApusCore

/// The messages of one mechanism, between a handshake and its end.
struct SaslExchange: Sendable {
    enum Step {
        /// Send this; the client has more to say.
        case reply([UInt8])
        case check(PasswordCheck)
        case proved(Principal, answer: [UInt8], token: VerifiedToken?)
        case failed(LoginFailure.Cause, user: ExactText?)
    }

    private enum State: Sendable {
        case scram(ScramServer)
        case plain
        case bearer
        /// Without Kafka's headers: the client was told that its token is not taken, and has to say that it understood
        /// (RFC 7628, section 3.2.3).
        case refusedToken(TokenRefusal)
    }

    let mechanism: SaslMechanism
    /// The mechanism's messages come without Kafka's headers.
    let isBare: Bool
    private var state: State

    init(_ mechanism: SaslMechanism, isBare: Bool, nonce: ScramNonce) {
        self.mechanism = mechanism
        self.isBare = isBare
        switch mechanism {
        case .scramSHA256: self.state = .scram(ScramServer(.sha256, nonce: nonce))
        case .scramSHA512: self.state = .scram(ScramServer(.sha512, nonce: nonce))
        case .oauthBearer: self.state = .bearer
        case .plain: self.state = .plain
        }
    }

    /// The next message has a signature to be checked.
    var isSlow: Bool {
        if case .bearer = self.state { true } else { false }
    }

    mutating func received(_ message: [UInt8], now: Timestamp, rules: LoginRules) -> Step {
        switch self.state {
        case .scram(let server): return self.scram(server, message, rules.users)
        case .plain: return self.plain(message, rules.users)
        case .bearer: return self.bearer(message, now, rules.tokens)
        case .refusedToken(let refusal): return .failed(.token(refusal), user: nil)
        }
    }

    private mutating func scram(_ server: ScramServer, _ message: [UInt8], _ users: ScramUsers) -> Step {
        var server = server
        let answer = server.received(message, users: users)
        self.state = .scram(server)
        switch answer {
        case .challenge(let bytes): return .reply(bytes)
        case .refused(let refusal): return .failed(.scram(refusal), user: server.user)
        case .accepted(let user, let bytes):
            guard let principal = Principal(user: user.text) else { return .failed(.wrongPassword, user: user) }
            return .proved(principal, answer: bytes, token: nil)
        }
    }

    private func plain(_ message: [UInt8], _ users: ScramUsers) -> Step {
        do throws(PlainMessage.Refusal) {
            let plain = try PlainMessage(message)
            return .check(users.check(plain.password, of: plain.user))
        } catch {
            return .failed(.plain(error), user: nil)
        }
    }

    private mutating func bearer(_ message: [UInt8], _ now: Timestamp, _ tokens: TokenVerifier) -> Step {
        let bearer: OAuthBearerMessage
        do throws(OAuthBearerMessage.Refusal) {
            bearer = try OAuthBearerMessage(message)
        } catch {
            return .failed(.bearer(error), user: nil)
        }
        do throws(TokenRefusal) {
            let token = try tokens.verify(bearer.token.bytes, now: now)
            // To act for somebody else is never allowed, with a token as with a password.
            if let identity = bearer.authorizationIdentity, identity != token.principal.name { throw .subject }
            return .proved(token.principal, answer: [], token: token)
        } catch {
            // With Kafka's headers an answer has an error of its own, and clients that take one without it for a yes.
            guard self.isBare else { return .failed(.token(error), user: nil) }
            self.state = .refusedToken(error)
            return .reply(OAuthBearerMessage.invalidToken)
        }
    }
}
