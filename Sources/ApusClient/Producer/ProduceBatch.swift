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
    let number: BatchNumber
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

    /// Compresses.
    init(_ batch: consuming OpenBatch) {
        self.number = batch.number
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

    /// The sequence after the batch: it wraps from the largest Int32 to 0, as the broker's does.
    static func sequence(_ sequence: Int32, after recordCount: Int) -> Int32 {
        Int32(truncatingIfNeeded: (Int64(sequence) + Int64(recordCount)) & Int64(Int32.max))
    }
}
