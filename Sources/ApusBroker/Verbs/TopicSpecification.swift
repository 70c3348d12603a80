package import ApusCore

/// A topic somebody wants (Kafka's CreateTopics).
package struct TopicSpecification: Hashable, Sendable {
    /// Nil or `.none`: the broker chooses one.
    package var id: TopicID?
    package var name: String
    /// -1: the broker's `num.partitions`.
    package var partitions: Int32
    /// -1: the broker's `default.replication.factor`. Only 1 can be had on one broker.
    package var replicationFactor: Int16
    /// Brokers for each partition, preferred leader first; empty: the broker chooses.
    package var assignments: [PartitionIndex: [BrokerID]]
    /// Kafka's topic configuration names (and ours) to values; a nil value asks for the default.
    package var configuration: [String: String?]

    package init(
        id: TopicID? = nil, name: String, partitions: Int32 = -1, replicationFactor: Int16 = -1,
        assignments: [PartitionIndex: [BrokerID]] = [:], configuration: [String: String?] = [:]
    ) {
        self.id = id
        self.name = name
        self.partitions = partitions
        self.replicationFactor = replicationFactor
        self.assignments = assignments
        self.configuration = configuration
    }
}

/// More partitions for a topic that has fewer (Kafka's CreatePartitions).
package struct PartitionGrowth: Hashable, Sendable {
    package var topic: String
    /// How many the topic shall have in all.
    package var partitions: Int32
    /// Brokers for each new partition, in order; nil: the broker chooses.
    package var assignments: [[BrokerID]]?

    package init(topic: String, partitions: Int32, assignments: [[BrokerID]]? = nil) {
        self.topic = topic
        self.partitions = partitions
        self.assignments = assignments
    }
}
