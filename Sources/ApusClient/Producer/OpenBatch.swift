import ApusCore
import KafkaWire
import NIOCore

/// One partition of one topic, as an index into a producer's tables. Never reused while the producer lives.
struct LaneID: Hashable, Sendable {
    var index: Int
}

/// A batch's place in the order in which a producer opened them: 0, 1, 2 …
struct BatchNumber: RawRepresentable, Hashable, Comparable, Sendable {
    var rawValue: UInt64

    static func < (left: BatchNumber, right: BatchNumber) -> Bool { left.rawValue < right.rawValue }
}

/// A batch's, or a part's, place in the order of its partition.
///
/// A batch that was too large is sent in halves, and a half in halves again: each has its share of the range of the
/// whole, so that the order of all holds however often they are split.
struct BatchPlace: Hashable, Comparable, Sendable {
    let number: BatchNumber
    private var start: UInt64 = 0
    private var width: UInt64 = 1 << 62

    init(_ number: BatchNumber) {
        self.number = number
    }

    /// nil when it was halved 62 times.
    var halves: (BatchPlace, BatchPlace)? {
        guard self.width > 1 else { return nil }
        var (first, second) = (self, self)
        first.width = self.width / 2
        second.width = first.width
        second.start += first.width
        return (first, second)
    }

    static func < (left: BatchPlace, right: BatchPlace) -> Bool {
        (left.number, left.start) < (right.number, right.start)
    }
}

/// Records for one partition that are not yet a batch: neither compressed nor given a sequence.
struct OpenBatch: Sendable {
    let number: BatchNumber
    let lane: LaneID
    let openedAt: Instant
    private(set) var builder: RecordBatchBuilder
    /// Keys and values, for the statistics.
    private(set) var payloadBytes = 0
    private(set) var waiters: [RecordWaiter] = []

    init(number: BatchNumber, lane: LaneID, openedAt: Instant, codec: CompressionCodec, byteCountHint: Int) {
        self.number = number
        self.lane = lane
        self.openedAt = openedAt
        self.builder = RecordBatchBuilder(codec: codec, byteCountHint: byteCountHint)
    }

    var recordCount: Int { self.builder.recordCount }
    /// Bytes of memory it holds, before compression.
    var byteCount: Int { self.builder.byteCount }

    mutating func append(_ record: ProducerRecord, timestamp: Timestamp, reply: Reply<DeliveryReceipt>?) {
        if let reply {
            self.waiters.append(
                RecordWaiter(index: self.builder.recordCount, timestamp: timestamp, reply: reply))
        }
        self.payloadBytes += (record.key?.readableBytes ?? 0) + (record.value?.readableBytes ?? 0)
        self.builder.append(
            key: record.key, value: record.value, headers: record.wireHeaders, timestamp: timestamp.rawValue
        )
    }
}

/// Somebody who waits for one record of a batch.
struct RecordWaiter: Sendable {
    /// The record's place in its batch.
    var index: Int
    let timestamp: Timestamp
    let reply: Reply<DeliveryReceipt>
}

extension ProducerRecord {
    var wireHeaders: [Record.Header] {
        self.headers.isEmpty ? [] : self.headers.map { Record.Header(key: $0.name, value: $0.value) }
    }
}
