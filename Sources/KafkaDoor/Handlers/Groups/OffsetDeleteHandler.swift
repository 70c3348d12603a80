import ApusBroker
import ApusCore
import ApusGroups
import KafkaWire

/// OffsetDelete (47): a group's positions in partitions that its members do not read (KIP-496).
enum OffsetDeleteHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 0...0

    static func handle(_ request: inout OffsetDeleteRequest, _ exchange: Exchange<OffsetDeleteResponse>) {
        let topics = request.topics
        let partitions = topics.flatMap { topic in
            topic.partitions.map { (topic: topic.name, partition: PartitionIndex(rawValue: $0.partitionIndex)) }
        }
        exchange.broker.deleteOffsets(
            GroupID(request.groupID), partitions, client: exchange.client, on: exchange.loop
        ) { result in
            var response = OffsetDeleteResponse()
            switch result {
            case .failure(let error): response.errorCode = error.code
            case .success(let errors):
                var errors = errors[...]
                response.topics = topics.map { topic in
                    var answer = OffsetDeleteResponse.Topic()
                    answer.name = topic.name
                    answer.partitions = topic.partitions.map { partition in
                        guard let error = errors.popFirst() else { preconditionFailure("an answer for every one") }
                        var gone = OffsetDeleteResponse.Partition()
                        gone.partitionIndex = partition.partitionIndex
                        gone.errorCode = error?.code ?? .none
                        return gone
                    }
                    return answer
                }
            }
            exchange.answer(response)
        }
    }
}
