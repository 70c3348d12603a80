/// How a command reaches its cluster safely, and who it says it is: part of ``ConnectionChoice`` and of a context.
/// Files are named, never what is in them.
package struct ConnectionSecurity: Hashable, Sendable {
    package enum Mechanism: String, CaseIterable, Sendable {
        case scramSHA512 = "scram-sha-512"
        case scramSHA256 = "scram-sha-256"
        case plain
    }

    package var tls = false
    /// Certificates that the brokers' must be signed by; nil: those the system trusts.
    package var ca: String?
    package var cert: String?
    package var key: String?
    /// Take any certificate.
    package var tlsInsecure = false
    package var user: String?
    package var passwordFile: String?
    package var mechanism: Mechanism?
    package var tokenFile: String?

    package init() {}

    /// With what is said here in place of what was said there.
    package func over(_ other: ConnectionSecurity) -> ConnectionSecurity {
        var result = other
        result.tls = self.tls || other.tls
        result.ca = self.ca ?? other.ca
        result.cert = self.cert ?? other.cert
        result.key = self.key ?? other.key
        result.tlsInsecure = self.tlsInsecure || other.tlsInsecure
        result.mechanism = self.mechanism ?? other.mechanism
        // One who says who he is means nobody else's secret.
        if self.user != nil || self.tokenFile != nil {
            (result.user, result.passwordFile, result.tokenFile) = (self.user, self.passwordFile, self.tokenFile)
            if self.user == other.user { result.passwordFile = self.passwordFile ?? other.passwordFile }
        } else {
            result.passwordFile = self.passwordFile ?? other.passwordFile
        }
        return result
    }

    /// What the environment says: APUS_TLS, APUS_TLS_CA, APUS_USER, …
    package init(environment: [String: String]) throws(CommandFailure) {
        switch environment["APUS_TLS"]?.lowercased() {
        case nil, "", "false", "no", "off", "0": break
        case "true", "yes", "on", "1": self.tls = true
        case let other?: throw .usage("APUS_TLS: \"\(other)\" is neither true nor false")
        }
        self.ca = environment["APUS_TLS_CA"]
        self.cert = environment["APUS_TLS_CERT"]
        self.key = environment["APUS_TLS_KEY"]
        self.user = environment["APUS_USER"]
        self.passwordFile = environment["APUS_PASSWORD_FILE"]
        self.tokenFile = environment["APUS_TOKEN_FILE"]
        if let text = environment["APUS_MECHANISM"] {
            guard let mechanism = Mechanism(rawValue: text) else { throw Self.noMechanism(text) }
            self.mechanism = mechanism
        }
    }

    /// What only makes sense together.
    package func check() throws(CommandFailure) {
        if (self.cert == nil) != (self.key == nil) {
            throw .usage("--tls-cert goes with --tls-key", next: "say both, or neither")
        }
        if self.user != nil, self.tokenFile != nil {
            throw .usage("--user and --token-file exclude each other", next: "a token says whose it is")
        }
        if self.passwordFile != nil, self.user == nil {
            throw .usage("--password-file is whose?", next: "--user NAME")
        }
        if self.mechanism != nil, self.user == nil {
            throw .usage("--mechanism is for logins with a password", next: "--user NAME")
        }
        if self.tlsInsecure, self.ca != nil {
            throw .usage(
                "--tls-insecure takes any certificate, so --tls-ca does nothing", next: "leave one of them out")
        }
    }

    /// Anything that only TLS can do turns it on.
    package var usesTLS: Bool {
        self.tls || self.ca != nil || self.cert != nil || self.tlsInsecure
    }

    // MARK: In the file of contexts

    package static let keys = [
        "tls", "tls_ca", "tls_cert", "tls_key", "tls_insecure", "user", "password_file", "mechanism", "token_file",
    ]

    /// From the members of a context's JSON; the error says what is wrong with which.
    package init(fields: [String: Any]) throws(CommandFailure) {
        func flag(_ key: String) throws(CommandFailure) -> Bool {
            guard let value = fields[key] else { return false }
            guard let flag = value as? Bool else { throw .usage("\"\(key)\" is true or false") }
            return flag
        }
        func text(_ key: String) throws(CommandFailure) -> String? {
            guard let value = fields[key] else { return nil }
            guard let text = value as? String else { throw .usage("\"\(key)\" is a text") }
            return text
        }
        self.tls = try flag("tls")
        self.tlsInsecure = try flag("tls_insecure")
        self.ca = try text("tls_ca")
        self.cert = try text("tls_cert")
        self.key = try text("tls_key")
        self.user = try text("user")
        self.passwordFile = try text("password_file")
        self.tokenFile = try text("token_file")
        if let name = try text("mechanism") {
            guard let mechanism = Mechanism(rawValue: name) else { throw Self.noMechanism(name) }
            self.mechanism = mechanism
        }
        try self.check()
    }

    package var fields: [(String, JSON)] {
        var fields: [(String, JSON)] = []
        if self.tls { fields.append(("tls", .bool(true))) }
        let texts = [
            ("tls_ca", self.ca), ("tls_cert", self.cert), ("tls_key", self.key), ("user", self.user),
            ("password_file", self.passwordFile), ("mechanism", self.mechanism?.rawValue),
            ("token_file", self.tokenFile),
        ]
        for (name, text) in texts { if let text { fields.append((name, .string(text))) } }
        if self.tlsInsecure { fields.append(("tls_insecure", .bool(true))) }
        return fields
    }

    private static func noMechanism(_ text: String) -> CommandFailure {
        .usage(
            "\"\(text)\" is no mechanism",
            next: Mechanism.allCases.map(\.rawValue).joined(separator: ", ") + " are")
    }
}
