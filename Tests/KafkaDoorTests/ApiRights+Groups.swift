import ApusCore
import ApusAccess
import KafkaWire
import NIOCore

@testable import KafkaDoor

extension ApiRights {
    private static let reads: [[Right]] = [[Right(.read, .group)]]
    private static let describes: [[Right]] = [[Right(.describe, .group)]]

    static let groups: [ApiRights] = Self.membership + Self.positions + Self.groupAdministration

    private static let membership: [ApiRights] = [
        ApiRights(needs: Self.describes) { _, name, _ in
            var request = FindCoordinatorRequest()
            request.key = name
            request.coordinatorKeys = [name]
            return request
        },
        ApiRights(needs: Self.reads) { _, name, _ in
            var choice = JoinGroupRequest.AssignmentProtocol()
            choice.name = "range"
            var request = JoinGroupRequest()
            request.groupID = name
            request.sessionTimeoutMs = 10_000
            request.rebalanceTimeoutMs = 1000
            request.protocolType = "consumer"
            request.protocols = [choice]
            return request
        },
        ApiRights(needs: Self.reads) { _, name, _ in
            var request = SyncGroupRequest()
            request.groupID = name
            request.generationID = 1
            request.memberID = "nobody"
            request.protocolType = "consumer"
            request.protocolName = "range"
            return request
        },
        ApiRights(needs: Self.reads) { _, name, _ in
            var request = HeartbeatRequest()
            request.groupID = name
            request.generationID = 1
            request.memberID = "nobody"
            return request
        },
        ApiRights(needs: Self.reads) { _, name, _ in
            var member = LeaveGroupRequest.Member()
            member.memberID = "nobody"
            var request = LeaveGroupRequest()
            request.groupID = name
            request.memberID = "nobody"
            request.members = [member]
            return request
        },
        ApiRights(needs: [[Right(.read, .group), Right(.describe, .topic)]]) { _, name, _ in
            var request = ConsumerGroupHeartbeatRequest()
            request.groupID = name + "-consumers"
            request.memberID = "AAAAAAAAAAAAAAAAAAAAAA"
            request.rebalanceTimeoutMs = 1000
            request.subscribedTopicNames = [name]
            request.topicPartitions = []
            return request
        },
    ]

    private static let positions: [ApiRights] = [
        ApiRights(needs: [[Right(.read, .group), Right(.read, .topic)]]) { bench, name, version in
            var topic = OffsetCommitRequest.Topic()
            topic.name = name
            if version >= 10 { topic.topicID = try bench.topicID(name) }
            topic.partitions = [OffsetCommitRequest.Partition()]
            var request = OffsetCommitRequest()
            request.groupID = name
            request.topics = [topic]
            return request
        },
        ApiRights(needs: [[Right(.describe, .group), Right(.describe, .topic)]]) { bench, name, version in
            var topic = OffsetFetchRequest.Topic()
            topic.name = name
            topic.partitionIndexes = [0]
            var groupTopic = OffsetFetchRequest.GroupTopic()
            groupTopic.name = name
            if version >= 10 { groupTopic.topicID = try bench.topicID(name) }
            groupTopic.partitionIndexes = [0]
            var group = OffsetFetchRequest.Group()
            group.groupID = name
            group.topics = [groupTopic]
            var request = OffsetFetchRequest()
            request.groupID = name
            request.topics = [topic]
            request.groups = [group]
            return request
        },
        ApiRights(needs: [[Right(.delete, .group), Right(.read, .topic)]]) { _, name, _ in
            var topic = OffsetDeleteRequest.Topic()
            topic.name = name
            topic.partitions = [OffsetDeleteRequest.Partition()]
            var request = OffsetDeleteRequest()
            request.groupID = name
            request.topics = [topic]
            return request
        },
    ]

    private static let groupAdministration: [ApiRights] = [
        ApiRights(needs: Self.describes) { _, name, _ in
            var request = DescribeGroupsRequest()
            request.groups = [name]
            return request
        },
        ApiRights(needs: Self.describes) { _, name, _ in
            var request = ConsumerGroupDescribeRequest()
            request.groupIDs = [name]
            return request
        },
        // Nobody is denied: the list has less in it.
        ApiRights(needs: Self.nothing) { _, _, _ in ListGroupsRequest() },
        ApiRights(needs: [[Right(.delete, .group)]]) { _, name, _ in
            var request = DeleteGroupsRequest()
            request.groupsNames = [name]
            return request
        },
    ]
}
