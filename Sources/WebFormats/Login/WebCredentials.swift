package import ApusAccess
package import ApusCore
import NIOCore

/// What a client of the web brings to say who it is: the `Authorization` of a request, or a token in a message.
package enum WebCredentials: Sendable {
    /// As with SASL PLAIN.
    case password(PlainMessage)
    /// As with SASL OAUTHBEARER.
    case token(Secret)
    /// An API key (``AccessKey``).
    case key(Secret)

    /// What follows `Bearer`, or stands in a message as `token`.
    package init(bearer text: String) {
        self = text.utf8.starts(with: AccessKeys.prefix.utf8) ? .key(Secret(text.utf8)) : .token(Secret(text.utf8))
    }

    /// Reads the value of an `Authorization` header: `Basic` (RFC 7617) or `Bearer` (RFC 6750).
    package init(authorization: String) throws(LoginFailure) {
        let parts = authorization.split(separator: " ", maxSplits: 1)
        guard parts.count == 2, let scheme = parts.first?.lowercased() else { throw LoginFailure(.plain(.malformed)) }
        let rest = parts[1].drop { $0 == " " }
        switch scheme {
        case "basic":
            guard rest.utf8.count <= 2 * Limits.passwordBytesMax.rawValue,
                let pair = Base64.standard.decoded(ByteBuffer(substring: rest))
            else { throw LoginFailure(.plain(.malformed), mechanism: .plain) }
            let halves = Array(pair.readableBytesView).split(
                separator: UInt8(ascii: ":"), maxSplits: 1, omittingEmptySubsequences: false)
            guard halves.count == 2 else { throw LoginFailure(.plain(.malformed), mechanism: .plain) }
            do throws(PlainMessage.Refusal) {
                self = .password(try PlainMessage([0] + halves[0] + [0] + halves[1]))
            } catch {
                throw LoginFailure(.plain(error), mechanism: .plain)
            }
        case "bearer": self = WebCredentials(bearer: String(rest))
        default: throw LoginFailure(.mechanismNotOffered(String(scheme.prefix(32))))
        }
    }

    package var mechanism: SaslMechanism {
        switch self {
        case .password: .plain
        case .token, .key: .oauthBearer
        }
    }

    /// Whether they may be shown over this transport: where the Kafka port would take the same (``MechanismRules``),
    /// and API keys where nobody can listen.
    package func refusal(over transport: Transport, _ rules: LoginRules) -> LoginFailure? {
        // A key is made by whoever wants it used; it shows itself, as passwords and tokens do.
        if case .key = self, transport != .open { return nil }
        guard !rules.mechanisms.offered(over: transport).contains(self.mechanism) else { return nil }
        return LoginFailure(.mechanismNotOffered(self.mechanism.rawValue), mechanism: self.mechanism)
    }

    /// Who it is. Slow: hashes a password or checks a signature; never on an event loop.
    package func verified(_ rules: LoginRules, now: Timestamp) -> Result<WebSession, LoginFailure> {
        switch self {
        case .password(let message):
            guard rules.users.check(message.password, of: message.user).run(),
                let principal = Principal(user: message.user.text)
            else { return .failure(LoginFailure(.wrongPassword, mechanism: .plain, user: message.user)) }
            return .success(WebSession(principal: principal, mechanism: .plain, expires: nil))
        case .token(let secret):
            do throws(TokenRefusal) {
                let token = try rules.tokens.verify(secret.bytes, now: now)
                return .success(
                    WebSession(
                        principal: token.principal, mechanism: .oauthBearer, expires: token.expires,
                        channels: token.channels))
            } catch {
                return .failure(LoginFailure(.token(error), mechanism: .oauthBearer))
            }
        case .key(let secret):
            do throws(AccessKeyRefusal) {
                let key = try rules.keys.verify(secret, now: now)
                return .success(
                    WebSession(principal: key.owner, mechanism: .oauthBearer, expires: key.expires, keyID: key.id))
            } catch {
                return .failure(LoginFailure(.key(error), mechanism: .oauthBearer))
            }
        }
    }
}

/// Who a client of the web is, and until when.
package struct WebSession: Hashable, Sendable {
    package var principal: Principal
    package var mechanism: SaslMechanism
    /// Of its token; nil: as long as nobody says otherwise.
    package var expires: Timestamp?
    /// What its token bounds it to; nil: nothing.
    package var channels: ChannelGrants?
    /// The API key that it came with: when that is removed, this ends.
    package var keyID: String?

    package init(
        principal: Principal, mechanism: SaslMechanism, expires: Timestamp?, channels: ChannelGrants? = nil,
        keyID: String? = nil
    ) {
        self.principal = principal
        self.mechanism = mechanism
        self.expires = expires
        self.channels = channels
        self.keyID = keyID
    }

    /// How it logged in, for people.
    package var word: String { self.keyID.map { "API key \($0)" } ?? self.mechanism.rawValue }
}

/// How clients of the web log in, where they have to: users, tokens and rules are those of the Kafka port. Any thread.
package struct WebLogin: Sendable {
    /// The ways that are offered over a transport, strongest first.
    package var offered: @Sendable (Transport) -> [SaslMechanism]
    /// Checks credentials that came from an address, on a thread that is no event loop; a failure is answered late, as
    /// who guesses passwords waits. Each check is written to the audit log. Answers once, on any thread.
    package var verify:
        @Sendable (
            WebCredentials, Transport, _ address: String,
            _ then: @escaping @Sendable (Result<WebSession, LoginFailure>) -> Void
        ) -> Void

    package init(
        offered: @escaping @Sendable (Transport) -> [SaslMechanism],
        verify:
            @escaping @Sendable (
                WebCredentials, Transport, _ address: String,
                _ then: @escaping @Sendable (Result<WebSession, LoginFailure>) -> Void
            ) -> Void
    ) {
        self.offered = offered
        self.verify = verify
    }
}
