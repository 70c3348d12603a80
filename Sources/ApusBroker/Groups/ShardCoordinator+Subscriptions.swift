import ApusAccess
import ApusCore
import ApusGroups
import NIOCore

/// What the consumer manager hears of groups: that they are used, where they stand, that they are gone.
extension ShardCoordinator {
    /// Somebody is in the group. Told at most every few seconds of each, as members say so all the time.
    func seen(_ group: GroupID, _ owner: Principal) {
        let now = self.world.ports.clock.now
        if let last = self.seenAt[group], now.since(last) < Limits.groupSeenPause { return }
        // Groups that went without a word were never told of as gone.
        if self.seenAt.count >= Limits.groupsPerCoordinatorMax { self.seenAt.removeAll() }
        self.seenAt[group] = now
        self.world.subscriptions.groupSeen(group.rawValue, owner: owner, topics: [])
    }

    /// These are as durable as they will be, and applied.
    func tell(_ writes: [GroupWrite]) {
        var changed: [(TopicPartition, Offset)] = []
        var of: GroupID?
        var gone: Set<GroupID> = []
        let topics = self.world.topics()
        func flush() {
            if let of, !changed.isEmpty { self.world.subscriptions.positionsChanged(of: of.rawValue, changed) }
            changed.removeAll(keepingCapacity: true)
        }
        for write in writes {
            for fact in write.facts {
                switch fact {
                case .position(let key, let position?):
                    if of != key.group { flush() }
                    of = key.group
                    guard let place = Self.place(key, position, topics) else { continue }
                    changed.append((place, position.offset))
                case .position(let key, nil): gone.insert(key.group)
                case .classic(let group, nil): gone.insert(group)
                case .classic(_, _?): break
                }
            }
            for case .group(let group, nil) in write.consumerRecords { gone.insert(group) }
        }
        flush()
        for group in gone where !self.coordinator.holds(group) {
            self.seenAt[group] = nil
            self.world.subscriptions.groupDeleted(group.rawValue)
        }
    }

    /// Every position that was found while loading, a few groups in each turn of the loop.
    func tellAll() {
        self.tell(found: Array(self.coordinator.positions.groupIDs)[...])
    }

    private func tell(found groups: ArraySlice<GroupID>) {
        guard case .live = self.phase else { return }
        let topics = self.world.topics()
        for group in groups.prefix(Limits.groupsToldPerTurn) {
            let changed = self.coordinator.positions.all(of: group).flatMap { name, positions in
                positions.compactMap { partition, position in
                    Self.place(PositionKey(group: group, topic: name, partition: partition), position, topics)
                        .map { ($0, position.offset) }
                }
            }
            self.world.subscriptions.positionsChanged(of: group.rawValue, changed, isLoading: true)
        }
        let rest = groups.dropFirst(Limits.groupsToldPerTurn)
        guard rest.isEmpty else { return self.shard.loop.execute { self.tell(found: rest) } }
        guard let topic = self.world.topic(self.topicID) else { return }
        self.world.subscriptions.coordinatorLoaded(partition: self.partition, of: topic.partitionCount)
    }

    /// Where a position is, by the id of its topic; nil when the topic is gone, or another has its name.
    private static func place(_ key: PositionKey, _ position: Position, _ topics: TopicSnapshot) -> TopicPartition? {
        guard let topic = topics.topic(named: key.topic), position.topic == .none || position.topic == topic.id else {
            return nil
        }
        return TopicPartition(topic: topic.id, partition: key.partition)
    }
}
