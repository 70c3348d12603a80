package import ApusCore
package import NIOCore

/// A record as a client of the web writes it.
package struct WrittenRecord: Hashable, Sendable {
    package struct Header: Hashable, Sendable {
        package var name: String
        package var value: ByteBuffer?

        package init(name: String, value: ByteBuffer?) {
            self.name = name
            self.value = value
        }
    }

    package var key: ByteBuffer?
    /// Nil is a deletion in a compacted topic.
    package var value: ByteBuffer?
    package var headers: [Header]
    package var partition: PartitionIndex?
    package var timestamp: Timestamp?

    package init(
        key: ByteBuffer?, value: ByteBuffer?, headers: [Header] = [], partition: PartitionIndex? = nil,
        timestamp: Timestamp? = nil
    ) {
        self.key = key
        self.value = value
        self.headers = headers
        self.partition = partition
        self.timestamp = timestamp
    }
}
