import ApusCore
import ApusGroups
import DequeModule
import KafkaWire
import NIOCore

/// Between the writes of a coordinator and the batches of its partition.
enum GroupBatch {
    /// Takes as many writes from the front as one batch should hold: at least one, and all of each. `records` is nil
    /// when it is one that no batch holds.
    static func take(
        from queue: inout Deque<GroupWrite>, at wall: Timestamp
    ) -> (writes: [GroupWrite], records: ByteBuffer?) {
        var writes: [GroupWrite] = []
        var builder = RecordBatchBuilder(byteCountHint: 256 * min(queue.count, 4096))
        while let write = queue.first {
            let records = write.records
            let bytes = records.reduce(0) { $0 + RecordBatchBuilder.byteCountMax(key: $1.key, value: $1.value) }
            let fits = records.allSatisfy(\.isEncoded)
            guard writes.isEmpty || fits && builder.byteCount + bytes <= Limits.groupBatchBytes.rawValue else { break }
            guard fits else { return ([queue.removeFirst()], nil) }
            queue.removeFirst()
            writes.append(write)
            for record in records { builder.append(key: record.key, value: record.value, timestamp: wall.rawValue) }
        }
        return (writes, builder.finish())
    }

    /// What a piece of the partition says.
    struct Piece {
        var records: [GroupRecord] = []
        /// The offset behind it.
        var next: Offset
        /// Batches whose records are none, although they were written so: damage that was signed.
        var losses: [GroupLoss] = []
    }

    /// The group records from `offset` on in what was read of the partition.
    ///
    /// - Throws: when the bytes are no batches. The log checked that they are.
    static func records(in batches: [ByteBuffer], from offset: Offset) throws(WireError) -> Piece {
        var piece = Piece(next: offset)
        for bytes in batches {
            var bytes = bytes
            while let batch = try RecordBatch.read(from: &bytes) {
                let first = max(piece.next, Offset(rawValue: batch.header.baseOffset))
                let end = batch.header.baseOffset.addingReportingOverflow(Int64(batch.header.lastOffsetDelta) + 1)
                if !end.overflow { piece.next = max(piece.next, Offset(rawValue: end.partialValue)) }
                guard !batch.header.attributes.isControl else { continue }
                do throws(WireError) {
                    piece.records += try self.records(of: batch, from: offset)
                } catch {
                    let what = "the batch at offset \(batch.header.baseOffset) can not be read: \(error)"
                    piece.losses.append(GroupLoss(offsets: min(first, piece.next)..<piece.next, what: what))
                }
            }
        }
        return piece
    }

    private static func records(of batch: RecordBatch, from offset: Offset) throws(WireError) -> [GroupRecord] {
        var found: [GroupRecord] = []
        var records = try batch.records()
        while let record = try records.next() {
            // Without a key it is none of ours, and nothing can be said of it.
            guard record.offset >= offset.rawValue, let key = record.key else { continue }
            let writtenAt = Timestamp(rawValue: record.timestamp)
            found.append(GroupRecord(key: key, value: record.value, writtenAt: writtenAt))
        }
        return found
    }
}

extension GroupRecord {
    /// Keys and values begin with their version. One of no bytes was too long to be written at all.
    fileprivate var isEncoded: Bool {
        self.key.readableBytes > 0 && self.value.map { $0.readableBytes > 0 } ?? true
    }
}
