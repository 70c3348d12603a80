package import ApusAccess
package import ApusCore

/// A named log. Immutable: a change makes another one, published with the next ``TopicSnapshot``.
///
/// One broker may hold a million of these, so what is equal for many topics (configuration, placement) is shared.
package final class Topic: Sendable {
    package let id: TopicID
    package let name: String
    /// Made by the system for itself: only it writes there. Hidden from "all topics" by clients.
    package let isInternal: Bool
    /// How many partitions there are; their indexes are 0 ..< this.
    package let partitionCount: Int32
    package let configuration: TopicConfiguration
    /// Who made it, where users log in: whose caps it counts for. Nil: nobody's.
    package let owner: Principal?
    let placement: Placement
    /// The start number of the broker that made it: what is remembered of an earlier topic with this id is not of it.
    let bornIn: Epoch
    /// The store's revision of this topic's key: what the next compare-and-set compares.
    let revision: StoreRevision

    init(
        id: TopicID, name: String, partitionCount: Int32, configuration: TopicConfiguration,
        owner: Principal?, placement: Placement, bornIn: Epoch, revision: StoreRevision
    ) {
        self.id = id
        self.name = name
        self.isInternal = InternalTopic.isOne(name)
        self.partitionCount = partitionCount
        self.configuration = configuration
        self.owner = owner
        self.placement = placement
        self.bornIn = bornIn
        self.revision = revision
    }

    /// Whether what was noted in a life is of this topic, and not of an earlier one with its id.
    func wasThere(in life: Epoch) -> Bool { self.bornIn <= life }

    /// Every partition, in order of index.
    package var partitions: some RandomAccessCollection<PartitionInfo> {
        (0..<self.partitionCount).lazy.map { self.partition(PartitionIndex(rawValue: $0)) }
    }

    /// Nil when there is no such partition.
    package func info(of index: PartitionIndex) -> PartitionInfo? {
        self.contains(index) ? self.partition(index) : nil
    }

    package func contains(_ index: PartitionIndex) -> Bool {
        index.rawValue >= 0 && index.rawValue < self.partitionCount
    }

    private func partition(_ index: PartitionIndex) -> PartitionInfo {
        PartitionInfo(
            index: index, leader: self.placement.broker, leaderEpoch: self.placement.epoch,
            replicas: self.placement.replicas, inSyncReplicas: self.placement.replicas
        )
    }
}

/// Where a partition lives, as Metadata tells it.
package struct PartitionInfo: Hashable, Sendable {
    package var index: PartitionIndex
    package var leader: BrokerID
    package var leaderEpoch: Epoch
    package var replicas: [BrokerID]
    package var inSyncReplicas: [BrokerID]
}

/// Where all the partitions of a lone broker live: with it, in the epoch of this start.
final class Placement: Sendable {
    let broker: BrokerID
    let epoch: Epoch
    let replicas: [BrokerID]

    init(broker: BrokerID, epoch: Epoch) {
        self.broker = broker
        self.epoch = epoch
        self.replicas = [broker]
    }
}
