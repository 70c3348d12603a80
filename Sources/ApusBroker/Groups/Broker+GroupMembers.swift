import ApusAccess
import ApusCore
package import ApusGroups
import KafkaWire
package import NIOCore

/// Joining a group, staying in it, leaving it: READ on the group.
extension Broker {
    /// JoinGroup. Answered when a generation was made, which may take as long as the slowest member.
    ///
    /// - Parameter request: `memberNew` is filled in here.
    package func joinGroup(
        _ group: GroupID, _ request: JoinRequest, client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable (Result<JoinedGroup, JoinRefusal>) -> Void
    ) {
        let home = self.mailbox(of: loop)
        guard client.allows(.read, onGroup: group.rawValue) else {
            return home.run {
                then(.failure(JoinRefusal(error: .groupAuthorizationFailed, member: request.member)))
            }
        }
        var named = request
        named.memberNew = MemberID(of: request.client, instance: request.instance, unique: self.uniqueName())
        self.withCoordinator(of: group) { [named] found in
            switch found {
            case .failure(let error):
                home.run { then(.failure(JoinRefusal(error: error, member: named.member))) }
            case .success(let coordinator):
                coordinator.ask { [self] reply in
                    guard case .classic(.join(let result)) = reply else { preconditionFailure("not what was asked") }
                    if case .success = result {
                        self.subscriptions.groupSeen(
                            group.rawValue, owner: client.principal, topics: self.readable(named.topicNames, client))
                    }
                    home.run { then(result) }
                } _: { coordinator, token, now, actions in
                    coordinator.join(group, named, token, at: now, into: &actions)
                }
            }
        }
    }

    /// SyncGroup. Answered when the leader has assigned.
    package func syncGroup(
        _ group: GroupID, _ request: SyncRequest, client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable (Result<SyncedGroup, GroupError>) -> Void
    ) {
        let home = self.mailbox(of: loop)
        guard client.allows(.read, onGroup: group.rawValue) else {
            return home.run { then(.failure(.groupAuthorizationFailed)) }
        }
        self.withCoordinator(of: group) { found in
            switch found {
            case .failure(let error): home.run { then(.failure(error)) }
            case .success(let coordinator):
                coordinator.ask { reply in
                    guard case .classic(.sync(let result)) = reply else { preconditionFailure("not what was asked") }
                    home.run { then(result) }
                } _: { coordinator, token, now, actions in
                    coordinator.sync(group, request, token, at: now, into: &actions)
                }
            }
        }
    }

    /// Heartbeat. nil: all is well.
    package func heartbeat(
        _ group: GroupID, _ identity: MemberIdentity, _ generation: Generation, client: ClientContext,
        on loop: any EventLoop, then: @escaping @Sendable (GroupError?) -> Void
    ) {
        let home = self.mailbox(of: loop)
        guard client.allows(.read, onGroup: group.rawValue) else {
            return home.run { then(.groupAuthorizationFailed) }
        }
        self.withCoordinator(of: group) { found in
            do throws(GroupError) {
                let coordinator = try found.get()
                try coordinator.heartbeat(group, identity, generation)
                coordinator.seen(group, client.principal)
                home.run { then(nil) }
            } catch {
                home.run { then(error) }
            }
        }
    }

    /// LeaveGroup: one answer for each who leaves.
    package func leaveGroup(
        _ group: GroupID, _ identities: [MemberIdentity], client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable ([LeaveResult]) -> Void
    ) {
        let home = self.mailbox(of: loop)
        let refuse: @Sendable (GroupError) -> Void = { error in
            home.run { then(identities.map { LeaveResult(identity: $0, error: error) }) }
        }
        guard client.allows(.read, onGroup: group.rawValue) else { return refuse(.groupAuthorizationFailed) }
        self.withCoordinator(of: group) { found in
            switch found {
            case .failure(let error): refuse(error)
            case .success(let coordinator):
                coordinator.ask { reply in
                    guard case .classic(.left(let results)) = reply else { preconditionFailure("not what was asked") }
                    home.run { then(results) }
                } _: { coordinator, token, now, actions in
                    coordinator.leave(group, identities, token, at: now, into: &actions)
                }
            }
        }
    }

    /// ConsumerGroupHeartbeat (KIP-848); also DESCRIBE on the topics that it names. Of those that its pattern matches
    /// it is told of those that it may DESCRIBE.
    package func consumerGroupHeartbeat(
        _ request: ConsumerGroupHeartbeat, client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable (Result<ConsumerGroupHeartbeatReply, GroupError>) -> Void
    ) {
        let home = self.mailbox(of: loop)
        guard client.allows(.read, onGroup: request.group.rawValue) else {
            return home.run { then(.failure(.groupAuthorizationFailed)) }
        }
        guard request.topicNames?.allSatisfy({ client.allows(.describe, onTopic: $0) }) ?? true else {
            return home.run { then(.failure(.topicAuthorizationFailed)) }
        }
        var named = request
        named.principal = client.access.isUnrestricted ? nil : client.principal.description
        if request.version == 0, request.member == .none, request.epoch == .join {
            named.freshMember = MemberID(self.uniqueName())
        }
        self.withCoordinator(of: request.group) { [named] found in
            switch found {
            case .failure(let error): home.run { then(.failure(error)) }
            case .success(let coordinator):
                coordinator.heartbeat(named) { [self] reply in
                    guard case .consumer(let result) = reply else { preconditionFailure("not what was asked") }
                    if case .success(let answer) = result {
                        if named.topicNames == nil, answer.assignment == nil {
                            coordinator.seen(named.group, client.principal)
                        } else {
                            let topics = self.names(of: answer.assignment ?? .empty) + (named.topicNames ?? [])
                            self.subscriptions.groupSeen(
                                named.group.rawValue, owner: client.principal, topics: self.readable(topics, client))
                        }
                    }
                    home.run { then(result) }
                }
            }
        }
    }
}

extension Broker {
    /// Of topics that a member names, those that are there and that it may read. To name a topic must not be enough to
    /// become its reader: where reading frees, what a group has not read stays. No refusal: nothing was asked for.
    fileprivate func readable(_ names: [String], _ client: ClientContext) -> [String] {
        let topics = self.topics
        var readable: Set<String> = []
        for name in names.prefix(Limits.topicNamesPerMemberMax) {
            // The topic's own string is kept, not the request's.
            guard let known = topics.topic(named: name)?.name, !readable.contains(known),
                client.mayList(.read, on: Resource(.topic, ExactText(known)))
            else { continue }
            readable.insert(known)
        }
        return Array(readable)
    }

    /// What a member was given to read: also topics that it did not name itself, or that came later.
    fileprivate func names(of partitions: PartitionSet) -> [String] {
        let topics = self.topics
        return Set(partitions.map(\.topic)).compactMap { topics.topic(id: $0)?.name }
    }
}

extension JoinRequest {
    /// The topics that a consumer says it wants; none for other members, and where it can not be read.
    fileprivate var topicNames: [String] {
        guard self.protocolType == "consumer", let told = self.protocols.first?.metadata,
            let subscription = try? ConsumerSubscription(from: told)
        else { return [] }
        return subscription.topics
    }
}

extension ShardCoordinator {
    /// Nothing of it is written, so it is answered here and now.
    fileprivate func heartbeat(
        _ group: GroupID, _ identity: MemberIdentity, _ generation: Generation
    ) throws(GroupError) {
        try self.coordinator.heartbeat(group, identity, generation, at: self.now)
        // Deadlines only move away, so nobody is woken.
    }
}
