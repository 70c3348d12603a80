package import ApusCore

/// The positions of all groups of one coordinator: a key-value map, as the compacted `__consumer_offsets` is one.
///
/// It decides and holds, and knows nothing of members: whether somebody may commit is the group's business.
package struct Positions: Sendable {
    /// The positions of one group, by topic.
    struct OfGroup: Hashable, Sendable {
        var topics: [String: [PartitionIndex: Position]] = [:]
        var count = 0
    }

    private var groups: [GroupID: OfGroup] = [:]

    package init() {}

    /// Positions of all groups together.
    package private(set) var count = 0
    /// What they take of the memory, about, in bytes.
    package private(set) var bytesHeld = 0

    // MARK: What is written

    /// Takes in what was written: live, and when a coordinator reads its records. Nothing else changes a position.
    package mutating func apply(_ key: PositionKey, _ position: Position?) {
        let groupsBefore = self.groups.count
        let change = self.groups[key.group, default: OfGroup()].set(key.topic, key.partition, position)
        self.count += change.count
        self.bytesHeld += change.bytes
        if position == nil, self.groups[key.group]?.count == 0 { self.groups[key.group] = nil }
        let groupBytes = Limits.memberMemory.rawValue + key.group.rawValue.utf8.count
        self.bytesHeld += (self.groups.count - groupsBefore) * groupBytes
    }

    // MARK: Looking

    package func holds(_ group: GroupID) -> Bool { self.groups[group] != nil }

    /// Positions of one group.
    package func count(of group: GroupID) -> Int { self.groups[group]?.count ?? 0 }

    /// Groups that have positions.
    package var groupIDs: some Sequence<GroupID> { self.groups.keys }

    package var groupCount: Int { self.groups.count }

    /// nil when the group never committed there, or did in another topic of this name.
    ///
    /// - Parameter id: the topic that the name stands for now; `.none` for any.
    package func position(_ key: PositionKey, topic id: TopicID) -> Position? {
        let position = self.groups[key.group]?.topics[key.topic]?[key.partition]
        guard let position, position.topic == id || position.topic == .none || id == .none else { return nil }
        return position
    }

    /// Every topic in which a group has positions, with its partitions, both sorted.
    package func all(of group: GroupID) -> [(topic: String, positions: [(PartitionIndex, Position)])] {
        guard let held = self.groups[group] else { return [] }
        return held.topics.sorted { $0.key < $1.key }.map { topic, partitions in
            (topic, partitions.sorted { $0.key < $1.key }.map { ($0.key, $0.value) })
        }
    }

    // MARK: Deciding

    /// One partition of an OffsetCommit.
    package struct Commit: Hashable, Sendable {
        package var topic: String
        package var topicID: TopicID
        package var partition: PartitionIndex
        package var offset: Offset
        package var leaderEpoch: Epoch
        /// nil is stored as the empty text.
        package var metadata: String?

        package init(
            topic: String, topicID: TopicID, partition: PartitionIndex, offset: Offset, leaderEpoch: Epoch,
            metadata: String?
        ) {
            self.topic = topic
            self.topicID = topicID
            self.partition = partition
            self.offset = offset
            self.leaderEpoch = leaderEpoch
            self.metadata = metadata
        }
    }

    /// What a commit writes, and what becomes of each of its parts, in their order: nil for those that are written.
    ///
    /// - Parameters:
    ///   - refusals: what the group refuses of them, in their order; empty for nothing.
    ///   - retention: how long the client wants them kept; nil for the broker's rule.
    ///   - bytesMax: how many more bytes they may take of the memory.
    /// - Returns: `bytes` is how many more they will.
    package func decide(
        _ commits: [Commit], _ refusals: [GroupError?] = [], of group: GroupID, retention: Duration?,
        at now: Timestamp, _ settings: GroupSettings, bytesMax: ByteCount
    ) -> (facts: [GroupFact], errors: [GroupError?], bytes: Int) {
        var facts: [GroupFact] = []
        facts.reserveCapacity(commits.count)
        var room = settings.positionsMax - self.count(of: group)
        var bytes = 0
        let held = self.groups[group]?.topics ?? [:]
        let errors = commits.enumerated().map { index, commit -> GroupError? in
            if index < refusals.count, let refusal = refusals[index] { return refusal }
            guard (commit.metadata?.utf8.count ?? 0) <= settings.metadataBytesMax else { return .metadataTooLarge }
            guard commit.offset >= .zero else { return .invalidRequest("a position below 0") }
            let before = held[commit.topic]?[commit.partition]
            let size = Limits.positionMemory.rawValue + (commit.metadata?.utf8.count ?? 0)
            let more = max(size - (before?.bytesHeld ?? 0), 0)
            // What does not grow can always be moved.
            guard more == 0 || bytes + more <= bytesMax.rawValue else { return .tooManyGroups }
            if before == nil {
                guard room > 0 else { return .tooManyGroups }
                room -= 1
            }
            bytes += more
            let key = PositionKey(group: group, topic: commit.topic, partition: commit.partition)
            let position = Position(
                offset: commit.offset, leaderEpoch: commit.leaderEpoch, metadata: commit.metadata ?? "",
                committedAt: now, expiresAt: retention.map { now.later(by: $0) }, topic: commit.topicID
            )
            facts.append(.position(key, position))
            return nil
        }
        return (facts, errors, bytes)
    }

    /// The tombstones of these positions, as far as there are any, or will be when what is on its way is written.
    package func deletion(of keys: [PositionKey], _ coming: [PositionKey: Bool] = [:]) -> [GroupFact] {
        keys.filter { self.position($0, topic: .none) != nil || coming[$0] == true }.map { .position($0, nil) }
    }

    /// The tombstones of everything a group has, and of what is on its way.
    package func deletion(of group: GroupID, and coming: some Sequence<PositionKey>) -> [GroupFact] {
        let held = self.all(of: group).flatMap { topic, positions in
            positions.map { PositionKey(group: group, topic: topic, partition: $0.0) }
        }
        return self.tombstones(held, coming)
    }

    /// The tombstones of every group's positions in a topic that was deleted, and of those that are on their way.
    ///
    /// - Parameter id: only those that were committed in this topic, or in one that the record does not name.
    package func deletion(
        ofTopic name: String, _ id: TopicID, and coming: some Sequence<PositionKey>
    ) -> [GroupFact] {
        let held = self.groups.flatMap { group, held in
            (held.topics[name] ?? [:]).filter { $0.value.topic == id || $0.value.topic == .none }.map {
                PositionKey(group: group, topic: name, partition: $0.key)
            }
        }
        return self.tombstones(held, coming)
    }

    /// Of each once.
    private func tombstones(_ held: [PositionKey], _ coming: some Sequence<PositionKey>) -> [GroupFact] {
        let all = Set(held)
        let more = coming.filter { !all.contains($0) }.sorted {
            ($0.group, $0.topic, $0.partition) < ($1.group, $1.topic, $1.partition)
        }
        return (held + more).map { .position($0, nil) }
    }

    // MARK: Expiry

    /// What a group's positions hold on to.
    package enum Use: Hashable, Sendable {
        /// The group never had members that are known to us: each position lives from its commit on (KIP-211).
        case none
        /// The group lost its last member then: all of its positions live from there on.
        case emptySince(Timestamp)
        /// The group has members. What they are subscribed to stays; nil when it can not be told, then all stays.
        case active(topics: Set<String>?)
    }

    /// What has expired, at most `Limits.groupRecordsPerWriteMax` of it, and how long it takes until more may have.
    ///
    /// - Parameters:
    ///   - now: by the retention clock.
    ///   - coming: positions of the group that something is being written of: what they will be is not known.
    /// - Returns: `next` is nil when nothing is left that could expire while the group stays as it is.
    package func expired(
        of group: GroupID, _ use: Use, at now: Timestamp, _ retention: Duration,
        except coming: [PositionKey: Bool] = [:]
    ) -> (facts: [GroupFact], next: Duration?) {
        var facts: [GroupFact] = []
        var next: Duration?
        for (topic, positions) in self.groups[group]?.topics ?? [:] {
            for (partition, position) in positions {
                guard let end = position.end(use, topic, retention) else { continue }
                let key = PositionKey(group: group, topic: topic, partition: partition)
                if end > now || facts.count >= Limits.groupRecordsPerWriteMax || coming[key] != nil {
                    let wait = end > now ? end.since(now) : .zero
                    next = min(next ?? wait, wait)
                } else {
                    facts.append(.position(key, nil))
                }
            }
        }
        return (facts, next)
    }
}

extension Position {
    /// When it expires; nil while it is in use.
    fileprivate func end(_ use: Positions.Use, _ topic: String, _ retention: Duration) -> Timestamp? {
        switch use {
        case .active(let topics?) where !topics.contains(topic): break
        case .active: return nil
        case .none, .emptySince: break
        }
        if let expiresAt = self.expiresAt { return expiresAt }
        if case .emptySince(let moment) = use, moment > self.committedAt { return moment.later(by: retention) }
        return self.committedAt.later(by: retention)
    }
}

extension Positions.OfGroup {
    /// How many more positions there are then, and how many more bytes they take.
    fileprivate mutating func set(
        _ topic: String, _ partition: PartitionIndex, _ position: Position?
    ) -> (count: Int, bytes: Int) {
        let topicsBefore = self.topics.count
        let old: Position?
        if let position {
            old = self.topics[topic, default: [:]].updateValue(position, forKey: partition)
        } else {
            old = self.topics[topic]?.removeValue(forKey: partition)
            if self.topics[topic]?.isEmpty == true { self.topics[topic] = nil }
        }
        let more = (position == nil ? 0 : 1) - (old == nil ? 0 : 1)
        self.count += more
        let topicBytes = (self.topics.count - topicsBefore) * (Limits.memberMemory.rawValue + topic.utf8.count)
        return (more, (position?.bytesHeld ?? 0) - (old?.bytesHeld ?? 0) + topicBytes)
    }
}

extension Position {
    /// The position in its table, a part of the tables of its topic and its group, and what the client keeps with it.
    fileprivate var bytesHeld: Int { Limits.positionMemory.rawValue + self.metadata.utf8.count }
}

extension Timestamp {
    /// How long after `earlier` this is.
    func since(_ earlier: Timestamp) -> Duration {
        let (difference, overflow) = self.rawValue.subtractingReportingOverflow(earlier.rawValue)
        return .milliseconds(overflow ? .max : difference)
    }
}
