extension ClientConfiguration {
    /// TLS to the brokers, versions 1.2 and 1.3.
    public struct TLS: Sendable {
        /// Certificates, in PEM, that a broker's must be signed by; nil: those the system trusts.
        public var authorityFile: String?
        /// This client's own certificate and those up to its root, in PEM, where brokers ask for one.
        public var certificateFile: String?
        /// Its private key, in PEM, without a passphrase.
        public var keyFile: String?
        /// Whether a broker's certificate must be signed by one of those trusted, and name the host that was asked for.
        /// Without it anybody between can be the broker.
        public var verifiesServer = true

        public init() {}
    }

    /// How a client says who it is (SASL).
    public enum Login: Sendable {
        case scramSHA512(user: String, password: String)
        case scramSHA256(user: String, password: String)
        /// Shows the password to the broker: only over TLS, or to this machine, else ``ApusError/Code/loginInClear``.
        case plain(user: String, password: String)
        /// A token (JWT), asked for at every login, on a thread that may wait. Shown to the broker: as ``plain``.
        case token(@Sendable () throws -> String)
    }
}
