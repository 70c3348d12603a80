import ApusCore
import KafkaWire
import NIOCore

/// Every batch of a closed segment, one after the other, each checked: seal, CRC and place. Anything else is damage:
/// what compaction does not find it would take for gone. Blocking.
struct SegmentWalk: Sendable {
    enum Found {
        /// Without its seal.
        case batch(RecordBatchHeader, ByteBuffer)
        case end
    }

    let source: SegmentSource
    private let start: Offset
    private var scanner: SegmentScanner
    private var expected: Offset

    /// - Parameter start: the log's; below it there may be a hole.
    init(_ source: SegmentSource, start: Offset, on disk: any Disk) {
        self.source = source
        self.start = start
        self.scanner = source.scanner(
            on: disk, from: SegmentHeader.byteCount, chunk: Limits.compactionPieceBytes.rawValue)
        self.expected = source.base
    }

    /// - Throws: `.damaged`, `.gone`, `.disk`.
    mutating func next() throws(CompactionFailure) -> Found {
        do throws(DiskError) {
            if let found = try self.look() { return found }
            if try self.passHole(), let found = try self.look() { return found }
        } catch {
            throw CompactionFailure(error)
        }
        throw .damaged(try self.damage())
    }

    /// Nil for what does not hold.
    private mutating func look() throws(DiskError) -> Found? {
        switch try self.scanner.look(whole: true) {
        case .batch(let header, _):
            guard self.isInPlace(header) else { return nil }
            var bytes = try self.scanner.bytes(Seal.byteCount + header.totalByteCount)
            bytes.moveReaderIndex(forwardBy: Seal.byteCount)
            self.expected = Offset(rawValue: header.nextOffset)
            self.scanner.skip(header)
            return .batch(header, bytes)
        case .end: return self.expected == self.source.end ? .end : nil
        case .bad: return nil
        }
    }

    /// What is missing in front of the log's start need not be there.
    private mutating func passHole() throws(DiskError) -> Bool {
        guard self.expected < self.start,
            let next = try self.scanner.search(from: self.scanner.position + 1, where: { _, _, _ in true }),
            next.header.baseOffset <= self.start.rawValue
        else { return false }
        self.scanner.move(to: next.position)
        self.expected = Offset(rawValue: next.header.baseOffset)
        return true
    }

    private func isInPlace(_ header: RecordBatchHeader) -> Bool {
        let isBehind =
            self.source.isSparse
            ? header.baseOffset >= self.expected.rawValue : header.baseOffset == self.expected.rawValue
        return isBehind && header.nextOffset <= self.source.end.rawValue
    }

    private func damage() throws(CompactionFailure) -> LogDamage {
        do throws(DiskError) {
            return try self.source.damage(from: self.expected, at: self.scanner.position, on: self.scanner.disk)
        } catch {
            throw CompactionFailure(error)
        }
    }
}
