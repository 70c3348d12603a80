import ApusCore
import ApusGroups
import DequeModule
import KafkaWire
import NIOCore

/// Between the writes of a coordinator and the batches of its partition.
enum GroupBatch {
    /// Takes as many writes from the front as one batch should hold: at least one, and all of each.
    static func take(
        from queue: inout Deque<GroupWrite>, at wall: Timestamp
    ) -> (writes: [GroupWrite], records: ByteBuffer) {
        var writes: [GroupWrite] = []
        var builder = RecordBatchBuilder(byteCountHint: 256 * min(queue.count, 4096))
        while let write = queue.first {
            let records = write.records
            let bytes = records.reduce(0) { $0 + RecordBatchBuilder.byteCountMax(key: $1.key, value: $1.value) }
            guard writes.isEmpty || builder.byteCount + bytes <= Limits.groupBatchBytes.rawValue else { break }
            queue.removeFirst()
            writes.append(write)
            for record in records { builder.append(key: record.key, value: record.value, timestamp: wall.rawValue) }
        }
        return (writes, builder.finish())
    }

    /// The group records from `offset` on in what was read of the partition, and the offset behind them.
    ///
    /// - Throws: when the bytes are no batches: what was read was checked, so this is damage that was signed.
    static func records(
        in batches: [ByteBuffer], from offset: Offset
    ) throws(WireError) -> (records: [GroupRecord], next: Offset) {
        var found: [GroupRecord] = []
        var next = offset
        for bytes in batches {
            var bytes = bytes
            while let batch = try RecordBatch.read(from: &bytes) {
                let end = batch.header.baseOffset.addingReportingOverflow(Int64(batch.header.lastOffsetDelta) + 1)
                if !end.overflow { next = max(next, Offset(rawValue: end.partialValue)) }
                guard !batch.header.attributes.isControl else { continue }
                var records = try batch.records()
                while let record = try records.next() {
                    // Without a key it is none of ours, and nothing can be said of it.
                    guard record.offset >= offset.rawValue, let key = record.key else { continue }
                    found.append(GroupRecord(key: key, value: record.value))
                }
            }
        }
        return (found, next)
    }
}
