public import ApusCore
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
}

/// A batch that was read. Its records are decoded, and its checksum verified, when asked for, on the caller's thread.
public struct ReaderBatch: Sendable {
    public var topic: String
    public var partition: PartitionIndex
    /// The first record that belongs to the reader: at or behind the asked start.
    public var firstOffset: Offset
    /// Where the next batch begins.
    public var nextOffset: Offset
    /// The end of the partition for readers, as the broker knew it when it answered.
    public var highWatermark: Offset
    /// Bytes of the batch as it was stored.
    public var byteCount: ByteCount

    /// Its records, in order.
    /// - Throws: `.corrupt`.
    public func records() throws -> [ReaderRecord] {
        var records: [ReaderRecord] = []
        try self.forEachRecord { records.append($0) }
        return records
    }

    /// Calls `body` with each record in order, without an array of them.
    /// - Throws: `.corrupt`, and what `body` throws.
    public func forEachRecord(_ body: (ReaderRecord) throws -> Void) throws {
        throw ApusError(.unsupported, "not there yet")
    }
}
