package import ApusAccess
package import NIOCore
import ApusCore

/// What somebody wants changed of one entity's quotas.
package struct QuotaAlteration: Hashable, Sendable {
    package var entity: QuotaEntity
    /// A rate, or nil to have none.
    package var rates: [QuotaKind: Double?]

    package init(_ entity: QuotaEntity, _ rates: [QuotaKind: Double?]) {
        self.entity = entity
        self.rates = rates
    }
}

/// The quotas themselves, as verbs. To see them takes DESCRIBE_CONFIGS on the cluster, to change them ALTER_CONFIGS.
extension Broker {
    package func describeQuotas(
        _ filter: QuotaFilter, client: ClientContext
    ) -> Result<[(entity: QuotaEntity, rates: [QuotaKind: Double])], BrokerError> {
        guard client.allows(.describeConfigs, on: .cluster) else { return .failure(.clusterAuthorizationFailed) }
        return .success(self.access.quotas.entities.filter { filter.shows($0.key) }.map { ($0.key, $0.value) })
    }

    /// Alters the quotas, all of them or none.
    package func alterQuotas(
        _ alterations: [QuotaAlteration], validateOnly: Bool = false, client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable (BrokerError?) -> Void
    ) {
        let home = self.mailbox(of: loop)
        guard client.allows(.alterConfigs, on: .cluster) else {
            return home.run { then(.clusterAuthorizationFailed) }
        }
        let audit = self.audit
        self.access.commit(on: loop) { records -> AccessDraft<BrokerError?> in
            var entities = records.quotas.entities
            var changes: [StoreChange] = []
            for alteration in alterations {
                var rates = entities[alteration.entity] ?? [:]
                for (kind, rate) in alteration.rates {
                    if let refusal = alteration.entity.refusal(of: kind, rate ?? 1) {
                        return AccessDraft([], answer: .invalidRequest("\(refusal)"))
                    }
                    rates[kind] = rate
                }
                let key = QuotaRecord.key(of: alteration.entity)
                let before = entities.updateValue(rates, forKey: alteration.entity)
                if !rates.isEmpty {
                    changes.append(.put(key: key, value: QuotaRecord.encoded(rates, of: alteration.entity)))
                } else if before?.isEmpty == false {
                    changes.append(.delete(key: key))
                }
            }
            guard entities.count <= Limits.quotaEntitiesMax else {
                return AccessDraft([], answer: .policyViolation("there are at most \(Limits.quotaEntitiesMax) quotas"))
            }
            return AccessDraft(validateOnly ? [] : changes, answer: nil)
        } then: { result in
            switch result {
            case .success(let refusal):
                if refusal == nil, !validateOnly {
                    for alteration in alterations { audit.note(.alterQuota, "\(alteration)", by: client) }
                }
                then(refusal)
            case .failure(let error): then(error)
            }
        }
    }
}

extension QuotaAlteration: CustomStringConvertible {
    /// `user=alice client-id=* producer_byte_rate=1000.0 consumer_byte_rate=none`
    package var description: String {
        let rates = self.rates.sorted { $0.key.rawValue < $1.key.rawValue }.map { kind, rate in
            "\(kind.rawValue)=\(rate.map { "\($0)" } ?? "none")"
        }
        return ([self.entity.description] + rates).joined(separator: " ")
    }
}
