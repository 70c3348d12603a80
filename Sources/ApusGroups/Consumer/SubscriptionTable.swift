import ApusCore

/// The different subscriptions of a group's members, each once, with the number of members that have it.
///
/// A thousand members mostly want the same thousand topics. Kept once, the list costs its memory once, and what must be
/// worked out for it (which topics exist, whether all members want the same) is worked out once.
struct SubscriptionTable: Sendable {
    struct Subscription: Hashable, Sendable {
        var topicNames: [String]
        var pattern: String?
        /// Nil: the pattern stands for all topics that it matches.
        var reader: TopicReader?

        init(_ profile: ConsumerMember.Profile) {
            self.topicNames = profile.topicNames
            self.pattern = profile.topicPattern
            self.reader = profile.reader
        }

        /// What it takes of the memory, about.
        var bytesHeld: Int {
            self.topicNames.reduce(Limits.nameMemory.rawValue + (self.pattern?.utf8.count ?? 0)) {
                $0 + Limits.nameMemory.rawValue + $1.utf8.count
            }
        }
    }

    private var ids: [Subscription: Int] = [:]
    private(set) var entries: [Int: (subscription: Subscription, members: Int)] = [:]
    private var idNext = 0
    /// For each name how many subscriptions have it.
    private var nameCounts: [String: Int] = [:]
    private var patternCounts: [String: Int] = [:]
    /// Names in all lists together.
    private var namesHeld = 0
    /// Subscriptions whose topics are a matter of somebody's rights.
    private var readersHeld = 0

    /// What the lists take of the memory, about.
    private(set) var bytesHeld = 0

    /// Whether rights decide about any of them.
    var hasReaders: Bool { self.readersHeld > 0 }

    var patterns: Dictionary<String, Int>.Keys { self.patternCounts.keys }

    func names(_ topic: String) -> Bool { self.nameCounts[topic] != nil }
    func hasPattern(_ pattern: String) -> Bool { self.patternCounts[pattern] != nil }
    /// Topics that members name.
    var topicNames: Dictionary<String, Int>.Keys { self.nameCounts.keys }

    /// Whether it is there already, or has room beside the others: the lists of all members together are bounded.
    func hasRoom(for subscription: Subscription) -> Bool {
        self.ids[subscription] != nil || self.namesHeld + subscription.topicNames.count <= Limits.topicNamesPerGroupMax
    }

    subscript(id: Int) -> Subscription? { self.entries[id]?.subscription }

    /// One more member has it.
    mutating func retain(_ subscription: Subscription) -> Int {
        if let id = self.ids[subscription] {
            self.entries[id]?.members += 1
            return id
        }
        let id = self.idNext
        self.idNext += 1
        self.ids[subscription] = id
        self.entries[id] = (subscription, 1)
        self.namesHeld += subscription.topicNames.count
        self.bytesHeld += subscription.bytesHeld
        for name in subscription.topicNames { self.nameCounts[name, default: 0] += 1 }
        if let pattern = subscription.pattern { self.patternCounts[pattern, default: 0] += 1 }
        if subscription.reader != nil { self.readersHeld += 1 }
        return id
    }

    /// One member less has it.
    mutating func release(_ id: Int) {
        guard let entry = self.entries[id] else { return }
        guard entry.members == 1 else {
            self.entries[id]?.members -= 1
            return
        }
        self.entries[id] = nil
        self.ids[entry.subscription] = nil
        self.namesHeld -= entry.subscription.topicNames.count
        self.bytesHeld -= entry.subscription.bytesHeld
        for name in entry.subscription.topicNames { Self.decrease(&self.nameCounts, name) }
        if let pattern = entry.subscription.pattern { Self.decrease(&self.patternCounts, pattern) }
        if entry.subscription.reader != nil { self.readersHeld -= 1 }
    }

    private static func decrease(_ counts: inout [String: Int], _ name: String) {
        guard let count = counts[name] else { return }
        counts[name] = count > 1 ? count - 1 : nil
    }
}
