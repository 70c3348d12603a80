import ApusCore
package import KafkaWire

/// Between the protocol's messages (ConsumerGroupHeartbeat, ConsumerGroupDescribe) and what groups understand.

extension ConsumerGroupHeartbeat {
    /// - Parameter fresh: an id for a member that brings none; needed for version 0 only.
    package init(
        _ request: ConsumerGroupHeartbeatRequest, version: Int16, client: ClientIdentity, fresh: MemberID? = nil
    ) {
        self.init(
            group: GroupID(request.groupID), member: MemberID(request.memberID),
            epoch: GroupEpoch(rawValue: request.memberEpoch), client: client, version: version
        )
        self.instance = request.instanceID.map(InstanceID.init(rawValue:))
        self.rack = request.rackID
        self.rebalanceTimeout = request.rebalanceTimeoutMs == -1 ? nil : .milliseconds(request.rebalanceTimeoutMs)
        self.topicNames = request.subscribedTopicNames
        self.topicPattern = request.subscribedTopicRegex
        self.assignor = request.serverAssignor
        self.owned = request.topicPartitions.map { topics in
            PartitionSet(
                byTopic: topics.map { entry in
                    let topic = TopicID(high: entry.topicID.high, low: entry.topicID.low)
                    return (topic: topic, partitions: entry.partitions)
                })
        }
        self.freshMember = fresh
    }
}

extension ConsumerGroupHeartbeatResponse {
    package init(_ reply: Result<ConsumerGroupHeartbeatReply, GroupError>) {
        self.init()
        switch reply {
        case .failure(let error):
            self.errorCode = error.code
            self.errorMessage = error.message
        case .success(let reply):
            self.memberID = reply.member.rawValue
            self.memberEpoch = reply.epoch.rawValue
            self.heartbeatIntervalMs = Int32(clamping: reply.heartbeatInterval.wholeMilliseconds)
            self.assignment = reply.assignment.map { partitions in
                var assignment = Assignment()
                assignment.topicPartitions = partitions.byTopic.map { topic, indexes in
                    var entry = TopicPartitions()
                    entry.topicID = WireUUID(high: topic.high, low: topic.low)
                    entry.partitions = indexes
                    return entry
                }
                return assignment
            }
        }
    }
}

extension ConsumerGroupDescribeResponse.Group {
    package init(_ description: ConsumerGroupDescription) {
        self.init()
        self.groupID = description.id.rawValue
        self.groupState = description.state.rawValue
        self.groupEpoch = description.epoch.rawValue
        self.assignmentEpoch = description.assignmentEpoch.rawValue
        self.assignorName = description.assignor.rawValue
        self.members = description.members.map(ConsumerGroupDescribeResponse.Member.init)
    }

    /// A group that cannot be described.
    package init(_ group: GroupID, _ error: GroupError) {
        self.init()
        self.groupID = group.rawValue
        self.errorCode = error.code
        self.errorMessage = error.message
    }
}

extension ConsumerGroupDescribeResponse.Member {
    fileprivate init(_ member: ConsumerGroupDescription.Member) {
        self.init()
        self.memberID = member.id.rawValue
        self.instanceID = member.profile.instance?.rawValue
        self.rackID = member.profile.rack
        self.memberEpoch = member.epoch.rawValue
        self.clientID = member.profile.client.clientID
        self.clientHost = member.profile.client.host
        self.subscribedTopicNames = member.profile.topicNames
        self.subscribedTopicRegex = member.profile.topicPattern
        self.assignment = ConsumerGroupDescribeResponse.Assignment(member.assignment)
        self.targetAssignment = ConsumerGroupDescribeResponse.Assignment(member.target)
        // A member of the consumer protocol (KIP-1099).
        self.memberType = 1
    }
}

extension ConsumerGroupDescribeResponse.Assignment {
    fileprivate init(_ topics: [ConsumerGroupDescription.Topic]) {
        self.init()
        self.topicPartitions = topics.map { topic in
            var entry = ConsumerGroupDescribeResponse.TopicPartitions()
            entry.topicID = WireUUID(high: topic.id.high, low: topic.id.low)
            entry.topicName = topic.name
            entry.partitions = topic.partitions
            return entry
        }
    }
}
