import ApusBroker
import ApusCore
import KafkaWire

/// CreatePartitions (37): more partitions for topics that are there (KIP-195). Every topic asked for is in the answer.
enum CreatePartitionsHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 0...3

    static func handle(_ request: inout CreatePartitionsRequest, _ exchange: Exchange<CreatePartitionsResponse>) {
        var response = CreatePartitionsResponse()
        var growths: [PartitionGrowth] = []
        let counts = Dictionary(grouping: request.topics, by: \.name).mapValues(\.count)
        var refused: Set<String> = []
        for topic in request.topics {
            var answer = CreatePartitionsResponse.Result()
            answer.name = topic.name
            if counts[topic.name] ?? 0 > 1 {
                guard refused.insert(topic.name).inserted else { continue }
                answer.errorCode = .invalidRequest
                answer.errorMessage = "The topic is in the request twice."
            } else {
                let assignments = topic.assignments?.map { $0.brokerIDs.map { BrokerID(rawValue: $0) } }
                growths.append(
                    PartitionGrowth(topic: topic.name, partitions: topic.count, assignments: assignments)
                )
            }
            response.results.append(answer)
        }
        exchange.broker.createPartitions(
            growths, validateOnly: request.validateOnly, client: exchange.client, on: exchange.loop
        ) { [response] results in
            var response = response
            response.throttleTimeMs = BrokerError.throttleTime(of: results)
            var results = results[...]
            for index in response.results.indices where response.results[index].errorCode == .none {
                guard let result = results.popFirst() else { preconditionFailure("an answer for every topic") }
                guard case .failure(let error) = result else { continue }
                response.results[index].errorCode = error.kafkaCode
                response.results[index].errorMessage = error.kafkaMessage
            }
            exchange.answer(response)
        }
    }
}
