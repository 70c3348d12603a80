import ApusAccess

extension ServerConfiguration {
    /// Who has to say who he is, and how. With none of the mechanisms, nobody has to.
    public struct Authentication: Sendable {
        public enum Mechanism: String, CaseIterable, Sendable {
            case scramSHA256 = "SCRAM-SHA-256"
            case scramSHA512 = "SCRAM-SHA-512"
            case plain = "PLAIN"
            case oauthBearer = "OAUTHBEARER"
        }

        public var mechanisms: Set<Mechanism> = []
        /// Lets SCRAM be used without TLS on an address that other machines reach: it shows no password, but who
        /// listens sees and can change everything that follows.
        public var allowsScramInClear = false
        /// How long a login holds before it has to be renewed (Kafka's `connections.max.reauth.ms`). Nil: as long as
        /// the connection; a token's login never outlives the token.
        public var sessionLifetimeMax: Duration?
        /// Those who may do everything, by name (`alice`) or with their type (`User:CN=alice`).
        public var superUsers: Set<String> = []
        /// The key sets by which bearer tokens are checked. Needed for ``Mechanism/oauthBearer``.
        public var tokens: [TokenIssuer] = []
        /// Made at a start that finds no user at all, with every right.
        public var firstUser: FirstUser?

        public init() {}
    }

    /// An identity provider whose tokens are taken.
    public struct TokenIssuer: Sendable {
        /// The `iss` of its tokens, byte for byte.
        public var name: String
        /// A token must name one of these in its `aud`.
        public var audiences: Set<String>
        /// Its key set (JWKS): a path, or a URL with https; http is taken for this machine alone.
        public var keys: String

        public init(name: String, audiences: Set<String>, keys: String) {
            self.name = name
            self.audiences = audiences
            self.keys = keys
        }
    }

    public struct FirstUser: Sendable {
        public var name: String
        /// Printable ASCII, 1 to 1,024 characters.
        public var password: String

        public init(name: String, password: String) {
            self.name = name
            self.password = password
        }
    }

    /// TLS on the listener: versions 1.2 and 1.3. The files are read again when they change.
    public struct TLS: Sendable {
        public enum ClientCertificate: String, CaseIterable, Sendable {
            /// Not asked for.
            case none
            /// Asked for; who has none is nobody in particular.
            case requested
            /// Who has none does not come in.
            case required
        }

        /// What of a client's certificate is its name.
        public enum PrincipalSource: String, CaseIterable, Sendable {
            /// The whole subject, as RFC 2253 writes it: `User:CN=alice,O=Example`.
            case subject
            /// Its common name alone: `User:alice`.
            case commonName = "cn"
        }

        /// The listener's certificate, and those between it and the root, in PEM.
        public var certificateFile: String
        /// Its private key, in PEM, without a passphrase.
        public var keyFile: String
        /// Certificates, in PEM, that clients' are signed by.
        public var clientAuthorityFile: String?
        public var clientCertificate = ClientCertificate.none
        public var principal = PrincipalSource.subject

        public init(certificateFile: String, keyFile: String) {
            self.certificateFile = certificateFile
            self.keyFile = keyFile
        }
    }
}

extension ServerConfiguration {
    /// Whether clients have to say who they are, and rules say what they may do.
    var isAuthenticating: Bool {
        !self.authentication.mechanisms.isEmpty || (self.tls?.clientCertificate ?? .none) != .none
    }

    /// Why it may not listen where other machines reach it; nil: it may.
    var dangerInPublic: String? {
        guard self.isAuthenticating else {
            return "there is no authentication: anybody could read, write and delete everything"
        }
        guard self.tls == nil else { return nil }
        let isScramAlone = self.authentication.mechanisms.isSubset(of: [.scramSHA256, .scramSHA512])
        guard isScramAlone, self.authentication.allowsScramInClear else {
            return "there is no TLS: whoever listens sees, and can change, everything"
        }
        return nil
    }

    /// Of each listener.
    var caps: ConnectionCaps.Rules {
        ConnectionCaps.Rules(total: self.connectionsMax, perAddress: self.connectionsPerAddressMax)
    }
}
