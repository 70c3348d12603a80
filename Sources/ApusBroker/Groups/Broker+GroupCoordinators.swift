package import ApusGroups
package import NIOCore
import ApusAccess
import ApusCore
import Logging

/// Which coordinator, where it is, and the topic that keeps what it knows.
extension Broker {
    /// FindCoordinator: nil for each group that this broker coordinates, which on a lone broker is every one.
    ///
    /// Makes `__consumer_offsets` when it is first asked for.
    package func findCoordinators(
        of groups: [GroupID], client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable ([GroupError?]) -> Void
    ) {
        let home = self.mailbox(of: loop)
        let refusals = groups.map { group -> GroupError? in
            guard client.allows(.describe, onGroup: group.rawValue) else { return .groupAuthorizationFailed }
            return group.isValid ? nil : .invalidGroupID
        }
        guard refusals.contains(nil), self.topics.topic(named: OffsetsTopic.name) == nil else {
            return home.run { then(refusals) }
        }
        self.makeOffsetsTopic { error in
            home.run { then(refusals.map { $0 ?? error }) }
        }
    }

    private func makeOffsetsTopic(then: @escaping @Sendable (GroupError?) -> Void) {
        self.create([OffsetsTopic.specification], client: .embedded, on: self.registry.loop) { results in
            switch results[0] {
            case .success:
                self.loadGroups()
                then(nil)
            // Somebody else was faster.
            case .failure(.topicExists): then(nil)
            case .failure(let error):
                self.ports.logger.error(
                    "the topic of groups can not be made", metadata: ["reason": "\(error)"])
                then(.unavailable)
            }
        }
    }

    /// Begins to load all groups, if there can be any.
    func loadGroups() {
        guard let topic = self.topics.topic(named: OffsetsTopic.name) else { return }
        for shard in self.shards { shard.mailbox.run { shard.groups.loadAll(of: topic) } }
    }

    /// Sends those away who wait for other members of their group, and takes no more requests of groups: what a stop
    /// begins with, so that nobody's request is waited for who waits himself.
    package func closeGroups() {
        for shard in self.shards { shard.mailbox.run { shard.groups.close() } }
    }

    // MARK: The way to a coordinator

    /// Goes on with the coordinator of a group, on its loop; or with why there is none.
    func withCoordinator(
        of group: GroupID, _ body: @escaping @Sendable (Result<ShardCoordinator, GroupError>) -> Void
    ) {
        guard let topic = self.topics.topic(named: OffsetsTopic.name) else { return body(.failure(.notCoordinator)) }
        let partition = OffsetsTopic.partition(of: group, count: topic.partitionCount)
        let shard = self.shard(of: topic, partition)
        shard.mailbox.run {
            guard !shard.groups.isClosed else { return body(.failure(.notCoordinator)) }
            body(.success(shard.groups.coordinator(of: topic, partition)))
        }
    }

    /// Asks a coordinator for each item, and answers when all have, in the items' order.
    func eachGroup<Item: Sendable, Value: Sendable>(
        _ items: [Item], of group: (Item) -> GroupID, on loop: any EventLoop,
        _ ask:
            @escaping @Sendable (
                ShardCoordinator, Item, @escaping @Sendable (Result<Value, GroupError>) -> Void
            ) -> Void,
        refusing refusal: (Item) -> GroupError?,
        then: @escaping @Sendable ([Result<Value, GroupError>]) -> Void
    ) {
        let home = self.mailbox(of: loop)
        guard !items.isEmpty else { return home.run { then([]) } }
        let nothing = [Result<Value, GroupError>](repeating: .failure(.notCoordinator), count: items.count)
        let gather = BrokerGather(nothing, missing: items.count) { results in home.run { then(results) } }
        for (place, item) in items.enumerated() {
            if let refusal = refusal(item) {
                gather.put(.failure(refusal), at: place)
                continue
            }
            self.withCoordinator(of: group(item)) { found in
                switch found {
                case .success(let coordinator): ask(coordinator, item) { gather.put($0, at: place) }
                case .failure(let error): gather.put(.failure(error), at: place)
                }
            }
        }
    }

    /// 128 random bits as text, for the name of a new member.
    func uniqueName() -> String {
        TopicID(from: self.ports.randomness).description
    }
}
