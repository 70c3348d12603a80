package import ApusCore
import KafkaWire
package import NIOCore

/// One read, planned by the log and run on a disk thread.
package struct LogRead: Hashable, Sendable {
    let source: SegmentSource
    package let from: Offset
    /// Batches that end above this are left out.
    package let below: Offset
    package let limit: ByteCount
    /// `source.start` is exactly where the batch with `from` was last seen.
    let isExact: Bool

    package struct Result: Hashable, Sendable {
        /// Whole batches in order, without seals. The first one holds `from`, and comes whole even if it alone is
        /// larger than the limit (KIP-74). Empty when nothing ends below `below` yet.
        package var batches: [ByteBuffer] = []
        /// Where a reader that goes on will look; for ``Log/learned(from:)``.
        var hint: ReadHints.Hint?
    }

    /// Blocking. Every batch is checked, seal and CRC, before it is handed out; a damaged one never is.
    /// - Throws: `.damaged` when the batch with `from` does not hold (what comes before damage is returned without
    ///   error), `.gone` when the file was removed meanwhile, `.disk`.
    package func run(on disk: any Disk) throws(LogError) -> Result {
        let found: Swift.Result<Result, LogError>
        do throws(DiskError) {
            found = try self.find(on: disk)
        } catch {
            throw error.reason == .notFound ? .gone(self.from) : .disk(error)
        }
        return try found.get()
    }

    private func find(on disk: any Disk) throws(DiskError) -> Swift.Result<Result, LogError> {
        var scanner = self.source.scanner(on: disk, from: try self.source.start(for: self.from, on: disk))
        var lost: Int?
        while true {
            switch try scanner.look(whole: false) {
            case .end:
                // It was written, and the file ends before it.
                return .failure(.damaged(try self.source.damage(from: self.from, at: scanner.position, on: disk)))
            case .batch(let header, _):
                if header.nextOffset <= self.from.rawValue {
                    scanner.skip(header)
                } else if let lost, header.baseOffset > self.from.rawValue {
                    return .failure(.damaged(try self.source.damage(from: self.from, at: lost, on: disk)))
                } else {
                    return try self.take(from: scanner.position, first: header, on: disk)
                }
            case .bad:
                // Maybe the batch that is asked for stands behind the damage.
                lost = lost ?? scanner.position
                guard let next = try scanner.search(from: scanner.position + 1, where: { _, _, _ in true }) else {
                    return .failure(.damaged(try self.source.damage(from: self.from, at: scanner.position, on: disk)))
                }
                scanner.move(to: next.position)
            }
        }
    }

    private func take(
        from position: Int, first: RecordBatchHeader, on disk: any Disk
    ) throws(DiskError) -> Swift.Result<Result, LogError> {
        guard first.nextOffset <= self.below.rawValue else { return .success(Result()) }
        // What was planned by an index that lies, or a file that is not what it was: offsets must be where they belong.
        guard first.baseOffset <= self.from.rawValue else {
            return .failure(.damaged(try self.source.damage(from: self.from, at: position, on: disk)))
        }
        let length = min(
            max(Seal.byteCount + first.totalByteCount, self.limit.rawValue), self.source.byteCount - position
        )
        var bytes = try disk.read(
            self.source.file, at: FilePosition(rawValue: Int64(position)), upTo: .bytes(length)
        )
        var result = Result()
        var taken = 0
        var next = Offset(rawValue: first.baseOffset)
        let seed = Seal.seed(salt: self.source.salt)
        while let header = SegmentScanner.sealed(bytes, seed: seed) {
            let length = Seal.byteCount + header.totalByteCount
            guard length <= bytes.readableBytes, header.baseOffset == next.rawValue,
                header.nextOffset <= self.below.rawValue,
                taken == 0 || taken + header.totalByteCount <= self.limit.rawValue,
                var sealed = bytes.readSlice(length: length), SegmentScanner.isWhole(sealed, header)
            else { break }
            sealed.moveReaderIndex(forwardBy: Seal.byteCount)
            result.batches.append(sealed)
            taken += header.totalByteCount
            next = Offset(rawValue: header.nextOffset)
            result.hint = ReadHints.Hint(
                base: self.source.base, offset: next,
                position: position + taken + result.batches.count * Seal.byteCount
            )
        }
        guard !result.batches.isEmpty else {
            let from = Offset(rawValue: first.baseOffset)
            return .failure(.damaged(try self.source.damage(from: from, at: position, on: disk)))
        }
        return .success(result)
    }
}

/// Where the readers of a log will look next, so that one who reads on needs no index. Few: each costs memory in every
/// log that is read.
struct ReadHints: Sendable {
    struct Hint: Hashable, Sendable {
        var base: Offset
        var offset: Offset
        var position: Int
    }

    private static let countMax = 8
    private var hints: [Hint] = []

    func position(of offset: Offset, in base: Offset) -> Int? {
        self.hints.first { $0.offset == offset && $0.base == base }?.position
    }

    /// - Parameter previous: where the same reader was; its hint is replaced.
    mutating func note(_ hint: Hint, after previous: Offset) {
        self.hints.removeAll { $0.offset == previous || $0.offset == hint.offset }
        if self.hints.count >= Self.countMax { self.hints.removeFirst() }
        self.hints.append(hint)
    }

    mutating func forget(below start: Offset) {
        self.hints.removeAll { $0.base < start }
    }

    mutating func forgetAll() { self.hints = [] }
}
