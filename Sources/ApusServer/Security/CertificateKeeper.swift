import ApusCore
import KafkaDoor
import Logging
import NIOSSL
import Synchronization

/// The listener's certificate and key, read from files and read again when these change. Connections keep what they
/// began with; new ones get the newest that could be read. Files that make no sense together change nothing, and say so
/// once. Owner of the context; any thread, blocking where it reads.
final class CertificateKeeper: Sendable {
    private struct State {
        var context: NIOSSLContext
        var stamps: [WatchedFiles.Stamp]
    }

    private let configuration: ServerConfiguration.TLS
    private let files: WatchedFiles
    private let clock: any Clock
    private let logger: Logger
    private let state: Mutex<State>

    /// Reads the files. Blocking.
    init(_ configuration: ServerConfiguration.TLS, clock: any Clock, logger: Logger) throws(ServerError) {
        if configuration.clientCertificate != .none, configuration.clientAuthorityFile == nil {
            throw ServerError(
                .configuration, "clients' certificates can not be checked without --tls-client-ca FILE")
        }
        self.configuration = configuration
        self.clock = clock
        self.logger = logger
        self.files = WatchedFiles(
            paths: [configuration.certificateFile, configuration.keyFile]
                + (configuration.clientAuthorityFile.map { [$0] } ?? []))
        // Before reading: what changes meanwhile is read again.
        let stamps = self.files.stamps
        self.state = Mutex(State(context: try Self.context(configuration, clock, logger), stamps: stamps))
    }

    var tls: ListenerTLS {
        ListenerTLS(
            name: self.configuration.principal == .subject ? .subject : .commonName,
            asksForCertificate: self.configuration.clientCertificate != .none,
            context: { [self] in self.state.withLock { $0.context } })
    }

    /// Reads the files again if they have changed, or must be. Blocking.
    func look(mustRead: Bool = false) {
        let stamps = self.files.stamps
        guard mustRead || self.state.withLock({ $0.stamps != stamps }) else { return }
        do throws(ServerError) {
            let context = try Self.context(self.configuration, self.clock, self.logger)
            self.state.withLock { $0 = State(context: context, stamps: stamps) }
            self.logger.notice(
                "read the certificate again", metadata: ["file": "\(self.configuration.certificateFile)"])
        } catch {
            // Said once for each state of the files; half of a pair is often there a moment before the other.
            self.state.withLock { $0.stamps = stamps }
            self.logger.error("the old certificate stays in use: \(error.message)")
        }
    }

    private static func context(
        _ configuration: ServerConfiguration.TLS, _ clock: any Clock, _ logger: Logger
    ) throws(ServerError) -> NIOSSLContext {
        let chain = try Self.certificates(in: configuration.certificateFile)
        let keyText = try WatchedFiles.read(configuration.keyFile)
        let key: NIOSSLPrivateKey
        do {
            key = try NIOSSLPrivateKey(bytes: keyText, format: .pem)
        } catch {
            throw ServerError(
                .configuration, "\(configuration.keyFile) holds no private key in PEM without a passphrase",
                cause: error)
        }
        if WatchedFiles.isOpenToOthers(configuration.keyFile) {
            logger.warning("others may read the private key", metadata: ["file": "\(configuration.keyFile)"])
        }
        var tls = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
        tls.minimumTLSVersion = .tlsv12
        if let file = configuration.clientAuthorityFile, configuration.clientCertificate != .none {
            tls.trustRoots = .certificates(try Self.certificates(in: file))
            tls.sendCANameList = true
            tls.certificateVerification =
                configuration.clientCertificate == .required
                ? .noHostnameVerification : .optionalVerification
        }
        let context: NIOSSLContext
        do {
            context = try NIOSSLContext(configuration: tls)
        } catch {
            throw ServerError(
                .configuration,
                "\(configuration.keyFile) is not the key of the first certificate in \(configuration.certificateFile)",
                cause: error)
        }
        Self.warn(chain, configuration.certificateFile, clock, logger)
        return context
    }

    private static func certificates(in file: String) throws(ServerError) -> [NIOSSLCertificate] {
        let text = try WatchedFiles.read(file)
        let certificates: [NIOSSLCertificate]
        do {
            certificates = try NIOSSLCertificate.fromPEMBytes(text)
        } catch {
            throw ServerError(.configuration, "\(file) holds no certificates in PEM", cause: error)
        }
        guard !certificates.isEmpty else { throw ServerError(.configuration, "\(file) holds no certificate") }
        return certificates
    }

    private static func warn(
        _ chain: [NIOSSLCertificate], _ file: String, _ clock: any Clock, _ logger: Logger
    ) {
        guard let end = chain.map({ Int64($0.notValidAfter) }).min() else { return }
        let left = Duration.seconds(end - clock.wallTime.rawValue / 1000)
        guard left < Limits.certificateEndWarning else { return }
        logger.warning(
            left > .zero ? "the certificate ends soon" : "the certificate has ended: clients will refuse it",
            metadata: ["file": "\(file)", "days": "\(left.components.seconds / 86_400)"])
    }
}
