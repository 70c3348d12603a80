package import ApusAccess
import ApusCore
import Synchronization

/// What everybody has used of their quotas: one ledger for all loops, so that a user's connections share one rate
/// wherever they are.
///
/// Nobody asks it for every request: a ``QuotaMeter`` counts for itself and comes here with 10 ms worth at a time.
package final class BrokerQuotas: Sendable {
    private let access: BrokerAccess
    private let clock: any Clock
    private let ledger: Mutex<QuotaLedger>

    init(_ access: BrokerAccess, clock: any Clock) {
        self.access = access
        self.clock = clock
        self.ledger = Mutex(QuotaLedger(at: clock.now))
    }

    /// Moves when the rules do.
    var version: StoreRevision { self.access.quotaVersion }

    /// The rate that somebody has; nil when there is none.
    func rate(of kind: QuotaKind, for subject: QuotaSubject) -> Double? {
        self.access.quotas.limit(kind, for: subject)?.rate
    }

    /// Counts it, and says how long the client has to wait.
    package func charge(_ kind: QuotaKind, _ amount: Double, to subject: QuotaSubject) -> Duration {
        let (rules, now) = (self.access.quotas, self.clock.now)
        return self.ledger.withLock { $0.charge(kind, amount, to: subject, rules: rules, at: now) }
    }

    /// Partitions that a client makes or deletes. They are not even begun, and not counted, while it has to wait for
    /// those before (KIP-599): how long that is, else zero.
    func mutate(_ partitions: Int, by client: ClientContext) -> Duration {
        guard partitions > 0, client.principal != .embedded else { return .zero }
        let subject = QuotaSubject(client.principal, clientID: client.clientID)
        let (rules, now) = (self.access.quotas, self.clock.now)
        return self.ledger.withLock { ledger in
            let wait = ledger.wait(.mutations, of: subject, rules: rules, at: now)
            if wait == .zero {
                _ = ledger.charge(.mutations, Double(partitions), to: subject, rules: rules, at: now)
            }
            return wait
        }
    }
}
