import ApusCore
import EdgeDoor

/// What is known of the topics upstream: of those that somebody asked for, for a while.
///
/// What it says of a topic is at most ``UpstreamLimits/topicAgeMax`` old. A topic that is in use is asked for again and
/// again by whoever owns the book (``due(at:)``); one that nobody uses is forgotten. Brokers themselves say by a
/// request's answer that a topic is gone or led by another (``doubt(_:)``), mostly before the book knows.
struct TopicBook: Sendable {
    struct Leader: Hashable, Sendable {
        var broker: BrokerID
        var epoch: Epoch
    }

    /// A topic as a broker told of it.
    struct Told: Hashable, Sendable {
        var topic: EdgeTopic
        /// By partition; nil: none just now.
        var leaders: [Leader?]
    }

    private struct Page: Sendable {
        /// Nil: there is no such topic.
        var told: Told?
        var toldAt: Instant
        var usedAt: Instant
    }

    private var pages: [String: Page] = [:]
    private var names: [TopicID: String] = [:]
    /// Moves when a topic is another than before.
    private(set) var version: Int64 = 0

    var count: Int { self.pages.count }

    /// What is known of a name; nil: it has to be asked for.
    mutating func find(_ name: String, at now: Instant) -> Result<EdgeTopic?, Never>? {
        guard let page = self.pages[name] else { return nil }
        self.pages[name]?.usedAt = now
        guard now.since(page.toldAt) <= UpstreamLimits.topicAgeMax else { return nil }
        return .success(page.told?.topic)
    }

    subscript(id: TopicID) -> EdgeTopic? { self.told(id)?.topic }

    /// Who leads the partition. Nil: it is not known, or nobody does.
    func leader(of id: TopicID, _ partition: PartitionIndex) -> Leader? {
        guard let leaders = self.told(id)?.leaders, leaders.indices.contains(Int(partition.rawValue)) else {
            return nil
        }
        return leaders[Int(partition.rawValue)]
    }

    private func told(_ id: TopicID) -> Told? {
        guard let told = self.names[id].flatMap({ self.pages[$0]?.told }), told.topic.id == id else { return nil }
        return told
    }

    /// A topic is in use.
    mutating func used(_ id: TopicID, at now: Instant) {
        if let name = self.names[id] { self.pages[name]?.usedAt = now }
    }

    /// A broker said something else than the book.
    mutating func doubt(_ id: TopicID) {
        if let name = self.names[id] { self.pages[name]?.toldAt = Instant(nanoseconds: 0) }
    }

    /// A broker told of this name; nil: there is no such topic.
    mutating func learned(_ name: String, _ told: Told?, at now: Instant) {
        let before = self.pages[name]
        if before == nil, self.pages.count >= UpstreamLimits.topicsMax { self.forget(at: now) }
        // Full of topics in use: what is not kept is asked for again.
        guard before != nil || self.pages.count < UpstreamLimits.topicsMax else { return }
        if let old = before?.told, old.topic.id != told?.topic.id { self.names[old.topic.id] = nil }
        if let told { self.names[told.topic.id] = name }
        self.pages[name] = Page(told: told, toldAt: now, usedAt: before?.usedAt ?? now)
        if before?.told?.topic != told?.topic { self.version += 1 }
    }

    /// The names of topics in use that were told of long ago, and forgets the others.
    mutating func due(at now: Instant) -> [String] {
        self.forget(at: now)
        let halfAge = UpstreamLimits.topicAgeMax / 2
        return self.pages.compactMap { name, page in
            page.told != nil && now.since(page.toldAt) >= halfAge ? name : nil
        }
    }

    private mutating func forget(at now: Instant) {
        for (name, page) in self.pages {
            let ageMax = page.told == nil ? UpstreamLimits.topicAgeMax : UpstreamLimits.topicIdleMax
            guard now.since(page.usedAt) > ageMax else { continue }
            self.pages[name] = nil
            if let told = page.told { self.names[told.topic.id] = nil }
        }
    }
}
