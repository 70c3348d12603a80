import ApusBroker
import KafkaWire

/// AlterConfigs (33): replaces all of a resource's own configuration: what is not named goes back to its default.
enum AlterConfigsHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 0...2

    static func handle(_ request: inout AlterConfigsRequest, _ exchange: Exchange<AlterConfigsResponse>) {
        let resources = request.resources.map { resource in
            ConfigurationPlan.Asked(
                type: resource.resourceType, name: resource.resourceName,
                alteration: .success(
                    .replace(Dictionary(resource.configs.map { ($0.name, $0.value) }) { _, last in last })
                )
            )
        }
        let plan = ConfigurationPlan(resources, broker: exchange.broker.identity.brokerID)
        plan.run(on: exchange.broker, validateOnly: request.validateOnly, exchange.client, exchange.loop) { outcomes in
            var response = AlterConfigsResponse()
            response.responses = outcomes.map { outcome in
                var answer = AlterConfigsResponse.Response()
                answer.resourceType = outcome.type
                answer.resourceName = outcome.name
                answer.errorCode = outcome.error?.kafkaCode ?? .none
                answer.errorMessage = outcome.error?.kafkaMessage
                return answer
            }
            exchange.answer(response)
        }
    }
}
