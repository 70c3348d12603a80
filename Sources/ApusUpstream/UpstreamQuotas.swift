import ApusAccess
import ApusBroker
import ApusCore
import KafkaWire
import NIOCore
import Synchronization

/// The quotas as the brokers told them last. Until then, and while nobody made any, those that every broker begins
/// with.
///
/// They are counted here, for this endpoint server alone, as each of Kafka's brokers counts for itself (KIP-13). Any
/// thread.
final class UpstreamQuotas: QuotaSource {
    private let rules = Mutex(QuotaRules())
    private let version = Atomic<Int64>(-1)

    /// What the brokers call them.
    var known: Int64 { self.version.load(ordering: .acquiring) }
    var quotaVersion: StoreRevision { StoreRevision(rawValue: self.known) }
    var quotas: QuotaRules { self.rules.withLock { $0 } }

    func heard(_ answer: DescribeEdgeResponse) {
        guard let records = answer.quotas else { return }
        var fallback: [QuotaKind: Double] = [:]
        for told in answer.quotaDefaults {
            guard let kind = QuotaKind(rawValue: told.kind), told.rate >= Limits.quotaRateMin else { continue }
            fallback[kind] = told.rate
        }
        var rules = QuotaRules(fallback: fallback)
        // One that can not be read is none, as at a broker.
        for quota in records {
            guard let (entity, rates) = QuotaRecord.decoded(Array(buffer: quota.record)) else { continue }
            // `try?`: the record has no rates that its entity can not have.
            for (kind, rate) in rates { try? rules.set(kind, of: entity, to: rate) }
        }
        self.rules.withLock { $0 = rules }
        self.version.store(answer.quotasVersion, ordering: .releasing)
    }
}
