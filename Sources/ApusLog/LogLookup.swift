package import ApusCore
import KafkaWire
import NIOCore

/// The search for the first record with a timestamp at or above one, planned by the log and run on a disk thread.
package struct LogLookup: Hashable, Sendable {
    package struct Answer: Hashable, Sendable {
        package var offset: Offset
        package var timestamp: Timestamp
        /// `.none` when the record is older than all known epochs.
        package var epoch: Epoch
    }

    let timestamp: Timestamp
    /// Records below are deleted.
    let start: Offset
    /// Records at or above are not to be seen yet.
    let below: Offset
    /// In order; the first holds such a record, unless its producer's batch header lied.
    let sources: [SegmentSource]
    /// What it comes to when there is no such record in them.
    var otherwise: Answer?
    /// Decompression of one batch stops here.
    private static let decompressedBytesMax = 64 << 20

    /// The same search, which finds nothing below `offset`.
    package func from(_ offset: Offset) -> LogLookup {
        LogLookup(
            timestamp: self.timestamp, start: max(self.start, offset), below: self.below,
            sources: self.sources.filter { $0.end > offset }, otherwise: self.otherwise)
    }

    /// Blocking. Nil when there is no such record.
    /// - Throws: `.damaged`, `.gone`, `.disk`.
    package func run(on disk: any Disk) throws(LogError) -> Answer? {
        for source in self.sources {
            let found: Swift.Result<Answer?, LogError>
            do throws(DiskError) {
                found = try self.search(source, on: disk)
            } catch {
                throw error.reason == .notFound ? .gone(source.base) : .disk(error)
            }
            if let answer = try found.get() { return answer }
        }
        return self.otherwise
    }

    private func search(
        _ source: SegmentSource, on disk: any Disk
    ) throws(DiskError) -> Swift.Result<Answer?, LogError> {
        var scanner = source.scanner(on: disk, from: try source.start(for: self.timestamp, on: disk))
        var next = source.base
        while true {
            switch try scanner.look(whole: false) {
            case .end: return .success(nil)
            case .bad:
                if next < self.start,
                    let behind = try scanner.search(from: scanner.position + 1, where: { _, _, _ in true }),
                    behind.header.baseOffset <= self.start.rawValue
                {
                    // Below the start there may be a hole.
                    scanner.move(to: behind.position)
                    continue
                }
                return .failure(.damaged(try source.damage(from: next, at: scanner.position, on: disk)))
            case .batch(let header, _):
                guard header.nextOffset <= self.below.rawValue else { return .success(nil) }
                next = Offset(rawValue: header.nextOffset)
                if header.maxTimestamp >= self.timestamp.rawValue, header.nextOffset > self.start.rawValue {
                    guard case .batch = try scanner.look(whole: true) else {
                        let damage = try source.damage(
                            from: Offset(rawValue: header.baseOffset), at: scanner.position, on: disk
                        )
                        return .failure(.damaged(damage))
                    }
                    let bytes = try scanner.bytes(Seal.byteCount + header.totalByteCount)
                    if let answer = self.first(in: bytes, header) { return .success(answer) }
                }
                scanner.skip(header)
            }
        }
    }

    /// The record itself; the batch's own numbers when its records can not be read (they are the producer's business).
    private func first(in sealed: ByteBuffer, _ header: RecordBatchHeader) -> Answer? {
        var bytes = sealed
        bytes.moveReaderIndex(forwardBy: Seal.byteCount)
        let epoch = Epoch(rawValue: header.partitionLeaderEpoch)
        do throws(WireError) {
            var records = try RecordBatch(from: bytes).records(decompressedBytesMax: Self.decompressedBytesMax)
            while let record = try records.next() {
                guard record.timestamp >= self.timestamp.rawValue, record.offset >= self.start.rawValue else {
                    continue
                }
                return Answer(
                    offset: Offset(rawValue: record.offset), timestamp: Timestamp(rawValue: record.timestamp),
                    epoch: epoch
                )
            }
            return nil
        } catch {
            return Answer(
                offset: max(self.start, Offset(rawValue: header.baseOffset)),
                timestamp: Timestamp(rawValue: header.maxTimestamp), epoch: epoch
            )
        }
    }
}
