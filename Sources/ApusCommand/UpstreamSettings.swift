/// What `apus serve --roles edge` was told about its brokers: part of ``ServeSettings``.
package struct UpstreamSettings: Hashable, Sendable {
    /// As `host:port`.
    package var servers: [String]
    package var security: ConnectionSecurity

    package static let known: [Setting] = [
        Setting("roles", "WORD", "broker", "what runs here: broker, or edge (an endpoint server alone)"),
        Setting("upstream", "HOST:PORT,…", "", "brokers that an endpoint server asks first"),
        Setting("upstream-user", "NAME", "", "as whom it logs in there; it needs CLUSTER_ACTION on the cluster"),
        Setting("upstream-password-file", "FILE", "", "file with that user's password on its first line"),
        Setting("upstream-mechanism", "WORD", "scram-sha-512", "how it logs in: scram-sha-512, scram-sha-256 or plain"),
        Setting("upstream-token-file", "FILE", "", "file with a token (JWT) to log in with instead"),
        Setting("upstream-tls", nil, "false", "reach brokers over TLS"),
        Setting("upstream-ca", "FILE", "", "certificates that the brokers' must be signed by, in PEM: turns TLS on"),
    ]

    /// Nil: a broker runs here.
    init?(_ values: SettingValues) throws(CommandFailure) {
        let role = try values.word("roles", among: ["broker", "edge"])
        self.servers = values.list("upstream")
        var security = ConnectionSecurity()
        security.user = values.optional("upstream-user")
        security.passwordFile = values.optional("upstream-password-file")
        security.tokenFile = values.optional("upstream-token-file")
        security.tls = try values.flag("upstream-tls")
        security.ca = values.optional("upstream-ca")
        let mechanism = try values.word(
            "upstream-mechanism", among: ConnectionSecurity.Mechanism.allCases.map(\.rawValue))
        self.security = security
        guard role == "edge" else {
            let isSaid = !self.servers.isEmpty || security != ConnectionSecurity()
            if isSaid { throw .usage("the --upstream settings are an endpoint server's", next: "--roles edge") }
            return nil
        }
        guard !self.servers.isEmpty else {
            throw .usage("an endpoint server has no records of its own", next: "--upstream HOST:PORT")
        }
        for server in self.servers { _ = try HostPort(server) }
        guard (security.user == nil) == (security.passwordFile == nil) else {
            throw .usage("--upstream-user goes with --upstream-password-file", next: "say both, or neither")
        }
        guard security.user == nil || security.tokenFile == nil else {
            throw .usage("--upstream-user and --upstream-token-file exclude each other", next: "leave one of them out")
        }
        if security.user != nil { self.security.mechanism = ConnectionSecurity.Mechanism(rawValue: mechanism) }
    }
}
