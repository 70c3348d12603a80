package import ApusCore

/// A group as people see it: what ConsumerGroupDescribe answers.
package struct ConsumerGroupDescription: Hashable, Sendable {
    package struct Member: Hashable, Sendable {
        package var id: MemberID
        package var profile: ConsumerMember.Profile
        package var epoch: GroupEpoch
        package var assignment: [Topic]
        package var target: [Topic]
    }

    package struct Topic: Hashable, Sendable {
        package var id: TopicID
        package var name: String
        package var partitions: [Int32]
    }

    package var id: GroupID
    package var state: ConsumerGroup.State
    package var epoch: GroupEpoch
    package var assignmentEpoch: GroupEpoch
    package var assignor: Assignor
    /// By id.
    package var members: [Member]
}

extension ConsumerGroup {
    /// Partitions of topics that do not exist any more are left out: they have no name.
    package func describe(_ topics: any SubscribableTopics) -> ConsumerGroupDescription {
        func named(_ partitions: PartitionSet?) -> [ConsumerGroupDescription.Topic] {
            (partitions ?? .empty).byTopic.compactMap { id, partitions in
                topics.topic(id: id).map { .init(id: id, name: $0.name, partitions: partitions) }
            }
        }
        return ConsumerGroupDescription(
            id: self.id, state: self.state, epoch: self.epoch ?? .join, assignmentEpoch: self.assignmentEpoch,
            assignor: self.assignor,
            members: self.members.values.sorted { $0.id < $1.id }.map {
                .init(
                    id: $0.id, profile: $0.profile, epoch: $0.current.epoch, assignment: named($0.current.assigned),
                    target: named(self.targets[$0.id])
                )
            }
        )
    }
}
