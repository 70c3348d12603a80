import ApusCore

/// Decides who should have which partition: the target that members are then led to, one revocation at a time.
///
/// Both are functions of their input alone: the same members, subscriptions, topics and former target give the same
/// answer on every broker.
package enum Assignor: String, CaseIterable, Sendable {
    /// Everybody the same number, and as little as possible moves. What a group gets that asks for nothing.
    case uniform
    /// Each topic in ranges, in the order of the members: topics with the same number of partitions fall alike.
    case range

    /// What each member should have, in the order of `problem.members`.
    package func assign(_ problem: AssignmentProblem) -> [PartitionSet] {
        guard !problem.members.isEmpty else { return [] }
        switch self {
        case .range: return RangeAssignment.assign(problem)
        case .uniform where problem.isHomogeneous: return UniformAssignment.assignAlike(problem)
        case .uniform: return UniformAssignment.assignUnlike(problem)
        }
    }
}

/// The members of a group, the topics they want, and what they were to have before.
package struct AssignmentProblem: Sendable {
    package struct Member: Sendable {
        /// What orders members: the instance id of a static member, so that its successor stands where it stood.
        package var order: String
        /// Places in `topics`, ascending.
        package var topics: [Int]
        /// Its part of the former target.
        package var before: PartitionSet

        package init(order: String, topics: [Int], before: PartitionSet) {
            self.order = order
            self.topics = topics
            self.before = before
        }
    }

    /// Those that exist, by id.
    package var topics: [SubscribableTopic]
    package var members: [Member]
    /// All members want the same topics.
    package var isHomogeneous: Bool

    package init(topics: [SubscribableTopic], members: [Member]) {
        self.topics = topics
        self.members = members
        self.isHomogeneous = members.dropFirst().allSatisfy { $0.topics == members[0].topics }
    }

    package init(topics: [SubscribableTopic], members: [Member], isHomogeneous: Bool) {
        self.topics = topics
        self.members = members
        self.isHomogeneous = isHomogeneous
    }

    /// For each topic the members that want it, in their order in `members`.
    var subscribers: [[Int]] {
        var subscribers: [[Int]] = Array(repeating: [], count: self.topics.count)
        for (index, member) in self.members.enumerated() {
            for topic in member.topics { subscribers[topic].append(index) }
        }
        return subscribers
    }
}

/// All partitions of the topics of a problem in one row, and who has each.
struct PartitionRow {
    private let topics: [SubscribableTopic]
    /// Where each topic's partitions begin; one more for the end.
    private(set) var starts: [Int] = [0]
    private var places: [TopicID: Int] = [:]
    /// The member that has the partition; −1 for nobody.
    var owner: [Int]

    init(_ topics: [SubscribableTopic]) {
        self.topics = topics
        var count = 0
        for (index, topic) in topics.enumerated() {
            self.places[topic.id] = index
            count += max(0, Int(topic.partitionCount))
            self.starts.append(count)
        }
        self.owner = Array(repeating: -1, count: count)
    }

    var count: Int { self.owner.count }

    func range(of topic: Int) -> Range<Int> { self.starts[topic]..<self.starts[topic + 1] }

    /// The place of a partition and of its topic; nil when it is not there any more.
    func place(of partition: TopicPartition) -> (topic: Int, place: Int)? {
        guard let topic = self.places[partition.topic], partition.partition.rawValue >= 0,
            partition.partition.rawValue < self.topics[topic].partitionCount
        else { return nil }
        return (topic, self.starts[topic] + Int(partition.partition.rawValue))
    }

    /// What each of `members` has.
    func sets(members: Int) -> [PartitionSet] {
        var lists: [[TopicPartition]] = Array(repeating: [], count: members)
        for (topic, start) in zip(self.topics, self.starts) {
            for index in 0..<max(0, topic.partitionCount) {
                let owner = self.owner[start + Int(index)]
                guard owner >= 0 else { continue }
                lists[owner].append(TopicPartition(topic: topic.id, partition: PartitionIndex(rawValue: index)))
            }
        }
        return lists.map { PartitionSet($0) }
    }
}
