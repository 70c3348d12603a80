import ApusBroker
import ApusCore
import Hummingbird
import HummingbirdCore
import KafkaWire
import NIOCore
import WebFormats

/// What one read found, as JSON.
struct RecordReading {
    private let limit: Int
    private(set) var count = 0
    private var records = ByteBuffer()
    private(set) var next: [(PartitionIndex, Offset, end: Offset)] = []

    init(limit: Int) {
        self.limit = limit
        self.records.writeInteger(UInt8(ascii: "["))
    }

    mutating func take(_ result: FetchResult, for entry: FetchEntry) throws(Problem) {
        if let error = result.error { throw Problem(error) }
        var next = entry.offset
        do throws(WireError) {
            for batches in result.batches where self.count < self.limit {
                var batches = batches
                while self.count < self.limit, let batch = try RecordBatch.read(from: &batches) {
                    next = try self.take(batch, of: entry.partition, from: next)
                }
            }
        } catch {
            throw Problem(.corruptRecords, "partition \(entry.partition): \(error)")
        }
        self.next.append((entry.partition, next, result.highWatermark))
    }

    /// Writes the batch's records from `next` on, as far as there is room, and says where to go on.
    private mutating func take(
        _ batch: RecordBatch, of partition: PartitionIndex, from next: Offset
    ) throws(WireError) -> Offset {
        let header = batch.header
        let end = Offset(rawValue: header.baseOffset &+ Int64(header.lastOffsetDelta) &+ 1)
        // Markers of transactions are no records.
        guard !header.attributes.isControl else { return max(next, end) }
        var records = try batch.records()
        while let record = try records.next() {
            guard record.offset >= next.rawValue else { continue }
            guard self.count < self.limit else { return Offset(rawValue: record.offset) }
            self.records.writeJSONComma()
            self.records.writeJSON(
                EdgeRecord(
                    partition: partition, offset: Offset(rawValue: record.offset),
                    timestamp: Timestamp(rawValue: record.timestamp), key: record.key, value: record.value,
                    headers: record.headers.map { WrittenRecord.Header(name: $0.key, value: $0.value) }))
            self.count += 1
        }
        return max(next, end)
    }

    func writeRecords(into body: inout ByteBuffer) {
        body.writeJSONName("records")
        body.writeImmutableBuffer(self.records)
        body.writeInteger(UInt8(ascii: "]"))
    }

    /// - Parameter seal: writes the cursor behind what was read, when that was of all partitions.
    func response(_ gaps: [ResumeGap]?, seal: CursorSeal?) -> Response {
        Response.object { body in
            self.writeRecords(into: &body)
            body.writeJSONArray("next", self.next) { body, entry in
                body.writeJSONBraces {
                    $0.writeJSONMember("partition", entry.0.rawValue)
                    $0.writeJSONMember("offset", entry.1.rawValue)
                    $0.writeJSONMember("end", entry.end.rawValue)
                }
            }
            if let seal { body.writeJSON(SealedCursor(.whole(self.next.map(\.1)), by: seal)) }
            if let gaps { body.writeJSONMembers(gaps) }
        }
    }
}
