package import ApusAccess
import ApusCore
import NIOCore
package import NIOSSL

/// TLS on a listener. Any thread.
package struct ListenerTLS: Sendable {
    /// What of a client's certificate is its principal's name.
    package enum Name: Sendable {
        /// The whole subject (RFC 2253), as Kafka does it.
        case subject
        case commonName
    }

    /// Asked for each new connection, so that a new certificate is shown from then on, and those connected stay so.
    package var context: @Sendable () -> NIOSSLContext
    package var name: Name
    /// Clients are asked for a certificate.
    package var asksForCertificate: Bool

    package init(
        name: Name = .subject, asksForCertificate: Bool = false, context: @escaping @Sendable () -> NIOSSLContext
    ) {
        self.context = context
        self.name = name
        self.asksForCertificate = asksForCertificate
    }

    /// Nil when the certificate has no such name, or one that nobody can have.
    package func principal(of certificate: NIOSSLCertificate) -> Principal? {
        guard let bytes = try? certificate.toDERBytes(), let subject = CertificateSubject(certificate: bytes) else {
            return nil
        }
        switch self.name {
        case .subject: return Principal(user: subject.text)
        case .commonName: return subject.commonName.flatMap { Principal(user: $0) }
        }
    }
}

/// Where a connection stands with TLS.
enum TLSProgress {
    case none
    /// Since that sweep of its loop.
    case handshake(sinceSweep: UInt64)
    case established
}
