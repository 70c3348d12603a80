import ApusCore
import KafkaWire
import NIOCore

/// Who an idempotent producer is to the broker (KIP-98). The epoch is the lane's own: it grows when the sequence of a
/// partition was broken, and no other partition cares.
struct ProducerIdentity: Hashable, Sendable {
    var id: Int64
    var epoch: Int16
}

/// A batch as it is sent: compressed, and with its place in the producer's sequence.
struct ProduceBatch: Sendable {
    let place: BatchPlace
    let lane: LaneID
    let openedAt: Instant
    let recordCount: Int
    let payloadBytes: Int
    /// Bytes to be given back to the accumulator.
    let bufferedBytes: Int
    let waiters: [RecordWaiter]
    private(set) var bytes: ByteBuffer
    private(set) var sequence: Int32 = -1
    /// Which batch of its partition and epoch it is, from 0.
    private(set) var ordinal = 0
    /// Times it was sent.
    var attempts = 0
    /// An attempt ended without a definite answer: the broker may have it.
    var mayBeWritten = false
    /// It is a part of a batch of which an attempt ended so: the broker may have all of it, and not know it in parts.
    private(set) var isDoubtful = false

    var number: BatchNumber { self.place.number }

    /// Compresses.
    init(_ batch: consuming OpenBatch) {
        self.place = BatchPlace(batch.number)
        self.lane = batch.lane
        self.openedAt = batch.openedAt
        self.recordCount = batch.recordCount
        self.payloadBytes = batch.payloadBytes
        self.bufferedBytes = batch.byteCount
        self.waiters = batch.waiters
        self.bytes = batch.builder.finish()
    }

    /// Writes the producer and the sequence into the batch and signs it anew: the checksum covers both.
    mutating func sign(_ identity: ProducerIdentity, sequence: Int32, ordinal: Int) {
        guard var header = try? RecordBatchHeader(from: self.bytes) else {
            preconditionFailure("the builder wrote a header that can not be read")
        }
        header.producerID = identity.id
        header.producerEpoch = identity.epoch
        header.baseSequence = sequence
        header.write(to: &self.bytes, at: self.bytes.readerIndex)
        guard let crc = try? RecordBatch(from: self.bytes).computedCRC else {
            preconditionFailure("the builder wrote a batch that can not be read")
        }
        self.bytes.setInteger(crc, at: self.bytes.readerIndex + 17)
        self.sequence = sequence
        self.ordinal = ordinal
    }

    /// It stands further back among the batches of its epoch: one before it was split.
    mutating func moveBack() { self.ordinal += 1 }

    /// Two batches with its records, about the same number of bytes each, that take its place and its sequences
    /// (KIP-126). nil when it has one record only.
    func split() -> (ProduceBatch, ProduceBatch)? {
        guard self.recordCount > 1, let places = self.place.halves, let batch = try? RecordBatch(from: self.bytes),
            var iterator = try? batch.records()
        else { return nil }
        var records: [Record] = []
        // It is our own: what can not be read is not split, and fails as it is.
        while let record = try? iterator.next() { records.append(record) }
        guard records.count == self.recordCount else { return nil }
        let sizes = records.map { RecordBatchBuilder.byteCountMax(key: $0.key, value: $0.value, headers: $0.headers) }
        let half = sizes.reduce(0, +) / 2
        var (middle, bytes) = (1, sizes[0])
        while middle < records.count - 1, bytes + sizes[middle] <= half {
            bytes += sizes[middle]
            middle += 1
        }
        let share = Int(Double(self.bufferedBytes) * Double(middle) / Double(records.count))
        return (
            ProduceBatch(self, places.0, records[..<middle], batch.header, bufferedBytes: share),
            ProduceBatch(self, places.1, records[middle...], batch.header, bufferedBytes: self.bufferedBytes - share)
        )
    }

    private init(
        _ whole: ProduceBatch, _ place: BatchPlace, _ records: ArraySlice<Record>, _ header: RecordBatchHeader,
        bufferedBytes: Int
    ) {
        self.place = place
        self.lane = whole.lane
        self.openedAt = whole.openedAt
        self.recordCount = records.count
        self.bufferedBytes = bufferedBytes
        self.payloadBytes = records.reduce(0) {
            $0 + ($1.key?.readableBytes ?? 0) + ($1.value?.readableBytes ?? 0)
        }
        self.waiters = whole.waiters.compactMap { waiter in
            guard records.indices.contains(waiter.index) else { return nil }
            var waiter = waiter
            waiter.index -= records.startIndex
            return waiter
        }
        self.isDoubtful = whole.mayBeWritten || whole.isDoubtful
        self.mayBeWritten = self.isDoubtful
        if whole.sequence >= 0 {
            self.sequence = Self.sequence(whole.sequence, after: records.startIndex)
            self.ordinal = whole.ordinal + (records.startIndex == 0 ? 0 : 1)
        }
        var builder = RecordBatchBuilder(
            codec: header.attributes.codec ?? .none, producerID: header.producerID,
            producerEpoch: header.producerEpoch, baseSequence: self.sequence, byteCountHint: bufferedBytes)
        for record in records {
            builder.append(
                key: record.key, value: record.value, headers: record.headers, timestamp: record.timestamp)
        }
        self.bytes = builder.finish()
    }

    /// The sequence after the batch: it wraps from the largest Int32 to 0, as the broker's does.
    static func sequence(_ sequence: Int32, after recordCount: Int) -> Int32 {
        Int32(truncatingIfNeeded: (Int64(sequence) + Int64(recordCount)) & Int64(Int32.max))
    }
}
