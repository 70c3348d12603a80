import ApusBroker
import KafkaWire

/// IncrementalAlterConfigs (44): sets, deletes, appends and subtracts single values (KIP-339).
enum IncrementalAlterConfigsHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 0...1

    static func handle(
        _ request: inout IncrementalAlterConfigsRequest, _ exchange: Exchange<IncrementalAlterConfigsResponse>
    ) {
        let resources = request.resources.map { resource in
            ConfigurationPlan.Asked(
                type: resource.resourceType, name: resource.resourceName, alteration: self.alteration(resource.configs)
            )
        }
        let plan = ConfigurationPlan(resources, broker: exchange.broker.identity.brokerID)
        plan.run(on: exchange.broker, validateOnly: request.validateOnly, exchange.client, exchange.loop) { outcomes in
            var response = IncrementalAlterConfigsResponse()
            response.responses = outcomes.map { outcome in
                var answer = IncrementalAlterConfigsResponse.Response()
                answer.resourceType = outcome.type
                answer.resourceName = outcome.name
                answer.errorCode = outcome.error?.kafkaCode ?? .none
                answer.errorMessage = outcome.error?.kafkaMessage
                return answer
            }
            exchange.answer(response)
        }
    }

    private static func alteration(
        _ configs: [IncrementalAlterConfigsRequest.Config]
    ) -> Result<ConfigurationAlteration, BrokerError> {
        guard Set(configs.map(\.name)).count == configs.count else {
            return .failure(.invalidRequest("A configuration is named twice."))
        }
        do throws(BrokerError) {
            var changes: [ConfigurationChange] = []
            for config in configs { changes.append(try self.change(config)) }
            return .success(.change(changes))
        } catch {
            return .failure(error)
        }
    }

    private static func change(
        _ config: IncrementalAlterConfigsRequest.Config
    ) throws(BrokerError) -> ConfigurationChange {
        let delete: Int8 = 1
        guard config.configOperation != delete else { return .delete(name: config.name) }
        guard (0...3).contains(config.configOperation) else {
            throw .invalidRequest("There is no operation \(config.configOperation).")
        }
        guard let value = config.value else { throw .invalidRequest("'\(config.name)' has no value.") }
        return switch config.configOperation {
        case 0: .set(name: config.name, value: value)
        case 2: .append(name: config.name, value: value)
        default: .subtract(name: config.name, value: value)
        }
    }
}
