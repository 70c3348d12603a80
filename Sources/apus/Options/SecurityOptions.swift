import ApusClient
import ApusCommand
import ArgumentParser
import Foundation

/// How to reach the cluster safely, and who to be there.
struct SecurityOptions: ParsableArguments {
    @Flag(help: "Talk to the brokers over TLS. [env: APUS_TLS]")
    var tls = false

    @Option(
        help: ArgumentHelp(
            "Certificates, in PEM, that the brokers' must be signed by; turns TLS on. [env: APUS_TLS_CA] "
                + "[default: the system's]", valueName: "file"))
    var tlsCa: String?

    @Option(help: ArgumentHelp("Certificate of your own, in PEM. [env: APUS_TLS_CERT]", valueName: "file"))
    var tlsCert: String?

    @Option(help: ArgumentHelp("Its private key, in PEM. [env: APUS_TLS_KEY]", valueName: "file"))
    var tlsKey: String?

    @Flag(help: "Take any certificate: anybody between can be the broker.")
    var tlsInsecure = false

    @Option(help: ArgumentHelp("Log in as. [env: APUS_USER]", valueName: "name"))
    var user: String?

    @Option(
        help: ArgumentHelp(
            "File with the password on its first line; without it you are asked. [env: APUS_PASSWORD_FILE]",
            valueName: "file"))
    var passwordFile: String?

    @Option(
        help: ArgumentHelp(
            "scram-sha-512, scram-sha-256 or plain. [env: APUS_MECHANISM] [default: scram-sha-512]",
            valueName: "name"))
    var mechanism: ConnectionSecurity.Mechanism?

    @Option(
        help: ArgumentHelp("Log in with the token in this file. [env: APUS_TOKEN_FILE]", valueName: "file"))
    var tokenFile: String?

    /// What was said on the command line.
    var given: ConnectionSecurity {
        var given = ConnectionSecurity()
        given.tls = self.tls
        given.ca = self.tlsCa
        given.cert = self.tlsCert
        given.key = self.tlsKey
        given.tlsInsecure = self.tlsInsecure
        given.user = self.user
        given.passwordFile = self.passwordFile
        given.mechanism = self.mechanism
        given.tokenFile = self.tokenFile
        return given
    }

    /// The same, good in any directory: for a context.
    var absolute: ConnectionSecurity {
        func absolute(_ path: String?) -> String? { path.map { URL(filePath: $0).absoluteURL.path } }
        var security = self.given
        security.ca = absolute(security.ca)
        security.cert = absolute(security.cert)
        security.key = absolute(security.key)
        security.passwordFile = absolute(security.passwordFile)
        security.tokenFile = absolute(security.tokenFile)
        return security
    }
}

extension ConnectionSecurity.Mechanism: ExpressibleByArgument {}

extension ClientConfiguration {
    /// Reads the files, and asks for a password that is in none.
    mutating func secure(_ security: ConnectionSecurity) throws(CommandFailure) {
        try security.check()
        if security.usesTLS {
            var tls = TLS()
            tls.authorityFile = security.ca
            tls.certificateFile = security.cert
            tls.keyFile = security.key
            tls.verifiesServer = !security.tlsInsecure
            self.tls = tls
        }
        if let file = security.tokenFile {
            // Read anew for every login: whoever renews it writes it there.
            self.login = .token { try SecretFile.line(of: file) }
        } else if let user = security.user {
            let secret: String
            if let file = security.passwordFile {
                secret = try SecretFile.line(of: file)
            } else {
                secret = try PasswordPrompt.ask("Password of \(user): ")
            }
            self.login =
                switch security.mechanism ?? .scramSHA512 {
                case .scramSHA512: .scramSHA512(user: user, password: secret)
                case .scramSHA256: .scramSHA256(user: user, password: secret)
                case .plain: .plain(user: user, password: secret)
                }
        }
    }
}
