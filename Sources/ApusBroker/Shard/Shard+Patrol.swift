import ApusCore
import ApusSubscriptions

/// A walk over all topics, for the partitions that nobody uses: their old records must go too, and after a crash each
/// log must be looked at once before the data directory can be called clean.
///
/// Slow on purpose, a few partitions a second: what nobody reads may be removed an hour late.
struct ShardPatrol {
    fileprivate var topics: TopicSnapshot.Walk
    fileprivate var topic: Topic?
    fileprivate var partition: Int32 = 0
    fileprivate var pending = 0
    fileprivate var isThrough = false
    fileprivate var hasFailed = false

    init(_ topics: TopicSnapshot) {
        self.topics = topics.walk()
    }

    /// The next partition of all topics.
    fileprivate mutating func next() -> (Topic, PartitionIndex)? {
        while true {
            if let topic = self.topic, self.partition < topic.partitionCount {
                defer { self.partition += 1 }
                return (topic, PartitionIndex(rawValue: self.partition))
            }
            guard let topic = self.topics.next() else { return nil }
            self.topic = topic
            self.partition = 0
        }
    }
}

extension Shard {
    /// Once a second.
    func patrolSome() {
        guard !self.isClosing else { return }
        if self.patrol == nil {
            let period = UInt32(clamping: Limits.patrolPeriod.components.seconds)
            // After a crash the first begins at once; later ones, also after one that failed, in their time.
            let isDue =
                self.patrolAt.map { self.seconds &- $0 >= period } ?? (!self.vouchesForAll || self.seconds >= period)
            guard isDue else { return }
            self.patrolAt = self.seconds
            self.patrol = ShardPatrol(self.world.topics())
        }
        var opened = 0
        let view = self.world.subscriptions.view
        // Topics of other shards and those that keep everything cost nothing but the walk.
        for _ in 0..<Limits.patrolStepsPerSecond {
            guard opened < Limits.patrolPartitionsPerSecond else { return }
            guard let (topic, partition) = self.patrol?.next() else {
                self.patrol?.isThrough = true
                return self.endPatrolIfDone()
            }
            let id = TopicPartition(topic: topic.id, partition: partition)
            guard self.world.shardIndex(of: id) == self.index, self.slots[id] == nil else { continue }
            let configuration = topic.configuration
            let policy = configuration.retentionPolicy
            let keepsAll =
                configuration.retentionBytes == nil && policy.mode == .time
                && view.retention(of: topic.name, policy) == nil && configuration.compaction == nil
            guard !self.vouchesForAll || !keepsAll, let topic = self.world.topic(id.topic) else { continue }
            opened += 1
            self.patrol?.pending += 1
            self.withSlot(of: topic, partition) { [unowned self] result in
                self.patrolled(result)
            }
        }
    }

    private func patrolled(_ result: Result<PartitionSlot, BrokerError>) {
        switch result {
        case .success(let slot): self.look(after: slot, wall: self.readRetentionClock())
        case .failure(.unknownTopicOrPartition): break
        case .failure: self.patrol?.hasFailed = true
        }
        self.patrol?.pending -= 1
        self.endPatrolIfDone()
    }

    private func endPatrolIfDone() {
        guard let patrol = self.patrol, patrol.isThrough, patrol.pending == 0 else { return }
        // What this walk met open was opened in this life as well.
        if !patrol.hasFailed { self.vouchesForAll = true }
        self.patrol = nil
    }
}
