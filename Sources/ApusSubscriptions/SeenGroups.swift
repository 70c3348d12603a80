package import ApusCore

/// Consumer groups as their members made them known, on their way into the catalogue.
///
/// Bounded in groups, in topics of one group and in topics of all: while the catalogue can not be read, nobody takes
/// them away. What does not fit is left out, and told again with the group's next join; until the catalogue was read
/// nothing goes that a group might want.
package struct SeenGroups: Sendable {
    package struct Group: Hashable, Sendable {
        package let owner: ConsumerName
        package fileprivate(set) var topics: Set<String>
        /// How often the catalogue did not take it.
        package fileprivate(set) var attempts = 0
    }

    private var groups: [SubscriptionName: Group] = [:]
    /// Of all groups together.
    package private(set) var topicCount = 0
    private let groupsMax: Int
    private let topicsMax: Int

    package init(groupsMax: Int = Limits.groupsUnregisteredMax, topicsMax: Int = Limits.topicsUnregisteredMax) {
        self.groupsMax = groupsMax
        self.topicsMax = topicsMax
    }

    package var isEmpty: Bool { self.groups.isEmpty }
    package var count: Int { self.groups.count }

    /// In no order.
    package var all: some Sequence<(key: SubscriptionName, value: Group)> { self.groups }

    package subscript(name: SubscriptionName) -> Group? { self.groups[name] }

    /// - Parameters:
    ///   - owner: the principal of the member that is here; who came first stays.
    ///   - topics: are added to what is known of the group.
    package mutating func add(_ name: SubscriptionName, owner: ConsumerName, topics: Set<String>) {
        let known = self.groups[name]
        guard known != nil || self.groups.count < self.groupsMax else { return }
        let news = known.map { topics.subtracting($0.topics) } ?? topics
        let room = min(
            Limits.topicNamesPerMemberMax - (known?.topics.count ?? 0), self.topicsMax - self.topicCount)
        // Sorted, so that what is left out does not change with every start.
        let taken = news.count <= room ? news : Set(news.sorted().prefix(max(0, room)))
        self.groups[name, default: Group(owner: owner, topics: [])].topics.formUnion(taken)
        self.topicCount += taken.count
    }

    package mutating func add(_ others: SeenGroups) {
        for (name, group) in others.groups { self.add(name, owner: group.owner, topics: group.topics) }
    }

    @discardableResult
    package mutating func remove(_ name: SubscriptionName) -> Group? {
        guard let group = self.groups.removeValue(forKey: name) else { return nil }
        self.topicCount -= group.topics.count
        return group
    }

    /// Hands over all there are, and is empty.
    package mutating func take() -> SeenGroups {
        let taken = self
        self.groups = [:]
        self.topicCount = 0
        return taken
    }

    /// The catalogue did not take it.
    /// - Returns: how often that was so.
    package mutating func refused(_ name: SubscriptionName) -> Int {
        self.groups[name]?.attempts += 1
        return self.groups[name]?.attempts ?? 1
    }
}
