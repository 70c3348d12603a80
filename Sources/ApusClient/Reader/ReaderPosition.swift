import ApusCore
import KafkaWire
import NIOCore

/// Where a reader is in one partition, and what of a broker's answer is its own.
///
/// Brokers answer with whole batches: the first may begin before the asked offset, the last may be cut short, and
/// between them may be batches that are not for readers: transaction markers, and the records of aborted transactions.
struct ReaderPosition: Sendable {
    let partition: PartitionIndex
    /// The next offset to be fetched.
    private(set) var next: Offset
    /// Reading stops before it.
    let end: Offset?
    private(set) var highWatermark = Offset(rawValue: -1)
    /// Producers whose transaction, at `next`, is one that was aborted.
    private var aborted: Set<Int64> = []

    init(_ partition: PartitionIndex, from start: Offset, until end: Offset?) {
        self.partition = partition
        self.next = start
        self.end = end
    }

    var isDone: Bool { self.end.map { self.next >= $0 } ?? false }

    /// A batch that has records for the reader.
    struct Taken: Sendable {
        let batch: RecordBatch
        let from: Offset
        let below: Offset?
    }

    /// Takes in what a broker answered for this partition.
    /// - Parameter aborted: the aborted transactions in these records, when only committed ones are wanted.
    mutating func received(
        _ records: ByteBuffer, highWatermark: Offset, aborted: [FetchResponse.AbortedTransaction] = []
    ) throws(WireError) -> [Taken] {
        self.highWatermark = highWatermark
        var rest = records
        var transactions = aborted.sorted { $0.firstOffset > $1.firstOffset }
        var taken: [Taken] = []
        var count = 0
        while !self.isDone, let batch = try RecordBatch.read(from: &rest) {
            count += 1
            let header = batch.header
            while let transaction = transactions.last, transaction.firstOffset <= header.lastOffset {
                self.aborted.insert(transaction.producerID)
                transactions.removeLast()
            }
            guard header.nextOffset > self.next.rawValue else { continue }
            let from = self.next
            self.next = Offset(rawValue: header.nextOffset)
            if header.attributes.isControl {
                // A marker ends the transaction of its producer, whichever way.
                self.aborted.remove(header.producerID)
            } else if header.attributes.isTransactional, self.aborted.contains(header.producerID) {
                continue
            } else if header.recordCount > 0, self.end.map({ header.baseOffset < $0.rawValue }) ?? true {
                taken.append(Taken(batch: batch, from: from, below: self.end))
            }
        }
        guard count > 0 || records.readableBytes == 0 || self.isDone else {
            throw .truncated(at: 0, needed: RecordBatchHeader.byteCount, remaining: records.readableBytes)
        }
        return taken
    }

    /// The position was not in the log; go on there.
    mutating func reset(to offset: Offset) {
        self.next = offset
        self.aborted = []
    }
}
