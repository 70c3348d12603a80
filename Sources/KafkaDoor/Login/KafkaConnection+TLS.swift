import ApusAccess
import ApusBroker
import ApusCore
import NIOCore
import NIOSSL
import NIOTLS

/// What a connection over TLS does besides: its handshake has an end, and a certificate may say who the client is.
extension KafkaConnection {
    var isInHandshake: Bool {
        if case .handshake = self.tls { true } else { false }
    }

    func handshakeCompleted(_ context: ChannelHandlerContext) {
        self.tls = .established
        guard self.login == nil else { return }
        self.countAsIn()
        guard let tls = self.door.tls, tls.asksForCertificate else { return }
        // Without the handler there is no TLS, and without a certificate nobody in particular.
        let handler = try? context.pipeline.syncOperations.handler(type: NIOSSLServerHandler.self)
        guard let certificate = handler?.peerCertificate else { return }
        guard let principal = tls.principal(of: certificate) else {
            return self.close(because: "its certificate's subject can not be a name here")
        }
        self.identify(as: principal)
        self.door.loginEnded(LoginReport(outcome: .certified(principal), address: self.client.address))
    }

    /// The one line for a handshake that failed.
    func handshakeFailed(_ error: any Error) {
        guard case NIOSSLError.handshakeFailed(let failure) = error else {
            // The socket's own failures are a client that went away: no news.
            return self.close()
        }
        let words = "\(failure)"
        let isPlain = ["WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST"].contains { words.contains($0) }
        self.close(
            because: isPlain
                ? "it does not speak TLS, and this listener does" : "TLS handshake: \(Self.reasons(failure))")
    }

    /// Called with every sweep: ends the connection of a client that does not finish its handshake.
    func endLateHandshake(at sweep: UInt64) {
        guard case .handshake(let began) = self.tls else { return }
        let patience = Limits.tlsHandshakeWaitMax.wholeMilliseconds / Limits.connectionSweepPeriod.wholeMilliseconds
        if sweep - began >= UInt64(max(1, patience)) { self.close(because: "the TLS handshake took too long") }
    }

    /// BoringSSL's own words, without the addresses of its source.
    private static func reasons(_ failure: BoringSSLError) -> String {
        guard case .sslError(let stack) = failure else { return "\(failure)" }
        let reasons = stack.map { error -> String in
            let parts = error.description.split(separator: ":")
            return parts.first { $0.allSatisfy { $0.isUppercase || $0 == "_" || $0.isNumber } && $0.count > 3 }
                .map { String($0) } ?? error.description
        }
        return reasons.isEmpty ? "failed" : reasons.joined(separator: ", ")
    }
}
