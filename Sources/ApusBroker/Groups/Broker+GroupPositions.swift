import ApusAccess
package import ApusGroups
package import ApusCore
package import NIOCore

/// Where groups stand.
extension Broker {
    /// OffsetCommit: READ on the group and on the topics. One answer for each part, in their order; nil for what is
    /// as durable as `__consumer_offsets` promises.
    package func commitOffsets(
        _ commit: PositionCommit, client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable ([GroupError?]) -> Void
    ) {
        let home = self.mailbox(of: loop)
        guard client.allows(.read, onGroup: commit.group.rawValue) else {
            return home.run { then(commit.parts.map { _ in .groupAuthorizationFailed }) }
        }
        let topics = self.topics
        var errors: [GroupError?] = []
        var commits: [Positions.Commit] = []
        errors.reserveCapacity(commit.parts.count)
        commits.reserveCapacity(commit.parts.count)
        for part in commit.parts {
            do throws(GroupError) {
                let topic = try Self.readable(part.topic, part.partition, in: topics, client)
                commits.append(
                    Positions.Commit(
                        topic: topic.name, topicID: topic.id, partition: part.partition, offset: part.offset,
                        leaderEpoch: part.leaderEpoch, metadata: part.metadata
                    )
                )
                errors.append(nil)
            } catch {
                errors.append(error)
            }
        }
        guard !commits.isEmpty || commit.parts.isEmpty else { return home.run { [errors] in then(errors) } }
        self.withCoordinator(of: commit.group) { [errors, commits] found in
            switch found {
            case .failure(let error): home.run { then(errors.map { $0 ?? error }) }
            case .success(let coordinator):
                coordinator.ask { reply in
                    guard case .committed(let results) = reply else { preconditionFailure("not what was asked") }
                    home.run { then(Self.merged(errors, with: results)) }
                } _: { coordinator, token, now, actions in
                    coordinator.commit(
                        commit.group, commits, as: commit.identity, commit.generation, version: commit.version,
                        retention: commit.retention, token, at: now, into: &actions
                    )
                }
            }
        }
    }

    /// The topic, for who may read it and if it has the partition. What is forbidden and what is not there are told
    /// apart as Kafka does: who may not READ a topic is told so, whether it is there or not.
    private static func readable(
        _ reference: TopicReference, _ partition: PartitionIndex, in topics: TopicSnapshot, _ client: ClientContext
    ) throws(GroupError) -> Topic {
        if case .name(let name) = reference, !client.allows(.read, onTopic: name) { throw .topicAuthorizationFailed }
        let topic: Topic
        do throws(BrokerError) {
            topic = try topics.topic(reference)
        } catch {
            throw error == .unknownTopicID ? .unknownTopicID : .unknownTopicOrPartition
        }
        // An id can not be guessed, so that it is known tells nobody anything; and clients wait for one that is not.
        guard client.allows(.read, onTopic: topic.name) else { throw .topicAuthorizationFailed }
        guard topic.contains(partition) else { throw .unknownTopicOrPartition }
        return topic
    }

    private static func merged(_ errors: [GroupError?], with results: [GroupError?]) -> [GroupError?] {
        var rest = results[...]
        return errors.map { error in
            if let error { return error }
            guard let result = rest.popFirst() else { preconditionFailure("an answer for every part") }
            return result
        }
    }

    /// OffsetFetch: DESCRIBE on the group and on the topics. A group that is not there stands nowhere, and that is no
    /// error.
    package func fetchOffsets(
        _ queries: [PositionQuery], client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable ([Result<[PositionAnswer], GroupError>]) -> Void
    ) {
        let topics = self.topics
        // Without the topic there are no groups yet.
        let hasGroups = topics.topic(named: OffsetsTopic.name) != nil
        self.eachGroup(queries, of: \.group, on: loop) { coordinator, query, answer in
            do throws(GroupError) {
                try coordinator.coordinator.checkFetch(query.group, member: query.member, epoch: query.memberEpoch)
                answer(.success(Self.positions(query, in: coordinator.coordinator.positions, topics, client)))
            } catch {
                answer(.failure(error))
            }
        } refusing: { query in
            guard client.allows(.describe, onGroup: query.group.rawValue) else { return .groupAuthorizationFailed }
            guard query.group.isValid else { return .invalidGroupID }
            return hasGroups ? nil : .groupNotFound
        } then: { results in
            guard !hasGroups else { return then(results) }
            then(
                zip(queries, results).map { query, result in
                    guard case .failure(.groupNotFound) = result else { return result }
                    return .success(Self.positions(query, in: Positions(), topics, client))
                }
            )
        }
    }

    private static func positions(
        _ query: PositionQuery, in positions: Positions, _ topics: TopicSnapshot, _ client: ClientContext
    ) -> [PositionAnswer] {
        guard let partitions = query.partitions else {
            return positions.all(of: query.group).flatMap { name, held -> [PositionAnswer] in
                guard client.mayList(.describe, on: Resource(.topic, ExactText(name))) else { return [] }
                let topic = topics.topic(named: name)
                return held.compactMap { partition, position in
                    // Positions in a topic that is gone, and in an earlier one of this name, stand nowhere.
                    guard let topic, position.topic == topic.id || position.topic == .none else { return nil }
                    return PositionAnswer(topic: name, topicID: topic.id, partition: partition, position: position)
                }
            }
        }
        return partitions.map { asked in
            var answer = PositionAnswer(topic: "", partition: asked.partition)
            switch asked.topic {
            case .name(let name): answer.topic = name
            case .id(let id): answer.topicID = id
            }
            if case .name(let name) = asked.topic, !client.allows(.describe, onTopic: name) {
                answer.error = .topicAuthorizationFailed
                return answer
            }
            guard let topic = try? topics.topic(asked.topic) else {
                // By name: a topic that is gone has no positions. By id: the client must look its topics up again.
                if case .id = asked.topic { answer.error = .unknownTopicID }
                return answer
            }
            guard client.allows(.describe, onTopic: topic.name) else {
                answer.error = .topicAuthorizationFailed
                return answer
            }
            answer.topic = topic.name
            answer.topicID = topic.id
            answer.position = positions.position(
                PositionKey(group: query.group, topic: topic.name, partition: asked.partition), topic: topic.id
            )
            return answer
        }
    }

    /// OffsetDelete: DELETE on the group, READ on the topics. One answer for each partition, in their order; nil for
    /// what is gone.
    package func deleteOffsets(
        _ group: GroupID, _ partitions: [(topic: String, partition: PartitionIndex)], client: ClientContext,
        on loop: any EventLoop, then: @escaping @Sendable (Result<[GroupError?], GroupError>) -> Void
    ) {
        let home = self.mailbox(of: loop)
        guard client.allows(.delete, onGroup: group.rawValue) else {
            return home.run { then(.failure(.groupAuthorizationFailed)) }
        }
        let topics = self.topics
        let errors = partitions.map { topic, partition -> GroupError? in
            guard client.allows(.read, onTopic: topic) else { return .topicAuthorizationFailed }
            return topics.topic(named: topic)?.contains(partition) == true ? nil : .unknownTopicOrPartition
        }
        let asked = zip(partitions, errors).filter { $0.1 == nil }.map(\.0)
        guard !asked.isEmpty || partitions.isEmpty else { return home.run { then(.success(errors)) } }
        guard topics.topic(named: OffsetsTopic.name) != nil else { return home.run { then(.failure(.groupNotFound)) } }
        self.withCoordinator(of: group) { found in
            switch found {
            case .failure(let error): home.run { then(.failure(error)) }
            case .success(let coordinator):
                coordinator.ask { reply in
                    switch reply {
                    case .positionsDeleted(let results):
                        home.run { then(.success(Self.merged(errors, with: results))) }
                    case .positionsRefused(let error): home.run { then(.failure(error)) }
                    default: preconditionFailure("not what was asked")
                    }
                } _: { coordinator, token, now, actions in
                    do throws(GroupError) {
                        try coordinator.deletePositions(group, asked, token, at: now, into: &actions)
                    } catch {
                        actions.replies.append((token, .positionsRefused(error)))
                    }
                }
            }
        }
    }
}
