import ApusCore
import ApusSubscriptions

/// What a shard has heard of readers: how far each has come in its partitions, open or not.
///
/// Owner: the shard; touched on its loop only.
struct ShardReaders {
    var partitions: [TopicPartition: PartitionReaders] = [:]
    /// The partitions of `__consumer_offsets` whose positions were all told.
    private var heard: Set<PartitionIndex> = []
    private var coordinators: Int32?

    mutating func coordinatorLoaded(_ partition: PartitionIndex, of count: Int32) {
        self.heard.insert(partition)
        self.coordinators = count
    }

    /// Every position that there was at the start is known.
    var hasHeardAll: Bool { self.coordinators.map { self.heard.count >= Int($0) } ?? false }
}

extension Shard {
    func coordinatorLoaded(_ partition: PartitionIndex, of count: Int32) {
        self.readers.coordinatorLoaded(partition, of: count)
    }

    func positionsChanged(of id: SubscriptionID, _ positions: [(TopicPartition, Offset)]) {
        for (partition, offset) in positions {
            self.readers.partitions[partition, default: PartitionReaders()].committed(id, offset)
        }
    }

    /// A subscription is gone, or its positions are.
    func forgetReader(_ id: SubscriptionID) {
        for partition in self.readers.partitions.keys { self.readers.partitions[partition]?.forget(id) }
    }
}
