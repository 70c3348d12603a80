import ApusCore
import KafkaWire

/// What can be done with groups of consumers from outside. Got from ``ApusClient/groups``.
///
/// Every call throws `.unreachable`, `.timedOut`, `.closed`, `.notAuthorized` besides what it names. A coordinator that
/// is loading, moving or not there yet is asked again until the call's time is over.
public struct GroupAdmin: Sendable {
    let core: ClientCore

    /// Every group of the cluster, by name.
    public func list() async throws -> [GroupSummary] {
        try await self.core.retrying(repeatingIndefinite: true) { () throws(ApusError) in
            try await self.core.learn([], within: self.core.configuration.callTimeout)
            let brokers = await self.core.ask { self.core.metadata.brokers.keys.sorted() }
            var groups: [GroupSummary] = []
            for broker in brokers {
                let response = try await self.core.call(ListGroupsRequest(), to: .broker(broker))
                if let code = response.errorCode.failure { throw response.error(code, "groups of broker \(broker)") }
                groups += response.groups.map { GroupSummary($0, coordinator: broker) }
            }
            return groups.sorted { $0.name < $1.name }
        }
    }

    /// A group and its members, whichever kind it is.
    /// - Throws: `.unknownGroup`.
    public func describe(_ name: String) async throws -> GroupDescription {
        let coordinator = GroupCoordinator(core: self.core, group: name)
        return try await self.core.retrying(repeatingIndefinite: true) { () throws(ApusError) in
            if let group = try await self.describeConsumer(coordinator) { return group }
            return try await self.describeClassic(coordinator)
        }
    }

    /// nil when it is not of that kind, or the broker does not know the kind.
    private func describeConsumer(_ coordinator: GroupCoordinator) async throws(ApusError) -> GroupDescription? {
        var request = ConsumerGroupDescribeRequest()
        request.groupIDs = [coordinator.group]
        let response: BrokerAnswer<ConsumerGroupDescribeResponse>
        do throws(ApusError) {
            response = try await coordinator.ask(request)
        } catch {
            guard error.code == .unsupported else { throw error }
            return nil
        }
        guard let group = response.groups.first(where: { $0.groupID == coordinator.group }) else {
            throw response.unanswered("group \(coordinator.group)")
        }
        switch group.errorCode {
        case .none: return GroupDescription(group, coordinator: response.peer.id)
        case .groupIDNotFound, .unsupportedVersion: return nil
        default: throw response.error(group.errorCode, group: coordinator.group, message: group.errorMessage)
        }
    }

    private func describeClassic(_ coordinator: GroupCoordinator) async throws(ApusError) -> GroupDescription {
        var request = DescribeGroupsRequest()
        request.groups = [coordinator.group]
        let response = try await coordinator.ask(request)
        guard let group = response.groups.first(where: { $0.groupID == coordinator.group }) else {
            throw response.unanswered("group \(coordinator.group)")
        }
        if let code = group.errorCode.failure { throw response.error(code, group: coordinator.group) }
        // Up to version 5 a group that is not there is one that is dead.
        guard group.groupState != GroupState.dead.rawValue else {
            throw response.error(.groupIDNotFound, group: coordinator.group)
        }
        return GroupDescription(group, coordinator: response.peer.id)
    }

    /// Deletes a group with its positions.
    /// - Throws: `.unknownGroup`, `.groupNotEmpty`.
    public func delete(_ name: String) async throws {
        let coordinator = GroupCoordinator(core: self.core, group: name)
        try await self.core.retrying(repeatingIndefinite: false) { () throws(ApusError) in
            var request = DeleteGroupsRequest()
            request.groupsNames = [name]
            let response = try await coordinator.ask(request)
            guard let result = response.results.first(where: { $0.groupID == name }) else {
                throw response.unanswered("group \(name)")
            }
            if let code = result.errorCode.failure { throw response.error(code, group: name) }
        }
    }
}

extension GroupSummary {
    fileprivate init(_ group: ListGroupsResponse.Group, coordinator: BrokerID) {
        self.init(
            name: group.groupID,
            // Brokers write it in capitals and not.
            kind: group.groupType.isEmpty ? nil : GroupKind(rawValue: group.groupType.lowercased()),
            state: group.groupState.isEmpty ? nil : GroupState(rawValue: group.groupState),
            protocolType: group.protocolType, coordinator: coordinator
        )
    }
}

extension GroupDescription {
    fileprivate init(_ group: ConsumerGroupDescribeResponse.Group, coordinator: BrokerID?) {
        self.init(
            name: group.groupID, kind: .consumer, state: GroupState(rawValue: group.groupState),
            protocolType: "consumer", assignor: group.assignorName, epoch: group.groupEpoch,
            assignmentEpoch: group.assignmentEpoch, coordinator: coordinator,
            members: group.members.map { member in
                Member(
                    id: member.memberID, instanceID: member.instanceID, clientID: member.clientID,
                    host: member.clientHost, rack: member.rackID, epoch: member.memberEpoch,
                    topics: member.subscribedTopicNames.sorted(), topicPattern: member.subscribedTopicRegex,
                    partitions: Self.partitions(member.assignment.topicPartitions),
                    partitionsTarget: Self.partitions(member.targetAssignment.topicPartitions)
                )
            }.sorted { $0.id < $1.id }
        )
    }

    private static func partitions(
        _ topics: [ConsumerGroupDescribeResponse.TopicPartitions]
    ) -> [NamedPartition] {
        topics.flatMap { topic in
            topic.partitions.map { NamedPartition(topic.topicName, PartitionIndex(rawValue: $0)) }
        }.sorted()
    }

    fileprivate init(_ group: DescribeGroupsResponse.Group, coordinator: BrokerID?) {
        let isConsumer = group.protocolType == "consumer"
        self.init(
            name: group.groupID, kind: .classic, state: GroupState(rawValue: group.groupState),
            protocolType: group.protocolType, assignor: group.protocolData, epoch: nil, assignmentEpoch: nil,
            coordinator: coordinator,
            members: group.members.map { member in
                // What members tell each other is theirs: where it can not be read, nothing is known of it.
                let wanted = isConsumer ? try? ConsumerSubscription(from: member.memberMetadata) : nil
                let given = isConsumer ? try? ConsumerAssignment(from: member.memberAssignment) : nil
                return Member(
                    id: member.memberID, instanceID: member.groupInstanceID, clientID: member.clientID,
                    host: member.clientHost, rack: wanted?.rackID, epoch: nil, topics: wanted?.topics.sorted() ?? [],
                    topicPattern: nil,
                    partitions: (given?.partitions ?? []).flatMap { topic in
                        topic.partitions.map { NamedPartition(topic.topic, PartitionIndex(rawValue: $0)) }
                    }.sorted(),
                    partitionsTarget: nil
                )
            }.sorted { $0.id < $1.id }
        )
    }
}
