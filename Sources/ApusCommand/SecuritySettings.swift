/// What `apus serve` was told about who may come in: part of ``ServeSettings``.
package struct SecuritySettings: Hashable, Sendable {
    /// SASL mechanisms by their names on the wire; none: nobody has to log in.
    package var mechanisms: Set<String> = []
    package var allowsScramInClear = false
    package var sessionLifetimeMax: Duration?
    package var superUsers: [String] = []
    /// Path or URL of the key set.
    package var tokenKeys: String?
    package var tokenIssuer = ""
    package var tokenAudiences: [String] = []
    package var firstUser: String?
    package var firstPasswordFile: String?
    package var certificateFile: String?
    package var keyFile: String?
    package var clientAuthorityFile: String?
    /// `none`, `requested` or `required`.
    package var clientCertificate = "none"
    /// `subject` or `cn`.
    package var principal = "subject"

    package static let known: [Setting] = [
        Setting(
            "auth", "LIST", "none",
            "how clients log in, with commas between: scram, scram-sha-256, scram-sha-512, plain, oauth"),
        Setting("super-user", "NAMES", "", "users who may do everything, with semicolons between"),
        Setting("bootstrap-user", "NAME", "", "user with every right, made at a start that finds no user"),
        Setting("bootstrap-password-file", "FILE", "", "file with that user's password on its first line"),
        Setting("session-max", "DURATION", "", "how long a login holds before it must be renewed"),
        Setting("scram-in-clear", nil, "false", "let scram log in without TLS on a public address"),
        Setting("jwks", "FILE|URL", "", "key set (JWKS) by which tokens of --auth oauth are checked"),
        Setting("jwt-issuer", "TEXT", "", "the iss that tokens must have"),
        Setting("jwt-audience", "NAMES", "", "the aud of which tokens must name one, with commas between"),
        Setting("tls-cert", "FILE", "", "certificate and those up to its root, in PEM: turns TLS on"),
        Setting("tls-key", "FILE", "", "private key of the certificate, in PEM"),
        Setting("tls-client-ca", "FILE", "", "certificates that clients' must be signed by, in PEM"),
        Setting("tls-client-auth", "WORD", "none", "clients' certificates: none, requested or required"),
        Setting("tls-principal", "WORD", "subject", "what of a client's certificate is its name: subject or cn"),
    ]

    init(_ values: SettingValues) throws(CommandFailure) {
        self.mechanisms = try values.parsed("auth") { text throws(CommandFailure) in try Self.mechanisms(text) }
        // As Kafka has it: a certificate's subject has commas in it.
        self.superUsers = values.text("super-user").split(separator: ";").map { String($0) }
        self.allowsScramInClear = try values.flag("scram-in-clear")
        if !values.text("session-max").isEmpty {
            self.sessionLifetimeMax = try values.parsed("session-max") { text throws(CommandFailure) in
                try Quantity.duration(text)
            }
        }
        self.tokenKeys = values.optional("jwks")
        self.tokenIssuer = values.text("jwt-issuer")
        self.tokenAudiences = values.list("jwt-audience")
        self.firstUser = values.optional("bootstrap-user")
        self.firstPasswordFile = values.optional("bootstrap-password-file")
        self.certificateFile = values.optional("tls-cert")
        self.keyFile = values.optional("tls-key")
        self.clientAuthorityFile = values.optional("tls-client-ca")
        self.clientCertificate = try values.word("tls-client-auth", among: ["none", "requested", "required"])
        self.principal = try values.word("tls-principal", among: ["subject", "cn"])
        try self.check()
    }

    /// What only makes sense together.
    private func check() throws(CommandFailure) {
        func pair(_ one: String, _ isOne: Bool, _ other: String, _ isOther: Bool) throws(CommandFailure) {
            guard isOne != isOther else { return }
            throw .usage("--\(isOne ? one : other) goes with --\(isOne ? other : one)", next: "say both, or neither")
        }
        try pair("tls-cert", self.certificateFile != nil, "tls-key", self.keyFile != nil)
        try pair("bootstrap-user", self.firstUser != nil, "bootstrap-password-file", self.firstPasswordFile != nil)
        let isAsking = self.clientCertificate != "none"
        if isAsking, self.certificateFile == nil {
            throw .usage("clients' certificates need TLS", next: "--tls-cert FILE --tls-key FILE")
        }
        if isAsking, self.clientAuthorityFile == nil {
            throw .usage("clients' certificates can not be checked without their CA", next: "--tls-client-ca FILE")
        }
        if self.clientAuthorityFile != nil, !isAsking {
            throw .usage(
                "--tls-client-ca does nothing while clients are not asked for a certificate",
                next: "--tls-client-auth required")
        }
        let takesTokens = self.mechanisms.contains("OAUTHBEARER")
        let hasTokens = self.tokenKeys != nil && !self.tokenIssuer.isEmpty && !self.tokenAudiences.isEmpty
        if takesTokens, !hasTokens {
            throw .usage(
                "tokens can not be checked without the issuer's keys",
                next: "--jwks FILE|URL --jwt-issuer TEXT --jwt-audience NAME")
        }
        if !takesTokens, self.tokenKeys != nil || !self.tokenIssuer.isEmpty || !self.tokenAudiences.isEmpty {
            throw .usage("--jwks and the --jwt settings are for logins with tokens", next: "--auth oauth")
        }
        guard self.firstUser == nil || self.mechanisms.contains(where: { $0 != "OAUTHBEARER" }) else {
            throw .usage("a first user has a password, and nobody may log in with one", next: "--auth scram")
        }
    }

    private static func mechanisms(_ text: String) throws(CommandFailure) -> Set<String> {
        var mechanisms: Set<String> = []
        for word in text.split(separator: ",").map({ $0.lowercased() }) where word != "none" {
            switch word {
            case "scram": mechanisms.formUnion(["SCRAM-SHA-256", "SCRAM-SHA-512"])
            case "scram-sha-256", "scram-sha-512", "plain": mechanisms.insert(word.uppercased())
            case "oauth", "oauthbearer": mechanisms.insert("OAUTHBEARER")
            default:
                throw .usage(
                    "\"\(word)\" is no way to log in",
                    next: "none, or some of scram, scram-sha-256, scram-sha-512, plain, oauth")
            }
        }
        return mechanisms
    }

    /// Why an address that other machines reach is refused; nil: it is not.
    package var dangerInPublic: String? {
        let hasTLS = self.certificateFile != nil
        guard !self.mechanisms.isEmpty || (hasTLS && self.clientCertificate != "none") else {
            return "there is no authentication: anybody could read, write and delete everything"
        }
        guard !hasTLS else { return nil }
        let isScramAlone = self.mechanisms.isSubset(of: ["SCRAM-SHA-256", "SCRAM-SHA-512"])
        return isScramAlone && self.allowsScramInClear
            ? nil : "there is no TLS: whoever listens sees, and can change, everything"
    }
}
