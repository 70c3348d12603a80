import ApusCore
import NIOCore
import NIOPosix
import NIOSSL

/// Makes the TCP connection, and TLS on it.
enum BrokerSocket {
    static func connect(
        to address: ServerAddress, handler: BrokerConnection, configuration: ClientConfiguration, tls: BrokerTLS?,
        on loop: any EventLoop
    ) -> EventLoopFuture<any Channel> {
        let context = tls?.context(on: loop) ?? loop.makeSucceededFuture(nil)
        return context.flatMap { context in
            let bootstrap = ClientBootstrap(group: loop)
                .connectTimeout(.nanoseconds(configuration.connectTimeout.wholeNanoseconds))
                .channelOption(.tcpOption(.tcp_nodelay), value: configuration.sendsWithoutDelay ? 1 : 0)
                .channelOption(.socketOption(.so_keepalive), value: 1)
                .channelOption(.maxMessagesPerRead, value: 16)
            // Under TLS what is read from the socket is no answer yet, so its length says nothing.
            let sized =
                context == nil ? bootstrap.channelOption(.recvAllocator, value: handler.readAllocator) : bootstrap
            return sized.channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let context {
                        try channel.pipeline.syncOperations.addHandler(Self.handler(context, for: address))
                    }
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
            }
            .connect(host: address.host, port: address.port)
            .map { $0 }
        }
    }

    /// An address is no server name (RFC 6066); the certificate is held against it all the same.
    private static func handler(_ context: NIOSSLContext, for address: ServerAddress) throws -> NIOSSLClientHandler {
        let isAddress = (try? SocketAddress(ipAddress: address.host, port: address.port)) != nil
        return try NIOSSLClientHandler(context: context, serverHostname: isAddress ? nil : address.host)
    }

    /// What failed in TLS, in words; nil when something else did.
    static func tlsFailure(_ error: any Error) -> String? {
        switch error {
        case NIOSSLError.handshakeFailed(let failure):
            let words = "\(failure)"
            if words.contains("EOF during handshake") { return nil }
            if words.contains("WRONG_VERSION_NUMBER") { return "the broker does not speak TLS here" }
            if words.contains("CERTIFICATE_VERIFY_FAILED") {
                return "the broker's certificate is not signed by anybody trusted, or is not valid now"
            }
            if words.contains("CERTIFICATE_REQUIRED") || words.contains("HANDSHAKE_FAILURE") {
                return "the broker asks for a certificate of ours"
            }
            return "the handshake failed: \(words)"
        case NIOSSLError.unableToValidateCertificate, is NIOSSLExtraError:
            return "the broker's certificate does not name the host that was asked for"
        case BoringSSLError.sslError(let stack):
            let words = "\(stack)"
            return words.contains("ALERT") ? "the broker refused the connection: \(words)" : nil
        default: return nil
        }
    }
}

/// The client's side of TLS, read from its files when it is first needed. Any thread.
final class BrokerTLS: Sendable {
    private let configuration: ClientConfiguration.TLS

    init?(_ configuration: ClientConfiguration.TLS?) {
        guard let configuration else { return nil }
        self.configuration = configuration
    }

    /// Read anew for every connection, on a thread that may wait: so a new certificate needs no new client.
    func context(on loop: any EventLoop) -> EventLoopFuture<NIOSSLContext?> {
        let configuration = self.configuration
        return NIOThreadPool.singleton.runIfActive(eventLoop: loop) { try Self.make(configuration) }
    }

    private static func make(_ configuration: ClientConfiguration.TLS) throws -> NIOSSLContext {
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.minimumTLSVersion = .tlsv12
        tls.certificateVerification = configuration.verifiesServer ? .fullVerification : .none
        func failure(_ file: String, _ error: any Error) -> ApusError {
            ApusError(.invalidArgument, "\(file) can not be read, or is not PEM of what it should be", cause: error)
        }
        if let file = configuration.authorityFile {
            do { tls.trustRoots = .certificates(try NIOSSLCertificate.fromPEMFile(file)) } catch {
                throw failure(file, error)
            }
        }
        guard (configuration.certificateFile != nil) == (configuration.keyFile != nil) else {
            throw ApusError(.invalidArgument, "a certificate goes with its key")
        }
        if let file = configuration.certificateFile, let keyFile = configuration.keyFile {
            do { tls.certificateChain = try NIOSSLCertificate.fromPEMFile(file).map { .certificate($0) } } catch {
                throw failure(file, error)
            }
            do { tls.privateKey = .privateKey(try NIOSSLPrivateKey(file: keyFile, format: .pem)) } catch {
                throw failure(keyFile, error)
            }
        }
        do { return try NIOSSLContext(configuration: tls) } catch {
            throw ApusError(.invalidArgument, "the key is not the certificate's", cause: error)
        }
    }
}
