package import ApusCore

/// Which offset of a partition is asked for (Kafka's ListOffsets).
package struct OffsetQuery: Hashable, Sendable {
    package enum Position: Hashable, Sendable {
        case earliest
        /// The high watermark, or the last stable offset when reading committed.
        case latest
        case largestTimestamp
        /// The first record at or after this time.
        case time(Timestamp)
        case earliestLocal
        /// The last offset in tiered storage: there is none, so the answer is "none" and not an error (KIP-1005).
        case latestTiered
    }

    package var topic: TopicReference
    package var partition: PartitionIndex
    package var position: Position
    package var currentLeaderEpoch: Epoch

    package init(
        topic: TopicReference, partition: PartitionIndex, position: Position, currentLeaderEpoch: Epoch = .none
    ) {
        self.topic = topic
        self.partition = partition
        self.position = position
        self.currentLeaderEpoch = currentLeaderEpoch
    }
}

/// What a query found. Nothing at or after the time asked for: offset and timestamp are -1, and that is no error.
package struct OffsetAnswer: Hashable, Sendable {
    package var offset: Offset
    package var timestamp: Timestamp
    package var leaderEpoch: Epoch

    package static let nothing = OffsetAnswer(offset: Offset(rawValue: -1), timestamp: .none, leaderEpoch: .none)

    package init(offset: Offset, timestamp: Timestamp, leaderEpoch: Epoch) {
        self.offset = offset
        self.timestamp = timestamp
        self.leaderEpoch = leaderEpoch
    }
}

/// Where does an epoch end (Kafka's OffsetForLeaderEpoch, KIP-101, KIP-320)? Unknown epochs answer `.none` and -1.
package struct EpochQuery: Hashable, Sendable {
    package var topic: TopicReference
    package var partition: PartitionIndex
    package var leaderEpoch: Epoch
    package var currentLeaderEpoch: Epoch

    package init(
        topic: TopicReference, partition: PartitionIndex, leaderEpoch: Epoch, currentLeaderEpoch: Epoch = .none
    ) {
        self.topic = topic
        self.partition = partition
        self.leaderEpoch = leaderEpoch
        self.currentLeaderEpoch = currentLeaderEpoch
    }
}

/// Deletes the records below an offset. The answer is the log's new start offset, after it is durable.
package struct RecordDeletion: Hashable, Sendable {
    package var topic: TopicReference
    package var partition: PartitionIndex
    /// Nil: everything up to the high watermark.
    package var before: Offset?

    package init(topic: TopicReference, partition: PartitionIndex, before: Offset?) {
        self.topic = topic
        self.partition = partition
        self.before = before
    }
}

/// One partition, as a describing verb asks for it.
package struct PartitionReference: Hashable, Sendable {
    package var topic: TopicReference
    package var partition: PartitionIndex

    package init(topic: TopicReference, partition: PartitionIndex) {
        self.topic = topic
        self.partition = partition
    }
}

/// An idempotent producer that a partition remembers (Kafka's DescribeProducers).
package struct ProducerDescription: Hashable, Sendable {
    package var producerID: Int64
    package var producerEpoch: Int32
    /// -1 when it never wrote with a sequence.
    package var lastSequence: Int32
    package var lastTimestamp: Timestamp
    /// -1: no transactions yet.
    package var coordinatorEpoch: Int32
    /// -1: no open transaction.
    package var currentTransactionStart: Offset

    package init(
        producerID: Int64, producerEpoch: Int32, lastSequence: Int32, lastTimestamp: Timestamp,
        coordinatorEpoch: Int32 = -1, currentTransactionStart: Offset = Offset(rawValue: -1)
    ) {
        self.producerID = producerID
        self.producerEpoch = producerEpoch
        self.lastSequence = lastSequence
        self.lastTimestamp = lastTimestamp
        self.coordinatorEpoch = coordinatorEpoch
        self.currentTransactionStart = currentTransactionStart
    }
}

/// A producer's identity for idempotence: never handed out twice.
package struct ProducerIdentity: Hashable, Sendable {
    package var id: Int64
    package var epoch: Int16

    package init(id: Int64, epoch: Int16) {
        self.id = id
        self.epoch = epoch
    }
}

/// The data directory and what the partitions in it take (Kafka's DescribeLogDirs).
package struct LogDirectoryDescription: Hashable, Sendable {
    package struct Partition: Hashable, Sendable {
        package var topic: String
        package var topicID: TopicID
        package var partition: PartitionIndex
        package var byteCount: ByteCount

        package init(topic: String, topicID: TopicID, partition: PartitionIndex, byteCount: ByteCount) {
            self.topic = topic
            self.topicID = topicID
            self.partition = partition
            self.byteCount = byteCount
        }
    }

    package var path: String
    /// Nil when the disk does not say.
    package var usableBytes: ByteCount?
    package var partitions: [Partition]

    package init(path: String, usableBytes: ByteCount?, partitions: [Partition]) {
        self.path = path
        self.usableBytes = usableBytes
        self.partitions = partitions
    }
}
