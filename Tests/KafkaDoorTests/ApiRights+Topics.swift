import ApusCore
import ApusAccess
import KafkaWire
import NIOCore

@testable import KafkaDoor

extension ApiRights {
    static let records: [ApiRights] = [
        ApiRights(needs: [[Right(.write, .topic)]]) { bench, name, version in
            try bench.produce(DoorBench.batch(["a"]), to: name, version: version)
        },
        ApiRights(needs: [[Right(.read, .topic)]]) { bench, name, version in
            try bench.fetch(name, version: version)
        },
        ApiRights(needs: [[Right(.describe, .topic)]]) { _, name, _ in
            var partition = ListOffsetsRequest.Partition()
            partition.timestamp = -1
            var topic = ListOffsetsRequest.Topic()
            topic.name = name
            topic.partitions = [partition]
            var request = ListOffsetsRequest()
            request.replicaID = -1
            request.topics = [topic]
            return request
        },
        ApiRights(needs: [[Right(.describe, .topic)]]) { _, name, _ in
            var topic = OffsetForLeaderEpochRequest.Topic()
            topic.topic = name
            topic.partitions = [OffsetForLeaderEpochRequest.Partition()]
            var request = OffsetForLeaderEpochRequest()
            request.replicaID = -1
            request.topics = [topic]
            return request
        },
        ApiRights(needs: [[Right(.delete, .topic)]]) { _, name, _ in
            var topic = DeleteRecordsRequest.Topic()
            topic.name = name
            topic.partitions = [DeleteRecordsRequest.Partition()]
            var request = DeleteRecordsRequest()
            request.timeoutMs = 1000
            request.topics = [topic]
            return request
        },
        ApiRights(needs: [[Right(.read, .topic)]]) { _, name, _ in
            var topic = DescribeProducersRequest.Topic()
            topic.name = name
            topic.partitionIndexes = [0]
            var request = DescribeProducersRequest()
            request.topics = [topic]
            return request
        },
        ApiRights(needs: [[Right(.idempotentWrite, .cluster)], [Right(.write, .topic)]]) { _, _, _ in
            var request = InitProducerIdRequest()
            request.transactionalID = nil
            return request
        },
    ]

    static let topics: [ApiRights] = [
        ApiRights(needs: [[Right(.describe, .topic)]]) { _, name, _ in
            var topic = MetadataRequest.Topic()
            topic.name = name
            var request = MetadataRequest()
            request.topics = [topic]
            return request
        },
        ApiRights(needs: [[Right(.describe, .topic)]]) { _, name, _ in
            var topic = DescribeTopicPartitionsRequest.Topic()
            topic.name = name
            var request = DescribeTopicPartitionsRequest()
            request.topics = [topic]
            return request
        },
        ApiRights(needs: [[Right(.create, .cluster)], [Right(.create, .topic)]]) { _, name, _ in
            var topic = CreateTopicsRequest.Topic()
            topic.name = name + "-new"
            topic.numPartitions = 1
            topic.replicationFactor = 1
            var request = CreateTopicsRequest()
            request.topics = [topic]
            return request
        },
        ApiRights(needs: [[Right(.delete, .topic)]]) { _, name, _ in
            var topic = DeleteTopicsRequest.Topic()
            topic.name = name
            var request = DeleteTopicsRequest()
            request.topics = [topic]
            request.topicNames = [name]
            return request
        },
        ApiRights(needs: [[Right(.alter, .topic)]]) { _, name, _ in
            var topic = CreatePartitionsRequest.Topic()
            topic.name = name
            topic.count = 2
            topic.assignments = nil
            var request = CreatePartitionsRequest()
            request.topics = [topic]
            return request
        },
    ]

    private static let topicType: Int8 = 2
    private static let brokerType: Int8 = 4

    static let configurations: [ApiRights] =
        Self.configurations("topic", Self.topicType, .topic) + Self.configurations("broker", Self.brokerType, .cluster)

    private static func configurations(_ what: String, _ code: Int8, _ type: ResourceType) -> [ApiRights] {
        [
            ApiRights(what, needs: [[Right(.describeConfigs, type)]]) { _, name, _ in
                var resource = DescribeConfigsRequest.Resource()
                resource.resourceType = code
                resource.resourceName = type == .topic ? name : "3"
                var request = DescribeConfigsRequest()
                request.resources = [resource]
                return request
            },
            ApiRights(what, needs: [[Right(.alterConfigs, type)]]) { _, name, _ in
                var resource = AlterConfigsRequest.Resource()
                resource.resourceType = code
                resource.resourceName = type == .topic ? name : "3"
                var request = AlterConfigsRequest()
                request.resources = [resource]
                return request
            },
            ApiRights(what, needs: [[Right(.alterConfigs, type)]]) { _, name, _ in
                var resource = IncrementalAlterConfigsRequest.Resource()
                resource.resourceType = code
                resource.resourceName = type == .topic ? name : "3"
                var request = IncrementalAlterConfigsRequest()
                request.resources = [resource]
                return request
            },
        ]
    }
}
