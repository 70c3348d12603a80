import ApusBroker
import ApusCore
import KafkaWire

/// DescribeProducers (61): the idempotent producers that partitions remember (KIP-664).
enum DescribeProducersHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 0...0

    static func handle(_ request: inout DescribeProducersRequest, _ exchange: Exchange<DescribeProducersResponse>) {
        var topics = request.topics.eachOnce(by: \.name)
        for place in topics.indices {
            topics[place].partitionIndexes = topics[place].partitionIndexes.eachOnce { $0 }
        }
        let partitions = topics.flatMap { topic in
            topic.partitionIndexes.map {
                PartitionReference(topic: .name(topic.name), partition: PartitionIndex(rawValue: $0))
            }
        }
        exchange.broker.describeProducers(partitions, client: exchange.client, on: exchange.loop) { [topics] results in
            var results = results[...]
            var response = DescribeProducersResponse()
            response.topics = topics.map { topic in
                var answer = DescribeProducersResponse.Topic()
                answer.name = topic.name
                answer.partitions = topic.partitionIndexes.map { index in
                    guard let result = results.popFirst() else { preconditionFailure("an answer for every partition") }
                    return self.partition(index, result)
                }
                return answer
            }
            exchange.answer(response)
        }
    }

    private static func partition(
        _ index: Int32, _ result: Result<[ProducerDescription], BrokerError>
    ) -> DescribeProducersResponse.Partition {
        var partition = DescribeProducersResponse.Partition()
        partition.partitionIndex = index
        switch result {
        case .failure(let error):
            partition.errorCode = error.kafkaCode
            partition.errorMessage = error.kafkaMessage
        case .success(let producers):
            partition.activeProducers = producers.map {
                var producer = DescribeProducersResponse.ActiveProducer()
                producer.producerID = $0.producerID
                producer.producerEpoch = $0.producerEpoch
                producer.lastSequence = $0.lastSequence
                producer.lastTimestamp = $0.lastTimestamp.rawValue
                producer.coordinatorEpoch = $0.coordinatorEpoch
                producer.currentTxnStartOffset = $0.currentTransactionStart.rawValue
                return producer
            }
        }
        return partition
    }
}
