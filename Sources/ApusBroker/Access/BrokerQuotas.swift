package import ApusAccess
package import ApusCore
import Synchronization

/// Who says what quotas there are: a broker's own store, or, at an endpoint server of its own, what brokers told. Any
/// thread.
package protocol QuotaSource: Sendable {
    /// Moves when the quotas do.
    var quotaVersion: StoreRevision { get }
    var quotas: QuotaRules { get }
}

/// What everybody has used of their quotas: one ledger for all loops, so that a user's connections share one rate
/// wherever they are.
///
/// Nobody asks it for every request: a ``QuotaMeter`` counts for itself and comes here with 10 ms worth at a time.
package final class BrokerQuotas: Sendable {
    private let source: any QuotaSource
    private let clock: any Clock
    private let ledger: Mutex<QuotaLedger>

    package init(_ source: any QuotaSource, clock: any Clock) {
        self.source = source
        self.clock = clock
        self.ledger = Mutex(QuotaLedger(at: clock.now))
    }

    /// Moves when the rules do.
    var version: StoreRevision { self.source.quotaVersion }

    /// The rate that somebody has; nil when there is none.
    func rate(of kind: QuotaKind, for subject: QuotaSubject) -> Double? {
        self.source.quotas.limit(kind, for: subject)?.rate
    }

    /// Counts it, and says how long the client has to wait.
    package func charge(_ kind: QuotaKind, _ amount: Double, to subject: QuotaSubject) -> Duration {
        let (rules, now) = (self.source.quotas, self.clock.now)
        return self.ledger.withLock { $0.charge(kind, amount, to: subject, rules: rules, at: now) }
    }

    /// Partitions that a client makes or deletes. They are not even begun, and not counted, while it has to wait for
    /// those before (KIP-599): how long that is, else zero.
    func mutate(_ partitions: Int, by client: ClientContext) -> Duration {
        guard partitions > 0, client.principal != .embedded else { return .zero }
        let subject = QuotaSubject(client.principal, clientID: client.clientID)
        let (rules, now) = (self.source.quotas, self.clock.now)
        return self.ledger.withLock { ledger in
            let wait = ledger.wait(.mutations, of: subject, rules: rules, at: now)
            if wait == .zero {
                _ = ledger.charge(.mutations, Double(partitions), to: subject, rules: rules, at: now)
            }
            return wait
        }
    }
}
