public import ApusCore
public import NIOCore

/// A record to be sent.
public struct ProducerRecord: Sendable {
    /// nil: the producer's own topic.
    public var topic: String?
    /// nil: the producer's partitioner decides.
    public var partition: PartitionIndex?
    public var key: ByteBuffer?
    /// nil marks a deletion in a compacted topic.
    public var value: ByteBuffer?
    public var headers: [RecordHeader]
    /// nil: the time of `send`.
    public var timestamp: Timestamp?

    public init(
        _ value: ByteBuffer?, key: ByteBuffer? = nil, headers: [RecordHeader] = [], topic: String? = nil,
        partition: PartitionIndex? = nil, timestamp: Timestamp? = nil
    ) {
        self.value = value
        self.key = key
        self.headers = headers
        self.topic = topic
        self.partition = partition
        self.timestamp = timestamp
    }
}

/// A name and a value beside a record. Names may repeat; order is kept.
public struct RecordHeader: Hashable, Sendable {
    public var name: String
    public var value: ByteBuffer?

    public init(_ name: String, _ value: ByteBuffer?) {
        self.name = name
        self.value = value
    }
}

/// Where an acknowledged record lies.
public struct DeliveryReceipt: Hashable, Sendable {
    public var topic: String
    public var partition: PartitionIndex
    /// nil when the broker was not asked to acknowledge, or no longer knows the offset of a repeated batch.
    public var offset: Offset?
    /// The record's own, or the broker's when the topic stamps records itself.
    public var timestamp: Timestamp
}

/// What became of one batch.
public struct Delivery: Sendable {
    public var topic: String
    public var partition: PartitionIndex
    public var recordCount: Int
    /// Bytes of the batch as it was sent: compressed, with its header. 0 if it never was.
    public var byteCount: ByteCount
    /// From the first record's `send` to now.
    public var age: Duration
    /// The first record's offset, or why there is none. The offset is nil as in ``DeliveryReceipt/offset``.
    public var outcome: Result<Offset?, ApusError>
}

/// What a producer has done so far.
public struct ProducerStatistics: Hashable, Sendable {
    public var recordsSent = 0
    public var recordsDelivered = 0
    public var recordsFailed = 0
    /// Requests that had to be repeated.
    public var retries = 0
    /// Keys, values and headers of delivered records.
    public var bytesDelivered = 0
    /// What waits or is on its way now.
    public var bytesBuffered = 0
}
