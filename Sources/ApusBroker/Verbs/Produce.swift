package import ApusCore
package import NIOCore

/// What must have happened before a produce is answered (Kafka's `acks`).
package enum Acks: Hashable, Sendable {
    /// Nothing: the client hears nothing. The verb still answers, so that the door can close the connection on error.
    case none
    /// This broker holds it as the topic's `durability` says: on the disk for `fsync`, in the page cache otherwise.
    case leader
    /// All in-sync replicas hold it as the topic's `durability` says, and there are `min.insync.replicas` of them.
    case all
}

/// The records for one partition: the bytes of exactly one record batch of format 2, as the client sent them.
package struct ProduceEntry: Sendable {
    package var topic: TopicReference
    package var partition: PartitionIndex
    /// Should be the only owner of its bytes: offset and epoch are patched in place, which copies a shared buffer.
    package var records: ByteBuffer
    /// Its producer id is made of an idempotency key; those that clients send are refused.
    let isKeyed: Bool

    package init(topic: TopicReference, partition: PartitionIndex, records: ByteBuffer) {
        self.init(topic: topic, partition: partition, records: records, isKeyed: false)
    }

    init(topic: TopicReference, partition: PartitionIndex, records: ByteBuffer, isKeyed: Bool) {
        self.topic = topic
        self.partition = partition
        self.records = records
        self.isKeyed = isKeyed
    }
}

/// The answer for one ``ProduceEntry``, at the same place in the answer's array.
package struct ProduceResult: Sendable {
    package var error: BrokerError?
    /// The offset of the first record; -1 with an error.
    package var baseOffset: Offset
    /// When the broker stamped it; `.none` when the topic keeps the producer's time.
    package var logAppendTime: Timestamp
    /// The log's start offset; -1 with an error.
    package var logStartOffset: Offset
    /// Which records of the batch were at fault, where that is known.
    package var recordErrors: [RecordError]
    /// It was in the log before. Of a write with an idempotency key `logAppendTime` then is the first record's time,
    /// whoever said it.
    var isDuplicate: Bool

    package init(
        error: BrokerError? = nil, baseOffset: Offset = Offset(rawValue: -1), logAppendTime: Timestamp = .none,
        logStartOffset: Offset = Offset(rawValue: -1), recordErrors: [RecordError] = []
    ) {
        self.isDuplicate = false
        self.error = error
        self.baseOffset = baseOffset
        self.logAppendTime = logAppendTime
        self.logStartOffset = logStartOffset
        self.recordErrors = recordErrors
    }
}

/// One record that made its batch be refused (KIP-467).
package struct RecordError: Hashable, Sendable {
    /// The record's index in its batch, from 0.
    package var index: Int32
    package var message: String

    package init(index: Int32, message: String) {
        self.index = index
        self.message = message
    }
}
