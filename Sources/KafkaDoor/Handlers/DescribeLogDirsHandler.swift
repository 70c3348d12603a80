import ApusBroker
import ApusCore
import KafkaWire

/// DescribeLogDirs (35): the data directory and what partitions take in it (KIP-113, KIP-827).
enum DescribeLogDirsHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 1...4

    static func handle(_ request: inout DescribeLogDirsRequest, _ exchange: Exchange<DescribeLogDirsResponse>) {
        // Null asks for everything, an empty list for the directory alone.
        let partitions = request.topics.map { topics in
            topics.flatMap { topic in
                topic.partitions.map {
                    PartitionReference(topic: .name(topic.topic), partition: PartitionIndex(rawValue: $0))
                }
            }
        }
        exchange.broker.describeLogDirectory(partitions, client: exchange.client, on: exchange.loop) { result in
            var response = DescribeLogDirsResponse()
            switch result {
            case .success(let directory):
                response.results = [self.result(self.completed(directory, partitions, exchange.broker.topics))]
            case .failure(let error): response.errorCode = error.kafkaCode
            }
            exchange.answer(response)
        }
    }

    /// With the partitions that were never written to, which take nothing: tools take what is not told for lost.
    private static func completed(
        _ directory: LogDirectoryDescription, _ asked: [PartitionReference]?, _ topics: TopicSnapshot
    ) -> LogDirectoryDescription {
        var told = Set(directory.partitions.map { TopicPartition(topic: $0.topicID, partition: $0.partition) })
        let there: [(topic: Topic, partition: PartitionIndex)]
        if let asked {
            there = asked.compactMap { reference in
                guard let topic = try? topics.topic(reference.topic), topic.contains(reference.partition) else {
                    return nil
                }
                return (topic, reference.partition)
            }
        } else {
            there = topics.all.flatMap { topic in topic.partitions.map { (topic, $0.index) } }
        }
        var directory = directory
        for (topic, partition) in there
        where told.insert(TopicPartition(topic: topic.id, partition: partition)).inserted {
            directory.partitions.append(
                LogDirectoryDescription.Partition(
                    topic: topic.name, topicID: topic.id, partition: partition, byteCount: .zero
                )
            )
        }
        return directory
    }

    private static func result(_ directory: LogDirectoryDescription) -> DescribeLogDirsResponse.Result {
        var result = DescribeLogDirsResponse.Result()
        result.logDir = directory.path
        result.usableBytes = directory.usableBytes.map { Int64($0.rawValue) } ?? -1
        let byTopic = Dictionary(grouping: directory.partitions, by: \.topic)
        result.topics = byTopic.keys.sorted().map { name in
            var topic = DescribeLogDirsResponse.Topic()
            topic.name = name
            topic.partitions = (byTopic[name] ?? []).sorted { $0.partition < $1.partition }.map {
                var partition = DescribeLogDirsResponse.Partition()
                partition.partitionIndex = $0.partition.rawValue
                partition.partitionSize = Int64($0.byteCount.rawValue)
                return partition
            }
            return topic
        }
        return result
    }
}
