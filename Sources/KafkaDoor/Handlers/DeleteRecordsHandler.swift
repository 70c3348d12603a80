import ApusBroker
import ApusCore
import KafkaWire

/// DeleteRecords (21): forgets the records below an offset (KIP-107). −1 is the high watermark.
enum DeleteRecordsHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 0...2

    static func handle(_ request: inout DeleteRecordsRequest, _ exchange: Exchange<DeleteRecordsResponse>) {
        var response = DeleteRecordsResponse()
        var deletions: [RecordDeletion] = []
        for topic in request.topics {
            var answer = DeleteRecordsResponse.Topic()
            answer.name = topic.name
            for partition in topic.partitions {
                var result = DeleteRecordsResponse.Partition()
                result.partitionIndex = partition.partitionIndex
                result.lowWatermark = -1
                if partition.offset < -1 {
                    result.errorCode = .offsetOutOfRange
                } else {
                    deletions.append(
                        RecordDeletion(
                            topic: .name(topic.name), partition: PartitionIndex(rawValue: partition.partitionIndex),
                            before: partition.offset == -1 ? nil : Offset(rawValue: partition.offset)
                        )
                    )
                }
                answer.partitions.append(result)
            }
            response.topics.append(answer)
        }
        exchange.broker.deleteRecords(
            deletions, timeout: .milliseconds(max(0, request.timeoutMs)), client: exchange.client, on: exchange.loop
        ) { [response] results in
            exchange.answer(self.filled(response, with: results))
        }
    }

    private static func filled(
        _ response: DeleteRecordsResponse, with results: [Result<Offset, BrokerError>]
    ) -> DeleteRecordsResponse {
        var response = response
        var results = results[...]
        for topic in response.topics.indices {
            for partition in response.topics[topic].partitions.indices
            where response.topics[topic].partitions[partition].errorCode == .none {
                guard let result = results.popFirst() else { preconditionFailure("an answer for every deletion") }
                switch result {
                case .success(let start): response.topics[topic].partitions[partition].lowWatermark = start.rawValue
                case .failure(let error): response.topics[topic].partitions[partition].errorCode = error.kafkaCode
                }
            }
        }
        return response
    }
}
