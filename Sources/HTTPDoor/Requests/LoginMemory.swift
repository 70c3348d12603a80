import ApusBroker
import ApusCore
import Crypto
import Synchronization
import WebFormats

/// Whom an `Authorization` header was found to name, for a moment: to hash a password takes milliseconds, and a client
/// sends it with every request.
///
/// The header itself is not kept, only its digest under a key of this process. Any thread.
final class LoginMemory: Sendable {
    struct Known: Sendable {
        var client: ClientContext
        var session: WebSession
        var until: Instant
    }

    private let key = SymmetricKey(size: .bits256)
    private let known = Mutex<[Digest: Known]>([:])

    struct Digest: Hashable, Sendable {
        fileprivate let bytes: [UInt8]
    }

    /// - Parameter place: what the answer depends on besides, the transport and the address.
    func digest(_ authorization: String, at place: String) -> Digest {
        let text = Array(place.utf8) + [0] + Array(authorization.utf8)
        return Digest(bytes: Array(HMAC<SHA256>.authenticationCode(for: text, using: self.key)))
    }

    func find(_ digest: Digest, at now: Instant, wall: Timestamp) -> Known? {
        self.known.withLock { known in
            guard let found = known[digest] else { return nil }
            guard now < found.until, found.session.expires.map({ wall < $0 }) ?? true else {
                known[digest] = nil
                return nil
            }
            return found
        }
    }

    func keep(_ digest: Digest, _ entry: Known, at now: Instant) {
        self.known.withLock { known in
            if known.count >= Limits.connectionsMax { known = known.filter { now < $0.value.until } }
            guard known.count < Limits.connectionsMax else { return }
            known[digest] = entry
        }
    }
}
