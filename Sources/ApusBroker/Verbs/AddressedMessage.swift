package import ApusCore

/// A message on its way to a topic, and the partition that it is for.
package struct AddressedMessage: Hashable, Sendable {
    package var message: Message
    /// Nil: that of its key, by the hash that Kafka's Java client and ours use; without a key, any.
    package var partition: PartitionIndex?

    package init(_ message: Message, partition: PartitionIndex? = nil) {
        self.message = message
        self.partition = partition
    }
}

/// Where a message is, once it was written.
package struct WrittenPlace: Hashable, Sendable {
    package var partition: PartitionIndex
    package var offset: Offset
    /// The record's own: the producer's, or the broker's where the topic says so.
    package var timestamp: Timestamp
    /// It was written before, with the same idempotency key; this is its place since.
    package var isReplayed = false

    package init(partition: PartitionIndex, offset: Offset, timestamp: Timestamp) {
        self.partition = partition
        self.offset = offset
        self.timestamp = timestamp
    }
}
