import ApusBroker
import ApusCore
import KafkaWire

/// ListOffsets (2): the offset of a time, or one of the special places in a log.
enum ListOffsetsHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 1...8

    private static let versionIsolation: Int16 = 2

    static func handle(_ request: inout ListOffsetsRequest, _ exchange: Exchange<ListOffsetsResponse>) {
        var response = ListOffsetsResponse()
        var queries: [OffsetQuery] = []
        var seen: Set<PartitionReference> = []
        for topic in request.topics {
            var answer = ListOffsetsResponse.Topic()
            answer.name = topic.name
            for partition in topic.partitions {
                var result = ListOffsetsResponse.Partition()
                result.partitionIndex = partition.partitionIndex
                let reference = PartitionReference(
                    topic: .name(topic.name), partition: PartitionIndex(rawValue: partition.partitionIndex)
                )
                if !seen.insert(reference).inserted {
                    result.errorCode = .invalidRequest
                } else if request.replicaID >= 0 {
                    result.errorCode = .clusterAuthorizationFailed
                } else if let position = self.position(partition.timestamp, exchange.version) {
                    queries.append(
                        OffsetQuery(
                            topic: reference.topic, partition: reference.partition, position: position,
                            currentLeaderEpoch: Epoch(rawValue: partition.currentLeaderEpoch)
                        )
                    )
                } else {
                    result.errorCode = .unsupportedVersion
                }
                answer.partitions.append(result)
            }
            response.topics.append(answer)
        }
        let isolation: IsolationLevel =
            exchange.version >= self.versionIsolation && request.isolationLevel == 1 ? .committed : .uncommitted
        exchange.broker.listOffsets(queries, isolation: isolation, client: exchange.client, on: exchange.loop) {
            [response] results in
            exchange.answer(self.filled(response, with: results))
        }
    }

    /// What a timestamp asks for; nil for a negative one that means nothing in this version.
    private static func position(_ timestamp: Int64, _ version: Int16) -> OffsetQuery.Position? {
        switch timestamp {
        case 0...: .time(Timestamp(rawValue: timestamp))
        case -1: .latest
        case -2: .earliest
        case -3 where version >= 7: .largestTimestamp
        case -4 where version >= 8: .earliestLocal
        default: nil
        }
    }

    private static func filled(
        _ response: ListOffsetsResponse, with results: [Result<OffsetAnswer, BrokerError>]
    ) -> ListOffsetsResponse {
        var response = response
        var results = results[...]
        for topic in response.topics.indices {
            for partition in response.topics[topic].partitions.indices
            where response.topics[topic].partitions[partition].errorCode == .none {
                guard let result = results.popFirst() else { preconditionFailure("an answer for every query") }
                switch result {
                case .success(let found):
                    response.topics[topic].partitions[partition].offset = found.offset.rawValue
                    response.topics[topic].partitions[partition].timestamp = found.timestamp.rawValue
                    response.topics[topic].partitions[partition].leaderEpoch = found.leaderEpoch.rawValue
                case .failure(let error):
                    response.topics[topic].partitions[partition].errorCode = error.kafkaCode
                }
            }
        }
        return response
    }
}
