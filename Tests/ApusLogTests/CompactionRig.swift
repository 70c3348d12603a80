import ApusCore
import ApusFakes
import KafkaWire
import NIOCore
import Testing

@testable import ApusLog

/// Real records, and passes of compaction run by hand.
extension LogRig {
    struct Seen: Hashable, CustomStringConvertible {
        var offset: Int64
        var key: String?
        var value: String?
        var timestamp: Int64

        var description: String { "\(self.offset): \(self.key ?? "-")=\(self.value ?? "-")" }
    }

    @discardableResult
    func put(
        _ records: [(key: String?, value: String?)], codec: CompressionCodec = .none, producer: Producer? = nil,
        timestamp: Timestamp? = nil
    ) throws -> RecordBatchHeader {
        var builder = RecordBatchBuilder(
            codec: codec, baseOffset: self.log.endOffset.rawValue, leaderEpoch: self.epoch,
            producerID: producer?.id ?? -1, producerEpoch: producer?.epoch ?? -1,
            baseSequence: producer?.sequence ?? -1)
        for (index, record) in records.enumerated() {
            builder.append(
                key: record.key.map { ByteBuffer(string: $0) }, value: record.value.map { ByteBuffer(string: $0) },
                headers: index % 2 == 0 ? [] : [.init(key: "h", value: ByteBuffer(string: "x"))],
                timestamp: (timestamp ?? self.wall).rawValue + Int64(index))
        }
        let bytes = builder.finish()
        let header = try RecordBatchHeader(from: bytes)
        self.log.append(bytes, header: header, wall: self.wall)
        return header
    }

    /// Closes the segment that is written to: compaction never touches it.
    func closeSegment() {
        self.drain()
        guard self.log.failure == nil, self.log.writing.mark.end > self.log.writing.base else { return }
        self.log.closeWriting(wall: self.wall)
        self.drain()
    }

    /// Every record there is, as a reader gets them.
    func seen(from: Offset? = nil, below: Offset? = nil, upTo limit: ByteCount = .bytes(700)) throws -> [Seen] {
        var seen: [Seen] = []
        let end = below ?? self.log.endOffset
        var next = from ?? self.log.startOffset
        while let read = try self.log.read(from: next, below: end, upTo: limit) {
            let result = try self.run(read)
            let last = try #require(result.batches.last, "nothing to be read at \(next)")
            for bytes in result.batches {
                let batch = try RecordBatch(from: bytes)
                try batch.verifyCRC()
                var records = try batch.records()
                while let record = try records.next() {
                    guard record.offset >= (from ?? self.log.startOffset).rawValue else { continue }
                    seen.append(
                        Seen(
                            offset: record.offset, key: record.key.map { String(buffer: $0) },
                            value: record.value.map { String(buffer: $0) }, timestamp: record.timestamp))
                }
            }
            next = Offset(rawValue: try RecordBatchHeader(from: last).nextOffset)
        }
        #expect(next == end)
        return seen
    }

    func values(from: Offset? = nil) throws -> [String] { try self.seen(from: from).map(\.description) }

    /// One pass to its end.
    @discardableResult
    func compact(
        piece: ByteCount = .bytes(300), keysBytesMax: ByteCount = Limits.compactionKeysBytesMax,
        between: () throws -> Void = {}
    ) throws -> Compaction? {
        let begun = self.log.beginCompaction(
            wall: self.wall, below: self.log.durableEnd, keysBytesMax: keysBytesMax)
        guard var compaction = begun else { return nil }
        while true {
            let step: Compaction.Step
            do throws(CompactionFailure) {
                step = try compaction.step(on: self.view, upTo: piece)
            } catch {
                guard error == .gone else { throw error }
                compaction.abandon(on: self.view)
                return compaction
            }
            switch step {
            case .more: try between()
            case .swap(let swap):
                guard self.log.take(swap) else {
                    compaction.abandon(on: self.view)
                    return compaction
                }
                self.drain()
            case .done(let end):
                self.log.compacted(through: end)
                if let damage = compaction.damage { self.log.learned(damage) }
                self.drain()
                return compaction
            }
        }
    }
}
