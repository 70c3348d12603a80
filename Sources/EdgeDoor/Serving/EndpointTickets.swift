package import ApusAccess
package import ApusCore
import Crypto
import NIOCore
import Synchronization
package import WebFormats

/// The tickets of one broker, in memory: they live for less than a restart takes to be noticed. Only digests are kept,
/// and by its digest a ticket is taken that was shown to an endpoint server elsewhere.
package final class EndpointTickets: TicketOffice {
    private struct Entry {
        let session: WebSession
        let until: Instant
    }

    private let clock: any Clock
    private let entries = Mutex<[[UInt8]: Entry]>([:])

    package init(clock: any Clock) {
        self.clock = clock
    }

    package func issue(_ session: WebSession, _ then: @escaping @Sendable (_ ticket: String?, Timestamp) -> Void) {
        let random = SymmetricKey(size: SymmetricKeySize(bitCount: Limits.webTicketBytes.rawValue * 8))
        let ticket = random.withUnsafeBytes { Base64.url.encoded(ByteBuffer(bytes: $0)) }
        let now = self.clock.now
        let entry = Entry(session: session, until: now.advanced(by: Limits.webTicketLifetime))
        let isKept = self.entries.withLock { entries in
            if entries.count >= Limits.webTicketsMax { entries = entries.filter { now < $0.value.until } }
            guard entries.count < Limits.webTicketsMax else { return false }
            entries[Self.digest(of: ticket)] = entry
            return true
        }
        let until = Timestamp(rawValue: self.clock.wallTime.rawValue + Limits.webTicketLifetime.wholeMilliseconds)
        then(isKept ? ticket : nil, until)
    }

    package func redeem(
        _ ticket: String, from address: String,
        _ then: @escaping @Sendable (Result<WebSession, LoginFailure>) -> Void
    ) {
        then(self.redeem(digest: Self.digest(of: ticket)).map { .success($0) } ?? .failure(LoginFailure(.ticket)))
    }

    /// What of a ticket may travel. How long it takes to look for it says nothing about tickets.
    package static func digest(of ticket: String) -> [UInt8] {
        Array(SHA256.hash(data: Array(ticket.utf8.prefix(256))))
    }

    /// Nil: there is no such ticket any more.
    package func redeem(digest: [UInt8]) -> WebSession? {
        let (now, wall) = (self.clock.now, self.clock.wallTime)
        let entry = self.entries.withLock { $0.removeValue(forKey: digest) }
        guard let entry, now < entry.until, entry.session.expires.map({ wall < $0 }) ?? true else { return nil }
        return entry.session
    }
}
