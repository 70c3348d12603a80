package import ApusAccess
package import ApusBroker
package import ApusCore
package import NIOCore
import KafkaWire
import Synchronization

/// What somebody shows to an endpoint server that only brokers can check: as digests, which log in nowhere else.
package enum UpstreamProof: Hashable, Sendable {
    case key(AccessKeyProof)
    /// SHA-256 of a one-time ticket.
    case ticket(digest: [UInt8])
}

/// Who it was.
package struct UpstreamSession: Hashable, Sendable {
    package var principal: Principal
    package var mechanism: SaslMechanism
    /// Nil: as long as nobody says otherwise.
    package var expires: Timestamp?
    /// What bounds him; nil: nothing does.
    package var channels: ChannelGrants?
    package var keyID: String?
}

extension ClusterUpstream {
    /// Whether brokers can be asked whose API key or ticket something is: older ones can not.
    package var checksLogins: Bool { self.desk.shared.withLock { $0.keys.areTold } }

    /// Asks a broker whose it is; nil: nobody's. A ticket is used up by it.
    /// - Parameter address: the client's, for the audit log.
    package func check(
        _ proof: UpstreamProof, from address: String, on loop: any EventLoop,
        then: @escaping @Sendable (Result<UpstreamSession?, BrokerError>) -> Void
    ) {
        var request = CheckEdgeLoginRequest()
        request.address = address
        switch proof {
        case .key(let key):
            request.keyID = key.id
            request.digest = ByteBuffer(bytes: key.digest)
        case .ticket(let digest): request.digest = ByteBuffer(bytes: digest)
        }
        let desk = self.desk
        self.ask(request, on: loop, then: then) { answer in
            if answer.errorCode == .saslAuthenticationFailed { return .success(nil) }
            if let error = BrokerError(answer.errorCode, answer.errorMessage) { return .failure(error) }
            guard let session = UpstreamSession(answer) else {
                return .failure(.invalidRequest("a broker tells of a login that can not be read"))
            }
            if let id = session.keyID {
                desk.shared.withLock { $0.keys.vouch(for: id, version: answer.keysVersion) }
            }
            return .success(session)
        }
    }
}

extension UpstreamSession {
    /// Nil for what no broker says: half of it could allow too much.
    fileprivate init?(_ answer: CheckEdgeLoginResponse) {
        guard answer.principal.hasPrefix("User:"), let principal = Principal(parsing: answer.principal),
            principal != .everybody, let mechanism = SaslMechanism(rawValue: answer.mechanism)
        else { return nil }
        self.principal = principal
        self.mechanism = mechanism
        self.expires = answer.expiresMs < 0 ? nil : Timestamp(rawValue: answer.expiresMs)
        self.keyID = answer.keyID
        guard answer.isBounded else { return }
        do throws(TokenRefusal) {
            self.channels = try ChannelGrants(read: answer.read, write: answer.write, subscribe: answer.subscribe)
        } catch {
            return nil
        }
    }
}
