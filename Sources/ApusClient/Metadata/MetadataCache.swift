import ApusCore
import KafkaWire

/// What a client knows of its cluster: the brokers, and the leaders of the partitions it works with.
///
/// It is a guess that is right until a broker says otherwise. Of two answers about a partition the one with the later
/// leader epoch wins, whichever came last: brokers learn of an election at different times (KIP-320).
struct MetadataCache: Sendable {
    struct Leader: Hashable, Sendable {
        var broker: BrokerID
        var epoch: Epoch
    }

    /// What is known of a topic.
    enum Status: Hashable, Sendable {
        case known
        /// Not yet asked for, or the broker says there is none yet.
        case missing(KafkaErrorCode)
        case refused(KafkaErrorCode)
    }

    private(set) var clusterID: String?
    private(set) var controller: BrokerID?
    private(set) var brokers: [BrokerID: BrokerDescription] = [:]
    private(set) var topics: [String: TopicDescription] = [:]
    private var errors: [String: KafkaErrorCode] = [:]

    func status(of topic: String) -> Status {
        if self.topics[topic] != nil { return .known }
        guard let error = self.errors[topic] else { return .missing(.unknownTopicOrPartition) }
        return error.isRetriable ? .missing(error) : .refused(error)
    }

    func leader(of topic: String, _ partition: PartitionIndex) -> Leader? {
        guard let partitions = self.topics[topic]?.partitions, partitions.indices.contains(Int(partition.rawValue)),
            let leader = partitions[Int(partition.rawValue)].leader
        else { return nil }
        return Leader(broker: leader, epoch: partitions[Int(partition.rawValue)].leaderEpoch)
    }

    /// The name of the topic with this id.
    func name(of id: WireUUID) -> String? {
        self.topics.values.first { $0.id.high == id.high && $0.id.low == id.low }?.name
    }

    func address(of broker: BrokerID) -> ServerAddress? {
        self.brokers[broker].map { ServerAddress(host: $0.host, port: $0.port) }
    }

    func broker(at address: ServerAddress) -> BrokerID? {
        self.brokers.values.first { $0.host == address.host && $0.port == address.port }?.id
    }

    /// Takes in an answer. It replaces the brokers; of topics, only those it speaks of.
    mutating func learned(_ response: MetadataResponse) {
        self.clusterID = response.clusterID ?? self.clusterID
        self.controller = response.controllerID >= 0 ? BrokerID(rawValue: response.controllerID) : nil
        var brokers: [BrokerID: BrokerDescription] = [:]
        for broker in response.brokers.compactMap(BrokerDescription.init) { brokers[broker.id] = broker }
        if !brokers.isEmpty { self.brokers = brokers }
        for topic in response.topics {
            guard let name = topic.name else { continue }
            if topic.errorCode != .none {
                // A topic that was known stays so: the answer may come from a broker that has not heard of it yet.
                // A topic that is gone shows itself by the errors of its partitions.
                self.errors[name] = topic.errorCode
                if topic.errorCode == .unknownTopicOrPartition { self.topics[name] = nil }
            } else if let description = TopicDescription(topic) {
                self.errors[name] = nil
                self.topics[name] = self.merged(description)
            }
        }
    }

    private func merged(_ new: TopicDescription) -> TopicDescription {
        guard let old = self.topics[new.name], old.id == new.id else { return new }
        var merged = new
        for index in merged.partitions.indices where old.partitions.indices.contains(index) {
            guard old.partitions[index].leaderEpoch > new.partitions[index].leaderEpoch else { continue }
            merged.partitions[index] = old.partitions[index]
        }
        return merged
    }
}

extension BrokerDescription {
    /// nil when the port is none.
    init?(_ broker: MetadataResponse.Broker) {
        guard (1...65_535).contains(broker.port), !broker.host.isEmpty else { return nil }
        self.init(
            id: BrokerID(rawValue: broker.nodeID), host: broker.host, port: Int(broker.port), rack: broker.rack)
    }
}

extension TopicDescription {
    /// nil when it has no name, no partitions, or their numbers are not 0, 1, 2 …
    init?(_ topic: MetadataResponse.Topic) {
        guard let name = topic.name, !topic.partitions.isEmpty else { return nil }
        let sorted = topic.partitions.sorted { $0.partitionIndex < $1.partitionIndex }
        for (index, partition) in sorted.enumerated() where Int(partition.partitionIndex) != index { return nil }
        self.init(
            name: name, id: TopicID(high: topic.topicID.high, low: topic.topicID.low), isInternal: topic.isInternal,
            partitions: sorted.map(PartitionDescription.init)
        )
    }
}

extension PartitionDescription {
    init(_ partition: MetadataResponse.Partition) {
        self.init(
            index: PartitionIndex(rawValue: partition.partitionIndex),
            leader: partition.leaderID >= 0 ? BrokerID(rawValue: partition.leaderID) : nil,
            leaderEpoch: Epoch(rawValue: partition.leaderEpoch),
            replicas: partition.replicaNodes.map(BrokerID.init(rawValue:)),
            inSyncReplicas: partition.isrNodes.map(BrokerID.init(rawValue:)),
            offlineReplicas: partition.offlineReplicas.map(BrokerID.init(rawValue:))
        )
    }
}
