package import ApusCore
package import KafkaWire
package import NIOCore
package import WebFormats

/// Batches as the log has them, as records for the edge.
package enum ChannelRecords {
    /// The records at or behind an offset, and the offset behind all that was looked at. Of no batches: none, and nil.
    ///
    /// - Parameters:
    ///   - bytesMax: of keys and values, after decompression: with the record that goes over it, it ends.
    ///   - isWanted: asked with each record's key before anything else is made of it; nil takes all.
    /// - Throws: bytes that are no batch; the broker checks them when they are produced, so only damage brings them.
    package static func read(
        _ batches: [ByteBuffer], of partition: PartitionIndex, from offset: Offset, upTo bytesMax: ByteCount? = nil,
        where isWanted: ((ByteBuffer?) -> Bool)? = nil
    ) throws(WireError) -> (records: [EdgeRecord], next: Offset?) {
        var records: [EdgeRecord] = []
        var next: Offset?
        var bytes = 0
        for buffer in batches {
            var buffer = buffer
            while let batch = try RecordBatch.read(from: &buffer) {
                next = Offset(rawValue: batch.header.nextOffset)
                // Markers of transactions are no records of anybody.
                guard !batch.header.attributes.isControl else { continue }
                var iterator = try batch.records()
                while let record = try iterator.next() {
                    guard record.offset >= offset.rawValue, isWanted?(record.key) ?? true else { continue }
                    records.append(EdgeRecord(record, in: partition))
                    bytes += record.contentBytes
                    if let bytesMax, bytes > bytesMax.rawValue {
                        return (records, Offset(rawValue: record.offset).next)
                    }
                }
            }
        }
        return (records, next)
    }
}

extension Record {
    fileprivate var contentBytes: Int { (self.key?.readableBytes ?? 0) + (self.value?.readableBytes ?? 0) }
}

extension EdgeRecord {
    package var contentBytes: Int { (self.key?.readableBytes ?? 0) + (self.value?.readableBytes ?? 0) }

    fileprivate init(_ record: Record, in partition: PartitionIndex) {
        self.init(
            partition: partition, offset: Offset(rawValue: record.offset),
            timestamp: Timestamp(rawValue: record.timestamp), key: record.key, value: record.value,
            headers: record.headers.map { WrittenRecord.Header(name: $0.key, value: $0.value) })
    }
}
