import ApusBroker
import ApusCore
import KafkaWire
import NIOCore
import Testing

@testable import KafkaDoor

@Suite("Groups on the wire")
struct GroupsTests {
    private func bench() throws -> DoorBench {
        let bench = try DoorBench(configuration: ["group.initial.rebalance.delay.ms": "0"])
        try bench.create("t", partitions: 3)
        var find = FindCoordinatorRequest()
        find.coordinatorKeys = ["g"]
        let found = try bench.ask(find, version: 4)
        try #require(found.coordinators.map(\.errorCode) == [.none])
        return bench
    }

    private static let metadata: ByteBuffer = {
        var subscription = ConsumerSubscription()
        subscription.topics = ["t"]
        return subscription.encoded(version: 1)
    }()

    private func join(_ member: String = "", session: Int32 = 10_000, group: String = "g") -> JoinGroupRequest {
        var request = JoinGroupRequest()
        request.groupID = group
        request.sessionTimeoutMs = session
        request.rebalanceTimeoutMs = 30_000
        request.memberID = member
        request.protocolType = "consumer"
        var range = JoinGroupRequest.AssignmentProtocol()
        range.name = "range"
        range.metadata = Self.metadata
        request.protocols = [range]
        return request
    }

    private func joined(_ bench: DoorBench, version: Int16 = 9) throws -> JoinGroupResponse {
        var response = try bench.ask(self.join(), version: version)
        if version >= 4 {
            #expect(response.errorCode == .memberIDRequired)
            #expect(!response.memberID.isEmpty)
            response = try bench.ask(self.join(response.memberID), version: version)
        }
        try #require(response.errorCode == .none)
        return response
    }

    private func sync(_ joined: JoinGroupResponse, _ text: String = "yours") -> SyncGroupRequest {
        var request = SyncGroupRequest()
        request.groupID = "g"
        request.generationID = joined.generationID
        request.memberID = joined.memberID
        request.protocolType = "consumer"
        request.protocolName = "range"
        var assignment = SyncGroupRequest.Assignment()
        assignment.memberID = joined.memberID
        assignment.assignment = ByteBuffer(string: text)
        request.assignments = [assignment]
        return request
    }

    private func commit(
        _ bench: DoorBench, _ offset: Int64, generation: Int32 = -1, member: String = "", partition: Int32 = 0,
        version: Int16, group: String = "g"
    ) throws -> KafkaErrorCode? {
        var part = OffsetCommitRequest.Partition()
        part.partitionIndex = partition
        part.committedOffset = offset
        part.committedLeaderEpoch = 2
        part.committedMetadata = "m"
        var topic = OffsetCommitRequest.Topic()
        topic.name = "t"
        if version >= 10 { topic.topicID = try bench.topicID("t") }
        topic.partitions = [part]
        var request = OffsetCommitRequest()
        request.groupID = group
        request.generationIDOrMemberEpoch = generation
        request.memberID = member
        request.topics = [topic]
        return try bench.ask(request, version: version).topics.first?.partitions.first?.errorCode
    }

    // MARK: FindCoordinator

    @Test("every group's coordinator is this broker, in every version", arguments: 0...5 as ClosedRange<Int16>)
    func find(version: Int16) throws {
        let bench = try DoorBench()
        var request = FindCoordinatorRequest()
        request.key = "g"
        request.coordinatorKeys = ["g", "", "h"]
        let response = try bench.ask(request, version: version)
        if version >= 4 {
            #expect(response.coordinators.map(\.errorCode) == [.none, .invalidGroupID, .none])
            #expect(response.coordinators.map(\.nodeID) == [3, -1, 3])
            #expect(response.coordinators.first?.host == "10.1.2.3")
            #expect(response.coordinators.first?.port == 9092)
        } else {
            #expect(response.errorCode == KafkaErrorCode.none)
            #expect(response.nodeID == 3)
            #expect(response.host == "10.1.2.3")
        }
        #expect(bench.broker.topics.topic(named: "__consumer_offsets")?.partitionCount == 50)
    }

    @Test("a transactional id is sent on to its refusal, a kind of coordinator that there is not is refused here")
    func otherCoordinators() throws {
        let bench = try DoorBench()
        var request = FindCoordinatorRequest()
        request.key = "tx"
        request.keyType = 1
        #expect(try bench.ask(request, version: 3).errorCode == KafkaErrorCode.none)
        request.keyType = 2
        #expect(try bench.ask(request, version: 3).errorCode == .invalidRequest)
        #expect(bench.broker.topics.topic(named: "__consumer_offsets") == nil)
    }

    // MARK: The classic protocol

    @Test("a member joins, is given its part, and lives, in every version", arguments: 0...9 as ClosedRange<Int16>)
    func life(version: Int16) throws {
        let bench = try self.bench()
        let joined = try self.joined(bench, version: version)
        #expect(joined.generationID == 1)
        #expect(joined.leader == joined.memberID)
        #expect(joined.members.map(\.memberID) == [joined.memberID])
        #expect(joined.members.first?.metadata == Self.metadata)
        let synced = try bench.ask(self.sync(joined), version: min(version, 5))
        #expect(synced.errorCode == KafkaErrorCode.none)
        #expect(synced.assignment == ByteBuffer(string: "yours"))
        var heartbeat = HeartbeatRequest()
        heartbeat.groupID = "g"
        heartbeat.generationID = joined.generationID
        heartbeat.memberID = joined.memberID
        #expect(try bench.ask(heartbeat, version: min(version, 4)).errorCode == KafkaErrorCode.none)
        heartbeat.generationID += 1
        #expect(try bench.ask(heartbeat, version: min(version, 4)).errorCode == .illegalGeneration)
        var leave = LeaveGroupRequest()
        leave.groupID = "g"
        leave.memberID = joined.memberID
        var leaving = LeaveGroupRequest.Member()
        leaving.memberID = joined.memberID
        leave.members = [leaving]
        let left = try bench.ask(leave, version: min(version, 5))
        #expect(left.errorCode == KafkaErrorCode.none)
        if version >= 3 { #expect(left.members.map(\.errorCode) == [.none]) }
        let again = try bench.ask(leave, version: min(version, 5))
        #expect((version >= 3 ? again.members.first?.errorCode : again.errorCode) == .unknownMemberID)
    }

    @Test("what a join is refused for", arguments: [0, 5, 7, 9] as [Int16])
    func refusedJoins(version: Int16) throws {
        let bench = try self.bench()
        #expect(try bench.ask(self.join(session: 5_999), version: version).errorCode == .invalidSessionTimeout)
        #expect(try bench.ask(self.join(session: -1), version: version).errorCode == .invalidSessionTimeout)
        #expect(try bench.ask(self.join(group: ""), version: version).errorCode == .invalidGroupID)
        #expect(try bench.ask(self.join("nobody"), version: version).errorCode == .unknownMemberID)
        var noProtocols = self.join()
        noProtocols.protocols = []
        #expect(try bench.ask(noProtocols, version: version).errorCode == .inconsistentGroupProtocol)
    }

    // MARK: Positions

    @Test("a position is there as it was committed, in every pair of versions", arguments: 2...10 as ClosedRange<Int16>)
    func positions(version: Int16) throws {
        let bench = try self.bench()
        #expect(try self.commit(bench, 7, version: version) == KafkaErrorCode.none)
        for fetchVersion in 1...7 as ClosedRange<Int16> {
            var topic = OffsetFetchRequest.Topic()
            topic.name = "t"
            topic.partitionIndexes = [0, 1]
            var request = OffsetFetchRequest()
            request.groupID = "g"
            request.topics = [topic]
            let partitions = try #require(try bench.ask(request, version: fetchVersion).topics.first).partitions
            #expect(partitions.map(\.committedOffset) == [7, -1])
            #expect(partitions.map(\.metadata) == ["m", ""])
            #expect(partitions.map(\.errorCode) == [.none, .none])
            if fetchVersion >= 5 { #expect(partitions.map(\.committedLeaderEpoch) == [version >= 6 ? 2 : -1, -1]) }
        }
        for fetchVersion in 8...10 as ClosedRange<Int16> {
            var known = OffsetFetchRequest.Group()
            known.groupID = "g"
            known.topics = nil
            var unknown = OffsetFetchRequest.Group()
            unknown.groupID = "nobody"
            var topic = OffsetFetchRequest.GroupTopic()
            topic.name = "t"
            if fetchVersion >= 10 { topic.topicID = try bench.topicID("t") }
            topic.partitionIndexes = [2]
            unknown.topics = [topic]
            var bad = known
            bad.groupID = ""
            var request = OffsetFetchRequest()
            request.groups = [known, unknown, bad]
            let groups = try bench.ask(request, version: fetchVersion).groups
            #expect(groups.map(\.errorCode) == [.none, .none, .invalidGroupID])
            #expect(groups[0].topics.first?.partitions.map(\.committedOffset) == [7])
            #expect(groups[1].topics.first?.partitions.map(\.committedOffset) == [-1])
        }
    }

    @Test("a commit for a generation of a group that is not there has the code that its version knows")
    func unknownGeneration() throws {
        let bench = try self.bench()
        for version in 2...10 as ClosedRange<Int16> {
            let code = try self.commit(bench, 1, generation: 3, member: "m", version: version, group: "none")
            #expect(code == (version <= 8 ? .illegalGeneration : .groupIDNotFound))
        }
        #expect(try self.commit(bench, -2, version: 8) == .invalidRequest)
        #expect(try self.commit(bench, 1, partition: 9, version: 8) == .unknownTopicOrPartition)
    }

    // MARK: Looking

    @Test("a group that is not there is dead, and from version 6 on an error", arguments: 0...6 as ClosedRange<Int16>)
    func describe(version: Int16) throws {
        let bench = try self.bench()
        _ = try bench.ask(self.sync(self.joined(bench)), version: 5)
        var request = DescribeGroupsRequest()
        // What is named twice is told once.
        request.groups = ["g", "none", "g", "g"]
        request.includeAuthorizedOperations = true
        let groups = try bench.ask(request, version: version).groups
        #expect(groups.map(\.groupState) == ["Stable", "Dead"])
        #expect(groups.map(\.errorCode) == [.none, version >= 6 ? .groupIDNotFound : .none])
        let member = try #require(groups[0].members.first)
        #expect(member.clientID == "bench")
        #expect(member.clientHost == "/10.9.9.9")
        #expect(member.memberAssignment == ByteBuffer(string: "yours"))
        // Read, delete, describe, describe configs, alter configs.
        if version >= 3 { #expect(groups[0].authorizedOperations == 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11) }
    }

    @Test("groups are listed by state and type")
    func list() throws {
        let bench = try self.bench()
        _ = try bench.ask(self.sync(self.joined(bench)), version: 5)
        #expect(try self.commit(bench, 1, version: 9, group: "tool") == KafkaErrorCode.none)
        _ = try bench.ask(self.heartbeat("c", epoch: 0), version: 1)
        var request = ListGroupsRequest()
        #expect(try bench.ask(request, version: 5).groups.map(\.groupID) == ["c", "g", "tool"])
        request.statesFilter = ["empty"]
        #expect(try bench.ask(request, version: 5).groups.map(\.groupID) == ["tool"])
        request.statesFilter = []
        request.typesFilter = ["Consumer"]
        let consumers = try bench.ask(request, version: 5).groups
        #expect(consumers.map(\.groupID) == ["c"])
        #expect(consumers.map(\.groupState) == ["Stable"])
    }

    @Test("a group is deleted when it is empty, and its positions one by one when nobody reads them")
    func delete() throws {
        let bench = try self.bench()
        let joined = try self.joined(bench)
        _ = try bench.ask(self.sync(joined), version: 5)
        let (generation, member) = (joined.generationID, joined.memberID)
        #expect(
            try self.commit(bench, 1, generation: generation, member: member, version: 9) == KafkaErrorCode.none)
        var partition = OffsetDeleteRequest.Partition()
        partition.partitionIndex = 0
        var topic = OffsetDeleteRequest.Topic()
        topic.name = "t"
        topic.partitions = [partition]
        var positions = OffsetDeleteRequest()
        positions.groupID = "g"
        positions.topics = [topic]
        let refused = try bench.ask(positions, version: 0)
        #expect(refused.topics.first?.partitions.first?.errorCode == .groupSubscribedToTopic)
        positions.groupID = "none"
        #expect(try bench.ask(positions, version: 0).errorCode == .groupIDNotFound)
        var request = DeleteGroupsRequest()
        request.groupsNames = ["g", "none"]
        #expect(
            try bench.ask(request, version: 2).results.map(\.errorCode) == [.nonEmptyGroup, .groupIDNotFound])
        bench.advance(seconds: 11)
        positions.groupID = "g"
        #expect(
            try bench.ask(positions, version: 0).topics.first?.partitions.first?.errorCode == KafkaErrorCode.none)
        request.groupsNames = ["g"]
        #expect(try bench.ask(request, version: 2).results.map(\.errorCode) == [.none])
    }

    @Test("a request that deletes more groups than one may name is refused for each of them")
    func deleteTooMany() throws {
        let bench = try self.bench()
        var request = DeleteGroupsRequest()
        request.groupsNames = (0...Limits.groupsPerRequestMax).map { "g\($0)" }
        let results = try bench.ask(request, version: 2).results
        #expect(results.count == Limits.groupsPerRequestMax + 1)
        #expect(results.allSatisfy { $0.errorCode == .invalidRequest })
    }

    // MARK: The consumer protocol

    private func heartbeat(_ group: String, epoch: Int32, member: String = "m") -> ConsumerGroupHeartbeatRequest {
        var request = ConsumerGroupHeartbeatRequest()
        request.groupID = group
        request.memberID = member
        request.memberEpoch = epoch
        guard epoch == 0 else { return request }
        request.rebalanceTimeoutMs = 30_000
        request.subscribedTopicNames = ["t"]
        request.topicPartitions = []
        return request
    }

    @Test("a member of the consumer protocol is given its part with its first word", arguments: [0, 1] as [Int16])
    func consumer(version: Int16) throws {
        let bench = try self.bench()
        let name = version == 0 ? "" : "m"
        let joined = try bench.ask(self.heartbeat("c", epoch: 0, member: name), version: version)
        #expect(joined.errorCode == KafkaErrorCode.none)
        #expect(joined.memberID?.isEmpty == false)
        #expect(joined.assignment?.topicPartitions.map(\.partitions) == [[0, 1, 2]])
        let member = try #require(joined.memberID)
        let again = try bench.ask(
            self.heartbeat("c", epoch: joined.memberEpoch, member: member), version: version)
        #expect(again.errorCode == KafkaErrorCode.none)
        #expect(again.assignment == nil)
        let fenced = try bench.ask(self.heartbeat("c", epoch: 99, member: member), version: version)
        #expect(fenced.errorCode == .fencedMemberEpoch)
        let code = try self.commit(
            bench, 4, generation: joined.memberEpoch, member: member, version: 9, group: "c")
        #expect(code == KafkaErrorCode.none)
        #expect(
            try self.commit(bench, 4, generation: 99, member: member, version: 9, group: "c") == .staleMemberEpoch)
        var request = ConsumerGroupDescribeRequest()
        request.groupIDs = ["c", "g"]
        request.includeAuthorizedOperations = true
        let groups = try bench.ask(request, version: version).groups
        #expect(groups.map(\.errorCode) == [.none, .groupIDNotFound])
        #expect(groups[0].groupState == "Stable")
        #expect(groups[0].members.first?.assignment.topicPartitions.first?.topicName == "t")
        #expect(groups[0].authorizedOperations != Int32.min)
        var classic = DescribeGroupsRequest()
        classic.groups = ["c"]
        #expect(try bench.ask(classic, version: 5).groups.first?.groupState == "Dead")
    }

    @Test("a pattern that is none is refused with its reason")
    func pattern() throws {
        let bench = try self.bench()
        var request = self.heartbeat("c", epoch: 0)
        request.subscribedTopicNames = nil
        request.subscribedTopicRegex = "("
        let refused = try bench.ask(request, version: 1)
        #expect(refused.errorCode == .invalidRegularExpression)
        #expect(refused.errorMessage?.isEmpty == false)
        request.subscribedTopicRegex = "[s-u]"
        #expect(try bench.ask(request, version: 1).assignment?.topicPartitions.count == 1)
    }
}
