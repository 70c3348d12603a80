import ApusAccess
import ApusCore
import HashTreeCollections

/// How many topics and partitions each principal has made. Part of the registry's draft, so that two creations at the
/// edge of a cap see one another.
struct TopicOwners: Sendable {
    struct Count: Hashable, Sendable {
        var topics = 0
        var partitions = 0
    }

    private struct Entry {
        /// Kept, so that the topics of one owner share one text.
        let owner: Principal
        var count = Count()
    }

    private var entries: TreeDictionary<Principal, Entry> = [:]

    func count(of owner: Principal) -> Count { self.entries[owner]?.count ?? Count() }

    /// The same principal, as its other topics name it.
    func known(_ owner: Principal) -> Principal { self.entries[owner]?.owner ?? owner }

    mutating func add(_ topic: Topic) {
        guard let owner = topic.owner else { return }
        var entry = self.entries[owner] ?? Entry(owner: owner)
        entry.count.topics += 1
        entry.count.partitions += Int(topic.partitionCount)
        self.entries[owner] = entry
    }

    mutating func remove(_ topic: Topic) {
        guard let owner = topic.owner, var entry = self.entries[owner] else { return }
        entry.count.topics -= 1
        entry.count.partitions -= Int(topic.partitionCount)
        self.entries[owner] = entry.count.topics > 0 ? entry : nil
    }
}

/// For whom the caps of a request hold. Where nobody logs in everybody is one principal, so there are none; super users
/// and the broker's own process have none either, neither as owners nor as those who ask.
struct OwnerCaps: Sendable {
    static let none = OwnerCaps(isOn: false, exempt: [])

    let isOn: Bool
    let exempt: Set<Principal>

    private init(isOn: Bool, exempt: Set<Principal>) {
        self.isOn = isOn
        self.exempt = exempt
    }

    init(for client: ClientContext, _ access: BrokerAccess) {
        self.init(isOn: access.isAuthorizing && !client.access.isUnrestricted, exempt: access.superUsers)
    }

    func hold(for owner: Principal) -> Bool { self.isOn && !self.exempt.contains(owner) }
}

extension TopicRegistry {
    /// Refuses what would lead an owner over a cap.
    func check(
        _ caps: OwnerCaps, of owner: Principal?, moreTopics: Int, morePartitions: Int
    ) throws(BrokerError) {
        guard let owner, caps.hold(for: owner) else { return }
        let count = self.owners.count(of: owner)
        try self.check(.topicsPerPrincipal, owner, "topics", has: count.topics, more: moreTopics)
        try self.check(.partitionsPerPrincipal, owner, "partitions", has: count.partitions, more: morePartitions)
    }

    private func check(
        _ option: BrokerOption, _ owner: Principal, _ things: String, has count: Int, more: Int
    ) throws(BrokerError) {
        guard more > 0, let cap = Int(self.table.value(option)), cap >= 0, count + more > cap else { return }
        let wish = more == 1 ? "one more" : "\(more) more"
        throw .policyViolation(
            "\(owner) has \(count) \(things) and asks for \(wish), at most \(cap) are allowed (\(option.rawValue)): "
                + "delete topics that are not needed, or have the operator raise it")
    }
}
