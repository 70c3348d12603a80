import ApusBroker
import ApusCore
import KafkaWire

/// RemoveSubscriptions (32002, our own).
enum RemoveSubscriptionsHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 0...0

    static func handle(
        _ request: inout RemoveSubscriptionsRequest, _ exchange: Exchange<RemoveSubscriptionsResponse>
    ) {
        let names = request.names
        exchange.broker.removeSubscriptions(
            names.map { SubscriptionName($0) }, client: exchange.client, on: exchange.loop
        ) { results in
            var response = RemoveSubscriptionsResponse()
            response.results = zip(names, results).map { name, result in
                var answer = RemoveSubscriptionsResponse.Result()
                answer.name = name
                if case .failure(let error) = result {
                    answer.errorCode = error.kafkaCode
                    answer.errorMessage = error.kafkaMessage
                }
                return answer
            }
            exchange.answer(response)
        }
    }
}
