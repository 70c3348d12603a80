import ApusCore
package import KafkaWire
import NIOCore

/// Writes that are known by an idempotency key: batches whose producer id is made of the key, and whose epoch and
/// sequence are made of what was written. Each producer id writes once.
///
/// 1. The same id, epoch and sequences: the same write; it is answered as it was the first time.
/// 2. The same id and anything else: the key of another write, refused.
/// 3. An id that is not here is new, or forgotten.
///
/// They are not among the producers of clients, so that no number of keys makes the log forget one of those. Beyond
/// ``Limits/keyedWritesPerPartitionMax`` the oldest is forgotten, but never within ``Limits/keyedWriteWindowMin``.
struct KeyedWrites: Hashable, Sendable {
    private struct Write: Hashable, Sendable {
        var epoch: Int16
        var firstSequence: Int32
        var lastSequence: Int32
        var base: Offset
        var last: Offset
        var timestamp: Timestamp
        var appendedAt: Timestamp
    }

    private var writes: [Int64: Write] = [:]
    /// Their ids, in the order of their offsets, which is that of their time.
    private var order: CircularBuffer<Int64> = []

    var count: Int { self.writes.count }

    /// As producers of one batch, for the state file; the oldest first.
    var producers: [ProducerStates.Producer] {
        self.order.compactMap { id in
            self.writes[id].map { write in
                let batch = ProducerStates.Batch(
                    firstSequence: write.firstSequence, lastSequence: write.lastSequence, baseOffset: write.base,
                    lastOffset: write.last, timestamp: write.timestamp)
                return ProducerStates.Producer(
                    id: id, epoch: write.epoch, batches: [batch], lastAppendAt: write.appendedAt,
                    lastOffset: write.last)
            }
        }
    }

    init() {}

    /// What a state file says of them. One without its batch says nothing.
    init(_ producers: [ProducerStates.Producer]) {
        for producer in producers.sorted(by: { $0.lastOffset < $1.lastOffset }) {
            guard let batch = producer.batches.last else { continue }
            self.insert(
                Write(
                    epoch: producer.epoch, firstSequence: batch.firstSequence, lastSequence: batch.lastSequence,
                    base: batch.baseOffset, last: batch.lastOffset, timestamp: batch.timestamp,
                    appendedAt: producer.lastAppendAt),
                id: producer.id)
        }
    }

    func verdict(on header: RecordBatchHeader) throws(ProducerError) -> ProducerStates.Verdict {
        guard let known = self.writes[header.producerID] else { return .append }
        guard known.epoch == header.producerEpoch, known.firstSequence == header.baseSequence,
            known.lastSequence == header.lastSequence
        else { throw .keyReused }
        return .duplicate(baseOffset: known.base, lastOffset: known.last, timestamp: known.timestamp)
    }

    /// How long it takes until there is room for one more; nil when there is.
    func waitForRoom(wall: Timestamp) -> Duration? {
        guard self.order.count >= Limits.keyedWritesPerPartitionMax,
            let oldest = self.order.first.flatMap({ self.writes[$0] })
        else { return nil }
        let age = wall.rawValue &- oldest.appendedAt.rawValue
        let window = Limits.keyedWriteWindowMin.wholeMilliseconds
        // Of the future: the clock went back, and nobody knows how old it is.
        return (0..<window).contains(age) ? .milliseconds(window - age) : nil
    }

    mutating func note(_ header: RecordBatchHeader, wall: Timestamp) {
        let attributes = header.attributes
        self.insert(
            Write(
                epoch: header.producerEpoch, firstSequence: header.baseSequence, lastSequence: header.lastSequence,
                base: Offset(rawValue: header.baseOffset), last: Offset(rawValue: header.lastOffset),
                timestamp: Timestamp(
                    rawValue: attributes.isLogAppendTime ? header.maxTimestamp : header.baseTimestamp),
                appendedAt: wall),
            id: header.producerID)
    }

    private mutating func insert(_ write: Write, id: Int64) {
        if self.writes.updateValue(write, forKey: id) != nil { self.order.removeAll { $0 == id } }
        self.order.append(id)
        while self.order.count > Limits.keyedWritesPerPartitionMax { self.forgetOldest() }
    }

    private mutating func forgetOldest() {
        if let id = self.order.popFirst() { self.writes[id] = nil }
    }

    /// Forgets those that are older than `window`.
    mutating func expire(wall: Timestamp, window: Duration) {
        let limit = wall.earlier(by: window)
        while let oldest = self.order.first.flatMap({ self.writes[$0] }), oldest.appendedAt < limit {
            self.forgetOldest()
        }
    }

    /// Those at `end` and above are not in the log after all.
    mutating func rewind(to end: Offset) {
        while let newest = self.order.last, let write = self.writes[newest], write.last >= end {
            self.writes[newest] = nil
            self.order.removeLast()
        }
    }
}

extension RecordBatchHeader {
    /// The write of an idempotency key.
    package var isKeyed: Bool { self.producerID >= Limits.keyedProducerIDFirst }
}
