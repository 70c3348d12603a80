import ApusAccess
import ApusBroker
import KafkaWire

/// DescribeClientQuotas (48): the quotas of users, client ids and addresses (KIP-546).
enum DescribeClientQuotasHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 0...1

    static func handle(
        _ request: inout DescribeClientQuotasRequest, _ exchange: Exchange<DescribeClientQuotasResponse>
    ) {
        var response = DescribeClientQuotasResponse()
        response.errorMessage = nil
        do throws(BrokerError) {
            let filter = try self.filter(request)
            response.entries = try exchange.broker.describeQuotas(filter, client: exchange.client).get()
                .sorted { "\($0.entity)" < "\($1.entity)" }.map { quota in
                    var entry = DescribeClientQuotasResponse.Entry()
                    entry.entity = quota.entity.parts.map { type, name in
                        var entity = DescribeClientQuotasResponse.Entity()
                        entity.entityType = type
                        entity.entityName = name
                        return entity
                    }
                    entry.values = quota.rates.sorted { $0.key.rawValue < $1.key.rawValue }.map { kind, rate in
                        var value = DescribeClientQuotasResponse.Value()
                        value.key = kind.rawValue
                        value.value = rate
                        return value
                    }
                    return entry
                }
        } catch {
            response.errorCode = error.kafkaCode
            response.errorMessage = error.kafkaMessage
            // Null: clients tell "nothing" from "not known".
            response.entries = nil
        }
        exchange.answer(response)
    }

    private static func filter(_ request: DescribeClientQuotasRequest) throws(BrokerError) -> QuotaFilter {
        var filter = QuotaFilter()
        filter.isStrict = request.strict
        var seen: Set<String> = []
        for component in request.components {
            guard seen.insert(component.entityType).inserted else {
                throw .invalidRequest("'\(component.entityType)' is asked for twice")
            }
            let match: QuotaFilter.Match
            switch (component.matchType, component.match) {
            case (0, let name?): match = .exactly(.named(ExactText(name)))
            case (1, _): match = .exactly(.others)
            case (2, _): match = .specified
            default: throw .invalidRequest("There is no match type \(component.matchType) without a name.")
            }
            switch component.entityType {
            case "user": filter.user = match
            case "client-id": filter.clientID = match
            case "ip": filter.address = match
            default: throw .invalidRequest("There is no entity type '\(component.entityType)'.")
            }
        }
        return filter
    }
}

extension QuotaEntity {
    /// As the wire has it: nil for the others.
    var parts: [(type: String, name: String?)] {
        [("user", self.user), ("client-id", self.clientID), ("ip", self.address)].compactMap { type, who in
            who.map { (type, $0.name?.text) }
        }
    }

    init(parts: [(type: String, name: String?)]) throws(BrokerError) {
        var who: [String: Who] = [:]
        for (type, name) in parts {
            guard ["user", "client-id", "ip"].contains(type) else {
                throw .invalidRequest("There is no entity type '\(type)'.")
            }
            guard who.updateValue(name.map { .named(ExactText($0)) } ?? .others, forKey: type) == nil else {
                throw .invalidRequest("'\(type)' is named twice.")
            }
        }
        do throws(Refusal) {
            try self.init(user: who["user"], clientID: who["client-id"], address: who["ip"])
        } catch {
            throw .invalidRequest("\(error)")
        }
    }
}
