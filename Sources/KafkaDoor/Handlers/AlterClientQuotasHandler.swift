import ApusAccess
import ApusBroker
import KafkaWire

/// AlterClientQuotas (49): sets and removes quotas (KIP-546), all that the request names or none.
enum AlterClientQuotasHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 0...1

    static func handle(_ request: inout AlterClientQuotasRequest, _ exchange: Exchange<AlterClientQuotasResponse>) {
        var response = AlterClientQuotasResponse()
        response.entries = request.entries.map { entry in
            var answer = AlterClientQuotasResponse.Entry()
            answer.errorMessage = nil
            answer.entity = entry.entity.map {
                var entity = AlterClientQuotasResponse.Entity()
                entity.entityType = $0.entityType
                entity.entityName = $0.entityName
                return entity
            }
            return answer
        }
        let alterations: [QuotaAlteration]
        do throws(BrokerError) {
            var read: [QuotaAlteration] = []
            for entry in request.entries { read.append(try self.alteration(entry)) }
            guard Set(read.map(\.entity)).count == read.count else {
                throw .invalidRequest("An entity is in the request twice.")
            }
            alterations = read
        } catch {
            // Who may not is told that first; there is nothing that would be changed.
            let refusal = error
            return exchange.broker.alterQuotas([], client: exchange.client, on: exchange.loop) { [response] error in
                exchange.answer(self.refused(response, error ?? refusal))
            }
        }
        exchange.broker.alterQuotas(
            alterations, validateOnly: request.validateOnly, client: exchange.client, on: exchange.loop
        ) { [response] error in
            exchange.answer(error.map { self.refused(response, $0) } ?? response)
        }
    }

    private static func alteration(_ entry: AlterClientQuotasRequest.Entry) throws(BrokerError) -> QuotaAlteration {
        let entity = try QuotaEntity(parts: entry.entity.map { ($0.entityType, $0.entityName) })
        var rates: [QuotaKind: Double?] = [:]
        for operation in entry.ops {
            guard let kind = QuotaKind(rawValue: operation.key) else {
                throw .invalidRequest("There is no quota '\(operation.key)'.")
            }
            guard rates.updateValue(operation.remove ? nil : operation.value, forKey: kind) == nil else {
                throw .invalidRequest("'\(operation.key)' is in the request twice.")
            }
        }
        return QuotaAlteration(entity, rates)
    }

    private static func refused(
        _ response: AlterClientQuotasResponse, _ error: BrokerError
    ) -> AlterClientQuotasResponse {
        var response = response
        for index in response.entries.indices {
            response.entries[index].errorCode = error.kafkaCode
            response.entries[index].errorMessage = error.kafkaMessage
        }
        return response
    }
}
