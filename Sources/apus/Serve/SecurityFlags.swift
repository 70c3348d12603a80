import ApusCommand
import ArgumentParser

/// The settings of who may come in, as flags.
struct SecurityFlags: ParsableArguments {
    @Option(help: ArgumentHelp(.init(Setting.help("auth")), valueName: "list"))
    var auth: String?
    @Option(help: ArgumentHelp(.init(Setting.help("super-user")), valueName: "names"))
    var superUser: String?
    @Option(help: ArgumentHelp(.init(Setting.help("bootstrap-user")), valueName: "name"))
    var bootstrapUser: String?
    @Option(help: ArgumentHelp(.init(Setting.help("bootstrap-password-file")), valueName: "file"))
    var bootstrapPasswordFile: String?
    @Option(help: ArgumentHelp(.init(Setting.help("session-max")), valueName: "duration"))
    var sessionMax: String?
    @Flag(help: ArgumentHelp(.init(Setting.help("scram-in-clear"))))
    var scramInClear = false
    @Option(help: ArgumentHelp(.init(Setting.help("jwks")), valueName: "file|url"))
    var jwks: String?
    @Option(help: ArgumentHelp(.init(Setting.help("jwt-issuer")), valueName: "text"))
    var jwtIssuer: String?
    @Option(help: ArgumentHelp(.init(Setting.help("jwt-audience")), valueName: "names"))
    var jwtAudience: String?
    @Option(help: ArgumentHelp(.init(Setting.help("tls-cert")), valueName: "file"))
    var tlsCert: String?
    @Option(help: ArgumentHelp(.init(Setting.help("tls-key")), valueName: "file"))
    var tlsKey: String?
    @Option(help: ArgumentHelp(.init(Setting.help("tls-client-ca")), valueName: "file"))
    var tlsClientCa: String?
    @Option(help: ArgumentHelp(.init(Setting.help("tls-client-auth")), valueName: "word"))
    var tlsClientAuth: String?
    @Option(help: ArgumentHelp(.init(Setting.help("tls-principal")), valueName: "word"))
    var tlsPrincipal: String?

    /// What was said, by the name of the setting.
    var texts: [(String, String?)] {
        [
            ("auth", self.auth),
            ("super-user", self.superUser),
            ("bootstrap-user", self.bootstrapUser),
            ("bootstrap-password-file", self.bootstrapPasswordFile),
            ("session-max", self.sessionMax),
            ("jwks", self.jwks),
            ("jwt-issuer", self.jwtIssuer),
            ("jwt-audience", self.jwtAudience),
            ("tls-cert", self.tlsCert),
            ("tls-key", self.tlsKey),
            ("tls-client-ca", self.tlsClientCa),
            ("tls-client-auth", self.tlsClientAuth),
            ("tls-principal", self.tlsPrincipal),
        ]
    }
}
