import ApusAccess
import ApusCore
package import ApusGroups
package import NIOCore

/// What groups there are, and what is in them.
extension Broker {
    /// DescribeGroups: DESCRIBE on the group. nil for a group that is not there, or of KIP-848.
    package func describeGroups(
        _ groups: [GroupID], client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable ([Result<ClassicDescription?, GroupError>]) -> Void
    ) {
        let hasGroups = self.topics.topic(named: OffsetsTopic.name) != nil
        self.eachGroup(groups, of: \.self, on: loop) { coordinator, group, answer in
            do throws(GroupError) {
                answer(.success(try coordinator.coordinator.describe(group)))
            } catch {
                answer(.failure(error))
            }
        } refusing: {
            self.refusal(describing: $0, hasGroups, client)
        } then: { results in
            then(
                results.map { result in
                    if case .failure(.groupNotFound) = result { return .success(nil) }
                    return result
                }
            )
        }
    }

    /// ConsumerGroupDescribe (KIP-848): DESCRIBE on the group, and on every topic that its members are told of.
    ///
    /// `.groupNotFound` also for a group of the classic protocol.
    package func consumerGroupDescribe(
        _ groups: [GroupID], client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable ([Result<ConsumerGroupDescription, GroupError>]) -> Void
    ) {
        let hasGroups = self.topics.topic(named: OffsetsTopic.name) != nil
        self.eachGroup(groups, of: \.self, on: loop) { coordinator, group, answer in
            do throws(GroupError) {
                let description = try coordinator.coordinator.describeConsumerGroup(group, topics: coordinator.topics)
                guard description.topicNames.allSatisfy({ client.allows(.describe, onTopic: $0) }) else {
                    throw .topicAuthorizationFailed
                }
                answer(.success(description))
            } catch {
                answer(.failure(error))
            }
        } refusing: {
            self.refusal(describing: $0, hasGroups, client)
        } then: {
            then($0)
        }
    }

    private func refusal(describing group: GroupID, _ hasGroups: Bool, _ client: ClientContext) -> GroupError? {
        guard client.allows(.describe, onGroup: group.rawValue) else { return .groupAuthorizationFailed }
        // Without the topic there are no groups yet.
        return hasGroups ? nil : .groupNotFound
    }

    /// ListGroups: those that the client may DESCRIBE.
    ///
    /// - Throws: `.loading` while one coordinator is not loaded.
    package func listGroups(
        client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable (Result<[GroupCoordinator.Listing], GroupError>) -> Void
    ) {
        let home = self.mailbox(of: loop)
        guard let topic = self.topics.topic(named: OffsetsTopic.name) else { return home.run { then(.success([])) } }
        let all = client.mayList(.describe, on: .cluster)
        let gather = BrokerGather(
            [Result<[GroupCoordinator.Listing], GroupError>](
                repeating: .success([]), count: Int(topic.partitionCount)),
            missing: Int(topic.partitionCount)
        ) { lists in
            let result = Result { () throws(GroupError) in
                var groups: [GroupCoordinator.Listing] = []
                for list in lists { groups += try list.get() }
                if !all {
                    groups = groups.filter {
                        client.mayList(.describe, on: Resource(.group, ExactText($0.group.rawValue)))
                    }
                }
                return groups.sorted { $0.group < $1.group }
            }
            home.run { then(result) }
        }
        for partition in topic.partitions.map(\.index) {
            let shard = self.shard(of: topic, partition)
            shard.mailbox.run {
                guard !shard.groups.isClosed else {
                    return gather.put(.failure(.notCoordinator), at: Int(partition.rawValue))
                }
                let coordinator = shard.groups.coordinator(of: topic, partition)
                let list = Result { () throws(GroupError) in try coordinator.coordinator.list() }
                gather.put(list, at: Int(partition.rawValue))
            }
        }
    }

    /// DeleteGroups: DELETE on the group. nil for each that is gone.
    package func deleteGroups(
        _ groups: [GroupID], client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable ([GroupError?]) -> Void
    ) {
        let hasGroups = self.topics.topic(named: OffsetsTopic.name) != nil
        self.eachGroup(groups, of: \.self, on: loop) { coordinator, group, answer in
            coordinator.ask { reply in
                guard case .deleted(let error) = reply else { preconditionFailure("not what was asked") }
                answer(.success(error))
            } _: { coordinator, token, now, actions in
                coordinator.delete(group, token, at: now, into: &actions)
            }
        } refusing: { group in
            guard client.allows(.delete, onGroup: group.rawValue) else { return .groupAuthorizationFailed }
            guard group.isValid else { return .invalidGroupID }
            return hasGroups ? nil : .groupNotFound
        } then: { (results: [Result<GroupError?, GroupError>]) in
            then(
                results.map { result in
                    switch result {
                    case .success(let error): error
                    case .failure(let error): error
                    }
                }
            )
        }
    }
}

extension ConsumerGroupDescription {
    /// Every topic that is named in it.
    fileprivate var topicNames: Set<String> {
        var names: Set<String> = []
        for member in self.members {
            names.formUnion(member.profile.topicNames)
            for topic in member.assignment { names.insert(topic.name) }
            for topic in member.target { names.insert(topic.name) }
        }
        return names
    }
}
