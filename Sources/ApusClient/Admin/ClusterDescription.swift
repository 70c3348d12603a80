public import ApusCore

public struct ClusterDescription: Hashable, Sendable {
    public var clusterID: String?
    public var controller: BrokerID?
    public var brokers: [BrokerDescription]
}

public struct BrokerDescription: Hashable, Sendable {
    public var id: BrokerID
    public var host: String
    public var port: Int
    public var rack: String?
}

public struct TopicDescription: Hashable, Sendable {
    public var name: String
    /// `.none` when the broker gives topics no ids.
    public var id: TopicID
    /// Belongs to the system, not to users.
    public var isInternal: Bool
    /// By their numbers.
    public var partitions: [PartitionDescription]
}

public struct PartitionDescription: Hashable, Sendable {
    public var index: PartitionIndex
    /// nil while there is none.
    public var leader: BrokerID?
    public var leaderEpoch: Epoch
    public var replicas: [BrokerID]
    public var inSyncReplicas: [BrokerID]
    public var offlineReplicas: [BrokerID]
}

/// An offset that was asked for, with the timestamp of the record there where the question was about time.
public struct OffsetDescription: Hashable, Sendable {
    public var offset: Offset
    /// `.none` when the question was not about time.
    public var timestamp: Timestamp
    public var leaderEpoch: Epoch
}

/// Which offset is asked for.
public enum OffsetQuestion: Hashable, Sendable {
    /// Of the oldest record.
    case start
    /// Behind the newest record that readers may see.
    case end
    /// Of the first record with this timestamp or a later one.
    case time(Timestamp)
    /// Of the record with the largest timestamp.
    case largestTimestamp
}

/// One directory where a broker keeps partitions.
public struct LogDirectoryDescription: Hashable, Sendable {
    public struct Replica: Hashable, Sendable {
        public var topic: String
        public var partition: PartitionIndex
        public var byteCount: ByteCount
        /// Offsets that this replica lacks.
        public var lag: Int64
    }

    public var path: String
    /// nil while the directory works.
    public var error: ApusError.Code?
    public var replicas: [Replica]
    /// nil when the broker does not say.
    public var totalBytes: ByteCount?
    public var freeBytes: ByteCount?
}
