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
    package let isExact: Bool

    package struct Result: Hashable, Sendable {
        /// Whole batches in order, without seals. The first one holds `from`, and comes whole even if it alone is
        /// larger than the limit (KIP-74). Empty when nothing ends below `below` yet.
        package var batches: [ByteBuffer] = []
        /// Where a reader that goes on will look; for ``Log/learned(from:)``.
        var hint: ReadHints.Hint?
        /// Set when the segment was read to its end and the log goes on behind it: the offset to read there.
        package var continuation: Offset?

        package var byteCount: Int { self.batches.reduce(0) { $0 + $1.readableBytes } }
    }

    /// What the page cache has of it, checked like every read, without waiting for the device: an event loop may call
    /// this. Nil when some is not there, or when it takes a search or says that something is damaged; then
    /// ``run(on:)``.
    package func runCached(on disk: any Disk) -> Result? {
        guard self.isExact, let start = self.source.start else { return nil }
        // Whatever the disk has against it, `run` meets it again and says it.
        guard
            let bytes = try? disk.readCached(
                self.source.file, at: FilePosition(rawValue: Int64(start)), upTo: self.lengthHinted(from: start),
                end: FilePosition(rawValue: Int64(self.source.byteCount)))
        else { return nil }
        return self.batches(in: bytes, at: start)
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
        if self.isExact, let start = self.source.start {
            let bytes = try disk.read(
                self.source.file, at: FilePosition(rawValue: Int64(start)), upTo: self.lengthHinted(from: start))
            if let result = self.batches(in: bytes, at: start) { return .success(result) }
        }
        let start = try self.source.start(for: self.from, on: disk)
        var scanner = self.source.scanner(on: disk, from: start)
        var lost: Int?
        // What an index file says of a compacted segment is held against the batch that stands there: one that lies
        // must cost time, and not the batches in front.
        var isHint = self.source.isSparse && self.source.start == nil && start > SegmentHeader.byteCount
        while true {
            switch try scanner.look(whole: false) {
            case .end:
                // It was written, and the file ends before it.
                return .failure(.damaged(try self.source.damage(from: self.from, at: scanner.position, on: disk)))
            case .batch(let header, _):
                defer { isHint = false }
                if isHint, header.baseOffset > self.from.rawValue {
                    scanner.move(to: SegmentHeader.byteCount)
                } else if header.nextOffset <= self.from.rawValue {
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
        guard self.source.isSparse || first.baseOffset <= self.from.rawValue else {
            return .failure(.damaged(try self.source.damage(from: self.from, at: position, on: disk)))
        }
        let length = min(
            max(Seal.byteCount + first.totalByteCount, self.limit.rawValue), self.source.byteCount - position
        )
        let bytes = try disk.read(
            self.source.file, at: FilePosition(rawValue: Int64(position)), upTo: .bytes(length)
        )
        guard let result = self.batches(in: bytes, at: position) else {
            let from = Offset(rawValue: first.baseOffset)
            return .failure(.damaged(try self.source.damage(from: from, at: position, on: disk)))
        }
        return .success(result)
    }

    /// An ordinary segment's batches follow one another without a gap; in a compacted one some are missing.
    private func isInPlace(_ header: RecordBatchHeader, behind next: Int64?) -> Bool {
        if self.source.isSparse {
            return header.baseOffset >= next ?? 0 && header.nextOffset > self.from.rawValue
                && header.nextOffset <= self.source.end.rawValue
        }
        if let next { return header.baseOffset == next }
        return header.baseOffset <= self.from.rawValue && header.nextOffset > self.from.rawValue
    }

    private func lengthHinted(from start: Int) -> ByteCount {
        .bytes(max(0, min(self.limit.rawValue, self.source.byteCount - start)))
    }

    /// The whole batches at the front of `bytes`, each one checked, from the one that holds `from`. Nil when the first
    /// is not that one, is not whole here, or does not hold.
    private func batches(in bytes: ByteBuffer, at position: Int) -> Result? {
        var bytes = bytes
        var result = Result()
        var taken = 0
        var next: Int64?
        let seed = Seal.seed(salt: self.source.salt)
        while let header = SegmentScanner.sealed(bytes, seed: seed) {
            let length = Seal.byteCount + header.totalByteCount
            guard length <= bytes.readableBytes, self.isInPlace(header, behind: next),
                header.nextOffset <= self.below.rawValue,
                taken == 0 || taken + header.totalByteCount <= self.limit.rawValue,
                var sealed = bytes.readSlice(length: length), SegmentScanner.isWhole(sealed, header)
            else { break }
            sealed.moveReaderIndex(forwardBy: Seal.byteCount)
            result.batches.append(sealed)
            taken += header.totalByteCount
            next = header.nextOffset
        }
        guard let next else { return nil }
        let offset = Offset(rawValue: next)
        result.hint = ReadHints.Hint(
            base: self.source.base, salt: self.source.salt, offset: offset,
            position: position + taken + result.batches.count * Seal.byteCount
        )
        if offset >= self.source.end, offset < self.below { result.continuation = offset }
        return result
    }
}

/// Where the readers of a log will look next, so that one who reads on needs no index. Few: each costs memory in every
/// log that is read.
struct ReadHints: Sendable {
    struct Hint: Hashable, Sendable {
        var base: Offset
        /// Of the file: a compacted segment has the base of the one it took the place of.
        var salt: UInt64
        var offset: Offset
        var position: Int
    }

    private static let countMax = 8
    private var hints: [Hint] = []

    func position(of offset: Offset, in salt: UInt64) -> Int? {
        self.hints.first { $0.offset == offset && $0.salt == salt }?.position
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
