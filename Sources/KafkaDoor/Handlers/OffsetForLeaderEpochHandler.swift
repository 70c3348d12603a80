import ApusBroker
import ApusCore
import KafkaWire

/// OffsetForLeaderEpoch (23): where an epoch ends, so that a client sees whether records it read were cut (KIP-320).
enum OffsetForLeaderEpochHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 2...4

    static func handle(
        _ request: inout OffsetForLeaderEpochRequest, _ exchange: Exchange<OffsetForLeaderEpochResponse>
    ) {
        var response = OffsetForLeaderEpochResponse()
        var queries: [EpochQuery] = []
        // Replicas ask on the brokers' own port. A client says −1, or −2 where it can not say.
        let isReplica = request.replicaID >= 0
        for topic in request.topics {
            var answer = OffsetForLeaderEpochResponse.Topic()
            answer.topic = topic.topic
            for partition in topic.partitions {
                var result = OffsetForLeaderEpochResponse.Partition()
                result.partition = partition.partition
                if isReplica { result.errorCode = .clusterAuthorizationFailed }
                answer.partitions.append(result)
                queries.append(
                    EpochQuery(
                        topic: .name(topic.topic), partition: PartitionIndex(rawValue: partition.partition),
                        leaderEpoch: Epoch(rawValue: partition.leaderEpoch),
                        currentLeaderEpoch: Epoch(rawValue: partition.currentLeaderEpoch)
                    )
                )
            }
            response.topics.append(answer)
        }
        guard !isReplica else { return exchange.answer(response) }
        exchange.broker.epochEnds(queries, client: exchange.client, on: exchange.loop) { [response] results in
            exchange.answer(self.filled(response, with: results))
        }
    }

    private static func filled(
        _ response: OffsetForLeaderEpochResponse, with results: [Result<EpochEnd, BrokerError>]
    ) -> OffsetForLeaderEpochResponse {
        var response = response
        var results = results[...]
        for topic in response.topics.indices {
            for partition in response.topics[topic].partitions.indices {
                guard let result = results.popFirst() else { preconditionFailure("an answer for every query") }
                switch result {
                case .success(let end):
                    response.topics[topic].partitions[partition].leaderEpoch = end.epoch.rawValue
                    response.topics[topic].partitions[partition].endOffset = end.endOffset.rawValue
                case .failure(let error):
                    response.topics[topic].partitions[partition].errorCode = error.kafkaCode
                }
            }
        }
        return response
    }
}
