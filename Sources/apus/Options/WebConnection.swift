import ApusCommand
import NIOCore
import NIOPosix
import NIOSSL

/// A connection to where HTTP is served, for the few commands that do not speak the Kafka protocol.
enum WebConnection {
    /// - Throws: what the system says, when nobody answers; `NIOSSLError` for a certificate file that is none.
    static func open(
        _ address: HostPort, isSecure: Bool, _ security: ConnectionSecurity
    ) async throws -> NIOAsyncChannel<ByteBuffer, ByteBuffer> {
        let tls = try isSecure ? self.tls(security) : nil
        return try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connectTimeout(.seconds(10))
            .connect(host: address.host, port: address.port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls {
                        let name = self.isNumeric(address.host) ? nil : address.host
                        let handler = try NIOSSLClientHandler(context: tls, serverHostname: name)
                        try channel.pipeline.syncOperations.addHandler(handler)
                    }
                    return try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                }
            }
    }

    /// A certificate is asked for by a name only.
    private static func isNumeric(_ host: String) -> Bool {
        // `try?`: a name is no address, which is the question.
        (try? SocketAddress(ipAddress: host, port: 0)) != nil
    }

    private static func tls(_ security: ConnectionSecurity) throws -> NIOSSLContext {
        var configuration = TLSConfiguration.makeClientConfiguration()
        if let file = security.ca { configuration.trustRoots = .file(file) }
        if security.tlsInsecure { configuration.certificateVerification = .none }
        return try NIOSSLContext(configuration: configuration)
    }

    /// What goes behind `Authorization:`; nil: nobody logs in.
    /// - Parameter flag: how to say that the connection is to be TLS.
    static func authorization(
        _ security: ConnectionSecurity, at address: HostPort, isSecure: Bool, flag: String
    ) throws -> String? {
        guard security.tokenFile != nil || security.user != nil else { return nil }
        guard isSecure || address.isLoopback else {
            throw CommandFailure.usage("the login would go over the network in clear", next: flag)
        }
        if let file = security.tokenFile { return "Bearer \(try SecretFile.line(of: file))" }
        let user = security.user ?? ""
        let password =
            try security.passwordFile.map { try SecretFile.line(of: $0) } ?? PasswordPrompt.ask("Password of \(user): ")
        return "Basic \(Base64.encoded("\(user):\(password)".utf8))"
    }
}
