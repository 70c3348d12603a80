public import ApusCore
import KafkaWire
public import NIOCore

/// A record that was read. Its bytes share the storage of the answer they came in: copy what you keep for long.
public struct ReaderRecord: Sendable {
    public var topic: String
    public var partition: PartitionIndex
    public var offset: Offset
    public var timestamp: Timestamp
    public var key: ByteBuffer?
    /// nil marks a deletion in a compacted topic.
    public var value: ByteBuffer?
    public var headers: [RecordHeader]

    init(_ record: Record, topic: String, partition: PartitionIndex) {
        self.topic = topic
        self.partition = partition
        self.offset = Offset(rawValue: record.offset)
        self.timestamp = Timestamp(rawValue: record.timestamp)
        self.key = record.key
        self.value = record.value
        self.headers = record.headers.isEmpty ? [] : record.headers.map { RecordHeader($0.key, $0.value) }
    }
}
