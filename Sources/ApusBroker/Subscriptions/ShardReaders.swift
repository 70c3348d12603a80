import ApusCore
import ApusLog
import ApusSubscriptions
import Logging

/// What a shard has heard of readers: how far each has come in its partitions, open or not.
///
/// Owner: the shard; touched on its loop only.
struct ShardReaders {
    private var partitions: [TopicPartition: PartitionReaders] = [:]
    /// Where each has a position, so that one that goes is looked for nowhere else.
    private var places: [SubscriptionID: Set<TopicPartition>] = [:]
    /// Partitions that may have become free behind a position since the last second.
    var moved: Set<TopicPartition> = []
    /// The partitions of `__consumer_offsets` whose positions were all told.
    private var heard: Set<PartitionIndex> = []
    private var coordinators: Int32?

    mutating func coordinatorLoaded(_ partition: PartitionIndex, of count: Int32) {
        self.heard.insert(partition)
        self.coordinators = count
    }

    subscript(partition: TopicPartition) -> PartitionReaders { self.partitions[partition] ?? PartitionReaders() }

    /// Partitions of which something is kept.
    var count: Int { self.partitions.count }

    mutating func committed(_ id: SubscriptionID, _ partition: TopicPartition, _ offset: Offset) {
        self.partitions[partition, default: PartitionReaders()].committed(id, offset)
        self.places[id, default: []].insert(partition)
    }

    /// Nothing once a position is known.
    mutating func began(_ id: SubscriptionID, _ partition: TopicPartition, at offset: Offset) {
        self.partitions[partition, default: PartitionReaders()].began(id, at: offset)
        self.places[id, default: []].insert(partition)
    }

    /// Subscriptions are gone, or their positions are.
    /// - Returns: where they had one.
    mutating func forget(_ ids: [SubscriptionID]) -> Set<TopicPartition> {
        var left: Set<TopicPartition> = []
        for id in ids {
            guard let places = self.places.removeValue(forKey: id) else { continue }
            for place in places {
                self.partitions[place]?.forget(id)
                if self.partitions[place]?.isEmpty == true { self.partitions[place] = nil }
            }
            left.formUnion(places)
        }
        return left
    }

    /// The partition is gone.
    mutating func drop(_ partition: TopicPartition) {
        guard let readers = self.partitions.removeValue(forKey: partition) else { return }
        for id in readers.ids {
            self.places[id]?.remove(partition)
            if self.places[id]?.isEmpty == true { self.places[id] = nil }
        }
    }

    /// Every position that there was at the start is known.
    var hasHeardAll: Bool { self.coordinators.map { self.heard.count >= Int($0) } ?? false }
}

extension Shard {
    func coordinatorLoaded(_ partition: PartitionIndex, of count: Int32) {
        self.readers.coordinatorLoaded(partition, of: count)
    }

    /// - Parameter areOld: what was told since counts for more.
    func positionsChanged(of id: SubscriptionID, _ positions: [(TopicPartition, Offset)], areOld: Bool = false) {
        for (partition, offset) in positions {
            if areOld {
                self.readers.began(id, partition, at: offset)
            } else {
                self.readers.committed(id, partition, offset)
            }
            guard let slot = self.slots[partition], slot.topic.configuration.retentionPolicy.mode == .consumed,
                let end = slot.partition?.log.oldestSegmentEnd, offset >= end
            else { continue }
            self.readers.moved.insert(partition)
        }
    }

    /// Subscriptions are gone, or their positions are. They may have been those that others waited for.
    func forgetReaders(_ ids: [SubscriptionID]) {
        for partition in self.readers.forget(ids) where self.slots[partition] != nil {
            self.readers.moved.insert(partition)
        }
    }

    /// Whether positions tell all: they came from every coordinator, or there is none.
    var knowsReaders: Bool {
        self.readers.hasHeardAll || self.world.topics().topic(named: OffsetsTopic.name) == nil
    }

    // MARK: Freeing what all have read

    /// Once a second: what positions that moved have set free.
    func freeMoved() {
        guard !self.readers.moved.isEmpty else { return }
        let moved = self.readers.moved
        self.readers.moved.removeAll()
        for id in moved {
            if let slot = self.slots[id] { self.freeConsumed(slot) }
        }
    }

    /// Frees what every subscription of the topic has consumed, where the topic says so (`apus.retention.mode`).
    ///
    /// A subscription that is not known yet, or a position that was not heard yet, may still want everything: then
    /// nothing goes.
    func freeConsumed(_ slot: PartitionSlot) {
        let policy = slot.topic.configuration.retentionPolicy
        guard policy.mode == .consumed, let floor = policy.floor, case .open = slot.state else { return }
        let view = self.world.subscriptions.view
        guard view.knowledge == .read || view.knowledge == .noCatalogue, self.knowsReaders else { return }
        let readers = view.index.readers(of: slot.topic.name)
        // Where the others' windows begin stays unknown; they are waited for by position alone.
        var periods = Set(
            readers.prefix(Limits.windowPeriodsPerPartitionMax / 2).compactMap {
                $0.period.flatMap { policy.period(stated: $0) }
            })
        periods.insert(floor)
        if let reach = policy.reach { periods.insert(reach) }
        self.findStarts(of: Array(periods), slot) { [unowned self] in
            self.advance(slot, readers, policy)
        }
    }

    func findStarts(of periods: [Duration], _ slot: PartitionSlot, then: @escaping () -> Void) {
        var missing = periods.count
        guard missing > 0 else { return then() }
        for period in periods {
            self.findStart(of: period, slot) { _ in
                missing -= 1
                if missing == 0 { then() }
            }
        }
    }

    private func advance(_ slot: PartitionSlot, _ readers: [Reader], _ policy: RetentionPolicy) {
        guard case .open = slot.state, let end = slot.partition?.highWatermark,
            // The topic or its readers are others now: the next second asks again.
            slot.topic.configuration.retentionPolicy == policy, slot.generation == self.world.subscriptions.generation
        else { return }
        let known = self.readers[slot.id]
        let free = known.free(below: end, readers: readers, policy: policy) { slot.windows.last($0) ?? .zero }
        guard let dropped = slot.partition?.free(below: free, wall: self.readRetentionClock()) else { return }
        self.markDirty(slot)
        self.releaseDeletions(slot)
        self.world.ports.logger.debug(
            "records that all have read were freed",
            metadata: ["partition": "\(slot.label)", "below": "\(free)", "bytes": "\(dropped.rawValue)"])
    }
}
