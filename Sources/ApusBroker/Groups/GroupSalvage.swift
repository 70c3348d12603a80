import ApusCore
import ApusGroups
import KafkaWire
import NIOCore

/// Offsets of a coordinator's partition whose records can not be read.
struct GroupLoss: Hashable, Sendable {
    var offsets: Range<Offset>
    /// Where the damage is, for people.
    var what: String
}

/// What is whole of a partition of `__consumer_offsets` that is damaged, kept while it is read over damage that an
/// operator accepted: of each key the newest record that can be read.
///
/// Written anew behind the end of the log, it takes the place of all that stands in front of it. So the log begins
/// behind the damage afterwards: the next start and compaction do not meet it again, and new damage is not taken for
/// damage that was accepted. A crash before that leaves some records twice, which changes nothing.
struct GroupSalvage: Sendable {
    private(set) var losses: [GroupLoss] = []
    private var newest: [ByteBuffer: (number: Int, value: ByteBuffer)] = [:]
    private var count = 0

    var recordCount: Int { self.newest.count }

    mutating func lose(_ loss: GroupLoss) { self.losses.append(loss) }

    mutating func keep(_ record: GroupRecord) {
        self.count += 1
        // Slices would keep all that was read with them.
        let key = record.key.copied
        self.newest[key] = record.value.map { (self.count, $0.copied) }
    }

    /// The records in the order in which they were last written, in batches for the log.
    func batches(at wall: Timestamp) -> [ByteBuffer] {
        var batches: [ByteBuffer] = []
        var builder = RecordBatchBuilder()
        var isEmpty = true
        for (key, entry) in self.newest.sorted(by: { $0.value.number < $1.value.number }) {
            let bytes = RecordBatchBuilder.byteCountMax(key: key, value: entry.value)
            if !isEmpty, builder.byteCount + bytes > Limits.groupBatchBytes.rawValue {
                batches.append(builder.finish())
                builder = RecordBatchBuilder()
            }
            builder.append(key: key, value: entry.value, timestamp: wall.rawValue)
            isEmpty = false
        }
        if !isEmpty { batches.append(builder.finish()) }
        return batches
    }
}

extension ByteBuffer {
    fileprivate var copied: ByteBuffer { ByteBuffer(bytes: self.readableBytesView) }
}
