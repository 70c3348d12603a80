package import ApusCore

/// What a connection brings to its login, in the order in which it came.
package enum SaslRequest: Sendable {
    case apiVersions
    /// SaslHandshake; the nonce is drawn for it, used or not.
    case handshake(mechanism: String, version: Int16, nonce: ScramNonce)
    /// The bytes of a SaslAuthenticate request.
    case authenticate([UInt8])
    /// A frame that is nothing but a message of the mechanism: what follows version 0 of SaslHandshake.
    case token([UInt8])
    /// Any other API.
    case other
}

/// Kafka's error codes of a login.
package enum SaslErrorCode: Int16, Sendable {
    case none = 0
    case unsupportedMechanism = 33
    case illegalState = 34
    case authenticationFailed = 58
}

package enum SaslReply: Sendable {
    /// SaslHandshake: the mechanisms are those a client may use here.
    case handshake(SaslErrorCode, mechanisms: [SaslMechanism])
    /// SaslAuthenticate. `lifetime`: after it the session must log in again (KIP-368); nil: never, on the wire 0.
    case authenticate(SaslErrorCode, message: String?, bytes: [UInt8], lifetime: Duration?)
    /// A frame that is nothing but these bytes.
    case token([UInt8])
    /// ILLEGAL_SASL_STATE in the form of whatever was asked, if that has an error code at all.
    case illegalState
}

/// What to do with a request.
package enum SaslAnswer: Sendable {
    /// Serve it, as `SaslConversation.session`'s principal. Before the login only ApiVersions gets this.
    case serve
    case reply(SaslReply)
    /// Logged in; the session is new, or renewed.
    case loggedIn(SaslReply, SaslSession)
    /// Run this off the loop, read nothing more meanwhile, and tell ``SaslConversation/checked(_:at:rules:)``.
    case check(PasswordCheck)
    /// Answer, not before `after` has passed (who guesses passwords waits), then close. Nothing more is read.
    case refuse(SaslReply?, after: Duration, LoginFailure)
}

/// Who is logged in on a connection.
package struct SaslSession: Hashable, Sendable {
    package let principal: Principal
    package let mechanism: SaslMechanism
    package let since: Instant
    /// From here on nothing but a new login is heard; nil: never.
    package let expires: Instant?
    /// What its token is bounded to; nil: nothing.
    package let channels: ChannelGrants?

    package func isExpired(at now: Instant) -> Bool {
        self.expires.map { $0 <= now } ?? false
    }
}

/// A login that did not come about, for the log and the audit trail. Names are the client's words.
package struct LoginFailure: Error, Hashable, Sendable {
    package enum Cause: Hashable, Sendable {
        case mechanismNotOffered(String)
        /// A request that has no place where it came.
        case outOfOrder
        case tooManyRequests
        /// So many logins wait to be judged that this one was not begun.
        case overloaded
        /// Nothing came in time.
        case timedOut
        case sessionExpired
        /// A session may be renewed, not handed to somebody else, nor by other means.
        case principalChanged
        case mechanismChanged
        case scram(ScramRefusal)
        case plain(PlainMessage.Refusal)
        case wrongPassword
        case bearer(OAuthBearerMessage.Refusal)
        case token(TokenRefusal)
        case key(AccessKeyRefusal)
        /// A ticket that was never given, is used up, or too old.
        case ticket
    }

    package var cause: Cause
    package var mechanism: SaslMechanism?
    package var user: ExactText?

    package init(_ cause: Cause, mechanism: SaslMechanism? = nil, user: ExactText? = nil) {
        self.cause = cause
        self.mechanism = mechanism
        self.user = user
    }

    /// What the client is told. Whether the user exists is not in it, nor what was wrong with a token.
    package var told: String {
        let name = self.mechanism?.rawValue ?? "SASL"
        return switch self.cause {
        case .mechanismNotOffered: "this mechanism is not offered here"
        case .outOfOrder: "a request that may not be sent at this point of a login"
        case .tooManyRequests: "too many requests before the login"
        case .overloaded: "too many logins at once"
        case .timedOut: "the login took too long"
        case .sessionExpired: "the session has expired"
        case .principalChanged: "a session can be renewed only by the principal that began it"
        case .mechanismChanged: "a session can be renewed only with the mechanism that it began with"
        case .scram(.wrongPassword), .scram(.unknownUser), .plain(.user), .plain(.password), .wrongPassword:
            "\(name): wrong user or password"
        case .scram(.channelBindingNotOffered), .bearer(.channelBindingNotOffered):
            "\(name): channel binding is not offered"
        case .scram(.extensionNotSupported): "\(name): extensions (delegation tokens) are not supported"
        case .scram(.otherAuthorizationIdentity), .plain(.otherAuthorizationIdentity):
            "\(name): nobody may act for somebody else"
        case .scram, .plain, .bearer: "\(name): malformed message"
        // Its signature holds, so it is its issuer who reads this.
        case .token(.channels(let reason)): "\(name): the token's claim 'apus' is not accepted: \(reason)"
        case .token: "\(name): the token is not accepted"
        case .key: "the API key is not accepted"
        case .ticket: "the ticket is not accepted: each is good once, and not for long"
        }
    }
}

/// Everything that a login is decided by, as one value that the assembly replaces when any of it changes.
package struct LoginRules: Sendable {
    package var mechanisms: MechanismRules
    package var users: ScramUsers
    package var tokens: TokenVerifier
    package var keys: AccessKeys
    /// How long a login holds (Kafka's `connections.max.reauth.ms`); nil: as long as the connection, or its token.
    package var sessionLifetimeMax: Duration?

    package init(
        mechanisms: MechanismRules, users: ScramUsers, tokens: TokenVerifier = TokenVerifier(),
        keys: AccessKeys = AccessKeys(), sessionLifetimeMax: Duration? = nil
    ) {
        self.mechanisms = mechanisms
        self.users = users
        self.tokens = tokens
        self.keys = keys
        self.sessionLifetimeMax = sessionLifetimeMax
    }
}

/// Both clocks at one moment: sessions run on the monotonic one, tokens on the wall's.
package struct LoginMoment: Hashable, Sendable {
    package let now: Instant
    package let wall: Timestamp

    package init(now: Instant, wall: Timestamp) {
        self.now = now
        self.wall = wall
    }
}
