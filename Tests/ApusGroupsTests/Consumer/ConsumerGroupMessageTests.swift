import ApusCore
import KafkaWire
import Testing

@testable import ApusGroups

@Suite("Messages of the consumer protocol")
struct ConsumerGroupMessageTests {
    private let client = ClientIdentity(clientID: "c", host: "/h")

    private func topics() -> [ConsumerGroupHeartbeatRequest.TopicPartitions] {
        var entry = ConsumerGroupHeartbeatRequest.TopicPartitions()
        entry.topicID = WireUUID(high: 1, low: 2)
        entry.partitions = [3, 1, 3]
        return [entry]
    }

    @Test("a request that states everything is taken in whole")
    func full() {
        var request = ConsumerGroupHeartbeatRequest()
        request.groupID = "g"
        request.memberID = "m"
        request.memberEpoch = 7
        request.instanceID = "i"
        request.rackID = "r"
        request.rebalanceTimeoutMs = 5000
        request.subscribedTopicNames = ["t"]
        request.subscribedTopicRegex = "t.*"
        request.serverAssignor = "range"
        request.topicPartitions = self.topics()
        let heartbeat = ConsumerGroupHeartbeat(request, version: 1, client: self.client)
        #expect(heartbeat.group == GroupID("g"))
        #expect(heartbeat.member == MemberID("m"))
        #expect(heartbeat.epoch == GroupEpoch(rawValue: 7))
        #expect(heartbeat.instance == InstanceID("i"))
        #expect(heartbeat.rack == "r")
        #expect(heartbeat.rebalanceTimeout == .seconds(5))
        #expect(heartbeat.topicNames == ["t"])
        #expect(heartbeat.topicPattern == "t.*")
        #expect(heartbeat.assignor == "range")
        #expect(heartbeat.owned?.byTopic.map(\.partitions) == [[1, 3]])
        #expect(heartbeat.isFull)
    }

    @Test("what a request leaves out stays unsaid")
    func plain() {
        var request = ConsumerGroupHeartbeatRequest()
        request.groupID = "g"
        request.memberID = "m"
        request.memberEpoch = 7
        let heartbeat = ConsumerGroupHeartbeat(request, version: 1, client: self.client)
        #expect(heartbeat.isPlain)
        #expect(!heartbeat.isFull)
    }

    @Test("answers carry epoch, interval and assignment, refusals code and words")
    func replies() {
        var bench = GroupBench()
        bench.join("a")
        let response = ConsumerGroupHeartbeatResponse(bench.lastDecision.replies[0])
        #expect(response.errorCode == .none)
        #expect(response.memberID == "a")
        #expect(response.memberEpoch == 1)
        #expect(response.heartbeatIntervalMs == 500)
        #expect(response.assignment?.topicPartitions.map(\.partitions) == [[0, 1, 2, 3]])
        bench.beat("a", 1)
        #expect(ConsumerGroupHeartbeatResponse(bench.lastDecision.replies[0]).assignment == nil)
        bench.beat("a", 2)
        let refusal = ConsumerGroupHeartbeatResponse(bench.lastDecision.replies[0])
        #expect(refusal.errorCode == .fencedMemberEpoch)
        #expect(refusal.errorMessage?.isEmpty == false)
        #expect(refusal.assignment == nil)
    }

    @Test("a description carries members, assignments and targets by name")
    func description() {
        var bench = GroupBench(["orders": 2])
        bench.join("a", instance: "i")
        bench.join("b")
        let group = ConsumerGroupDescribeResponse.Group(bench.group.describe(bench.topics))
        #expect(group.groupID == "g")
        #expect(group.groupState == "Reconciling")
        #expect(group.groupEpoch == 2)
        #expect(group.assignorName == "uniform")
        #expect(group.members.map(\.memberID) == ["a", "b"])
        #expect(group.members.map(\.instanceID) == ["i", nil])
        #expect(group.members.map(\.memberType) == [1, 1])
        #expect(group.members[0].assignment.topicPartitions.map(\.topicName) == ["orders"])
        #expect(group.members[1].targetAssignment.topicPartitions.map(\.partitions) == [[1]])
        let unknown = ConsumerGroupDescribeResponse.Group(GroupID("x"), .groupNotFound)
        #expect(unknown.errorCode == .groupIDNotFound)
    }
}
