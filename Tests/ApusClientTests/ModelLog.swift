import ApusCore
import KafkaWire
import NIOCore

@testable import ApusClient

/// One partition of a broker that knows nothing but the rules of idempotence (KIP-98): what tests hold the client
/// against.
struct ModelLog {
    struct Written: Equatable {
        var baseOffset: Int64
        var values: [String]
    }

    enum Answer: Equatable {
        case written(Int64)
        case refused(KafkaErrorCode)
    }

    private struct Producer {
        var epoch: Int16
        var recent: [(first: Int32, last: Int32, baseOffset: Int64)]
    }

    private(set) var written: [Written] = []
    private(set) var endOffset: Int64 = 0
    private var batches: [(nextOffset: Int64, bytes: ByteBuffer)] = []
    private var producers: [Int64: Producer] = [:]

    /// Whole batches from the one that holds `offset` on; the first whatever its size.
    func read(from offset: Int64, upTo bytesMax: Int) -> ByteBuffer {
        var bytes = ByteBuffer()
        for (nextOffset, batch) in self.batches where nextOffset > offset {
            guard bytes.readableBytes == 0 || bytes.readableBytes + batch.readableBytes <= bytesMax else { break }
            bytes.writeImmutableBuffer(batch)
        }
        return bytes
    }

    var values: [String] { self.written.flatMap(\.values) }

    /// Forgets the producers, as when retention removed all they wrote.
    mutating func forgetProducers() { self.producers = [:] }

    /// - Returns: the base offset, or the error.
    mutating func append(_ bytes: ByteBuffer) throws -> Answer {
        let batch = try RecordBatch(from: bytes)
        try batch.verifyCRC()
        let header = batch.header
        if header.producerID >= 0 {
            if let known = self.producers[header.producerID] {
                if header.producerEpoch == known.epoch,
                    let twin = known.recent.first(where: {
                        $0.first == header.baseSequence && $0.last == header.lastSequence
                    })
                {
                    return .written(twin.baseOffset)
                }
                guard header.producerEpoch >= known.epoch else { return .refused(.invalidProducerEpoch) }
                let expected =
                    header.producerEpoch > known.epoch
                    ? 0 : ProduceBatch.sequence(known.recent.last?.last ?? -1, after: 1)
                guard header.baseSequence == expected else { return .refused(.outOfOrderSequenceNumber) }
            }
            var producer = self.producers[header.producerID] ?? Producer(epoch: header.producerEpoch, recent: [])
            if producer.epoch != header.producerEpoch { producer.recent = [] }
            producer.epoch = header.producerEpoch
            producer.recent.append((header.baseSequence, header.lastSequence, self.endOffset))
            if producer.recent.count > 5 { producer.recent.removeFirst() }
            self.producers[header.producerID] = producer
        }
        var values: [String] = []
        var records = try batch.records()
        while let record = try records.next() { values.append(String(buffer: record.value ?? ByteBuffer())) }
        let baseOffset = self.endOffset
        self.written.append(Written(baseOffset: baseOffset, values: values))
        var stored = bytes
        var placed = header
        placed.baseOffset = baseOffset
        placed.write(to: &stored, at: stored.readerIndex)
        self.batches.append((placed.nextOffset, stored))
        self.endOffset += Int64(values.count)
        return .written(baseOffset)
    }
}
