import ApusBroker
import ApusCore
import KafkaWire

/// DescribeTopicPartitions (75): partitions of many topics, page by page (KIP-966).
///
/// Topics come sorted by name; none named asks for all. An answer holds so many partitions at most, and a cursor where
/// the next one begins.
enum DescribeTopicPartitionsHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 0...0

    static func handle(
        _ request: inout DescribeTopicPartitionsRequest, _ exchange: Exchange<DescribeTopicPartitionsResponse>
    ) {
        var response = DescribeTopicPartitionsResponse()
        let asked =
            request.topics.isEmpty
            ? exchange.broker.topics(for: exchange.client).map(\.name) : Array(Set(request.topics.map(\.name)))
        let first = request.cursor?.topicName ?? ""
        var left = min(max(1, Int(request.responsePartitionLimit)), Limits.describedPartitionsMax)
        for name in asked.filter({ $0 >= first }).sorted() {
            guard left > 0 else {
                response.nextCursor = self.cursor(name, 0)
                break
            }
            let topic: Topic
            do throws(BrokerError) {
                topic = try exchange.broker.topic(.name(name), for: exchange.client)
            } catch {
                // A cursor's topic that is gone needs no answer: the client has had the part that was there.
                if name != request.cursor?.topicName || request.topics.contains(where: { $0.name == name }) {
                    response.topics.append(self.refused(name, error.kafkaCode))
                }
                continue
            }
            let start = name == request.cursor?.topicName ? max(0, request.cursor?.partitionIndex ?? 0) : 0
            let end = min(topic.partitionCount, Int32(clamping: Int(start) + left))
            response.topics.append(self.describe(topic, from: start, to: end, for: exchange.client))
            left -= max(0, Int(end) - Int(start))
            if end < topic.partitionCount, start < end {
                response.nextCursor = self.cursor(name, end)
                break
            }
        }
        exchange.answer(response)
    }

    private static func cursor(_ name: String, _ partition: Int32) -> DescribeTopicPartitionsResponse.Cursor {
        var cursor = DescribeTopicPartitionsResponse.Cursor()
        cursor.topicName = name
        cursor.partitionIndex = partition
        return cursor
    }

    private static func refused(
        _ name: String, _ code: KafkaErrorCode
    ) -> DescribeTopicPartitionsResponse.Topic {
        var answer = DescribeTopicPartitionsResponse.Topic()
        answer.name = name
        answer.errorCode = code
        return answer
    }

    private static func describe(
        _ topic: Topic, from start: Int32, to end: Int32, for client: ClientContext
    ) -> DescribeTopicPartitionsResponse.Topic {
        var answer = DescribeTopicPartitionsResponse.Topic()
        answer.name = topic.name
        answer.topicID = topic.id.wire
        answer.isInternal = topic.isInternal
        answer.topicAuthorizedOperations = AuthorizedOperations.topic(topic.name, for: client)
        guard start < end else { return answer }
        answer.partitions = (start..<end).compactMap { topic.info(of: PartitionIndex(rawValue: $0)) }.map { info in
            var partition = DescribeTopicPartitionsResponse.Partition()
            partition.partitionIndex = info.index.rawValue
            partition.leaderID = info.leader.rawValue
            partition.leaderEpoch = info.leaderEpoch.rawValue
            partition.replicaNodes = info.replicas.map(\.rawValue)
            partition.isrNodes = info.inSyncReplicas.map(\.rawValue)
            return partition
        }
        return answer
    }
}
