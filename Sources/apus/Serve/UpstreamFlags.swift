import ApusCommand
import ArgumentParser

/// The settings of an endpoint server's brokers, as flags.
struct UpstreamFlags: ParsableArguments {
    @Option(help: ArgumentHelp(.init(Setting.help("roles")), valueName: "word"))
    var roles: String?
    @Option(help: ArgumentHelp(.init(Setting.help("upstream")), valueName: "host:port,…"))
    var upstream: String?
    @Option(help: ArgumentHelp(.init(Setting.help("upstream-user")), valueName: "name"))
    var upstreamUser: String?
    @Option(help: ArgumentHelp(.init(Setting.help("upstream-password-file")), valueName: "file"))
    var upstreamPasswordFile: String?
    @Option(help: ArgumentHelp(.init(Setting.help("upstream-mechanism")), valueName: "word"))
    var upstreamMechanism: String?
    @Option(help: ArgumentHelp(.init(Setting.help("upstream-token-file")), valueName: "file"))
    var upstreamTokenFile: String?
    @Flag(help: ArgumentHelp(.init(Setting.help("upstream-tls"))))
    var upstreamTls = false
    @Option(help: ArgumentHelp(.init(Setting.help("upstream-ca")), valueName: "file"))
    var upstreamCa: String?

    /// What was said, by the name of the setting.
    var texts: [(String, String?)] {
        [
            ("roles", self.roles), ("upstream", self.upstream), ("upstream-user", self.upstreamUser),
            ("upstream-password-file", self.upstreamPasswordFile), ("upstream-mechanism", self.upstreamMechanism),
            ("upstream-token-file", self.upstreamTokenFile), ("upstream-ca", self.upstreamCa),
        ]
    }
}
