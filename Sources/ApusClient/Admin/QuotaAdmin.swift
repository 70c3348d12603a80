import KafkaWire

/// Whom a quota is for: a user, a client id, both, or an address; each by name, or all others.
public struct QuotaEntity: Hashable, Sendable {
    public enum Name: Hashable, Sendable {
        case named(String)
        /// Whoever has no quota of its own.
        case others

        var wire: String? { if case .named(let name) = self { name } else { nil } }
    }

    public var user: Name?
    public var clientID: Name?
    public var address: Name?

    public init(user: Name? = nil, clientID: Name? = nil, address: Name? = nil) {
        self.user = user
        self.clientID = clientID
        self.address = address
    }

    fileprivate var parts: [(type: String, name: Name)] {
        [("user", self.user), ("client-id", self.clientID), ("ip", self.address)].compactMap { type, name in
            name.map { (type, $0) }
        }
    }
}

/// What somebody may use, a second, by Kafka's names: `producer_byte_rate`, `consumer_byte_rate`, `request_percentage`,
/// `controller_mutation_rate`, `connection_creation_rate`.
public struct Quota: Hashable, Sendable {
    public var entity: QuotaEntity
    public var rates: [String: Double]

    public init(_ entity: QuotaEntity, _ rates: [String: Double]) {
        self.entity = entity
        self.rates = rates
    }
}

/// Quotas of users, client ids and addresses. Got from ``ApusClient/quotas``.
///
/// Every call throws `.denied`, `.unreachable`, `.timedOut`, `.closed` besides what it names.
public struct QuotaAdmin: Sendable {
    let core: ClientCore

    /// All quotas that somebody made.
    public func list() async throws -> [Quota] {
        try await self.core.retrying(repeatingIndefinite: true) { () throws(ApusError) in
            let response = try await self.core.callAny(DescribeClientQuotasRequest())
            if let code = response.errorCode.failure {
                throw response.error(code, "quotas", message: response.errorMessage)
            }
            return (response.entries ?? []).map { entry in
                var entity = QuotaEntity()
                for part in entry.entity {
                    let name = part.entityName.map { QuotaEntity.Name.named($0) } ?? .others
                    switch part.entityType {
                    case "user": entity.user = name
                    case "client-id": entity.clientID = name
                    case "ip": entity.address = name
                    default: break
                    }
                }
                return Quota(entity, Dictionary(entry.values.map { ($0.key, $0.value) }) { _, last in last })
            }
        }
    }

    /// Sets rates of one entity, and removes those that are nil. All of it or nothing.
    /// - Throws: `.invalidArgument`.
    public func alter(_ entity: QuotaEntity, _ rates: [String: Double?], validateOnly: Bool = false) async throws {
        try await self.core.retrying(repeatingIndefinite: true) { () throws(ApusError) in
            var entry = AlterClientQuotasRequest.Entry()
            entry.entity = entity.parts.map { type, name in
                var part = AlterClientQuotasRequest.Entity()
                part.entityType = type
                part.entityName = name.wire
                return part
            }
            entry.ops = rates.map { key, rate in
                var operation = AlterClientQuotasRequest.Operation()
                operation.key = key
                operation.value = rate ?? 0
                operation.remove = rate == nil
                return operation
            }
            var request = AlterClientQuotasRequest()
            request.entries = [entry]
            request.validateOnly = validateOnly
            let response = try await self.core.callAny(request)
            guard let answer = response.entries.first else { throw response.unanswered("quota") }
            if let code = answer.errorCode.failure { throw response.error(code, "quota", message: answer.errorMessage) }
        }
    }
}
