public import ApusCore
import KafkaWire
public import NIOCore

/// A batch that was read. Its records are decoded, and its checksum verified, when asked for, on the caller's thread.
public struct ReaderBatch: Sendable {
    public var topic: String
    public var partition: PartitionIndex
    /// The end of the partition for readers, as the broker knew it when it answered.
    public var highWatermark: Offset
    /// Records before this one are not the reader's: a broker answers with whole batches.
    let from: Offset
    /// Nor are those from here on.
    let below: Offset?
    let batch: RecordBatch
    let verifiesChecksum: Bool
    let decompressedBytesMax: Int

    /// The first offset of the batch that may be the reader's.
    public var firstOffset: Offset { max(self.from, Offset(rawValue: self.batch.header.baseOffset)) }
    /// Where the next batch begins.
    public var nextOffset: Offset {
        let next = Offset(rawValue: self.batch.header.nextOffset)
        return self.below.map { min($0, next) } ?? next
    }
    /// Bytes of the batch as it was stored.
    public var byteCount: ByteCount { .bytes(self.batch.header.totalByteCount) }
    /// How it was compressed; nil for a codec that this client does not know.
    public var compression: Compression? { self.batch.header.attributes.codec.map(Compression.init) }

    /// The epoch of the leader that wrote it.
    public var leaderEpoch: Epoch { Epoch(rawValue: self.batch.header.partitionLeaderEpoch) }
    /// The timestamps are the broker's, not the producer's.
    public var isLogAppendTime: Bool { self.batch.header.attributes.isLogAppendTime }

    /// Its records, in order.
    /// - Throws: `.corrupt`.
    public func records() throws(ApusError) -> [ReaderRecord] {
        var records: [ReaderRecord] = []
        var cursor = try RecordCursor(self)
        while let record = try cursor.next() { records.append(record) }
        return records
    }

    /// Calls `body` with each record in order, without an array of them.
    /// - Throws: `.corrupt`, and what `body` throws.
    public func forEachRecord(_ body: (ReaderRecord) throws -> Void) throws {
        var cursor = try RecordCursor(self)
        while let record = try cursor.next() { try body(record) }
    }
}

extension ReaderBatch {
    /// Calls `body` with the value of each record in order, nil for null: the cheapest way through a batch.
    /// - Throws: `.corrupt`, and what `body` throws.
    public func forEachValue(_ body: (ByteBuffer?) throws -> Void) throws {
        var records = try RecordCursor(self)
        while let record = try records.nextRecord() { try body(record.value) }
    }
}

/// Walks the records of one batch that are the reader's.
struct RecordCursor: Sendable {
    private let batch: ReaderBatch
    private var records: RecordIterator

    init(_ batch: ReaderBatch) throws(ApusError) {
        self.batch = batch
        do throws(WireError) {
            if batch.verifiesChecksum { try batch.batch.verifyCRC() }
            self.records = try batch.batch.records(decompressedBytesMax: batch.decompressedBytesMax)
        } catch {
            throw batch.corrupt(error)
        }
    }

    mutating func next() throws(ApusError) -> ReaderRecord? {
        guard let record = try self.nextRecord() else { return nil }
        return ReaderRecord(record, topic: self.batch.topic, partition: self.batch.partition)
    }

    /// The next one as it stands in the batch.
    fileprivate mutating func nextRecord() throws(ApusError) -> Record? {
        while true {
            let next: Record?
            do throws(WireError) {
                next = try self.records.next()
            } catch {
                throw self.batch.corrupt(error)
            }
            guard let record = next else { return nil }
            if record.offset < self.batch.from.rawValue { continue }
            // Offsets ascend within a batch.
            if let below = self.batch.below, record.offset >= below.rawValue { return nil }
            return record
        }
    }
}

extension ReaderBatch {
    fileprivate func corrupt(_ error: WireError) -> ApusError {
        let place = "\(self.topic)/\(self.partition), batch at \(self.batch.header.baseOffset)"
        return ApusError(.corrupt, place, topic: self.topic, cause: error)
    }
}

extension Compression {
    init(_ codec: CompressionCodec) {
        switch codec {
        case .none: self = .none
        case .gzip: self = .gzip
        case .snappy: self = .snappy
        case .lz4: self = .lz4
        case .zstd: self = .zstd
        }
    }
}
