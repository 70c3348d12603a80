import ApusCore
import KafkaWire
import NIOCore

/// Walks the batches of one segment file, believing nothing but seals and checksums. Blocking.
struct SegmentScanner {
    enum Found {
        case batch(RecordBatchHeader, mark: UInt32)
        /// Nothing but zeros follows, or the file ends here.
        case end
        /// Bytes that are no batch with a right seal (and, if asked for, a right checksum).
        case bad
    }

    let disk: any Disk
    let file: DiskPath
    let seed: UInt32
    /// Nothing at or behind this byte is looked at.
    let end: Int
    /// Bytes read at once.
    let chunk: Int
    /// Where the next seal should be.
    private(set) var position: Int
    private var window = ByteBuffer()
    private var windowStart = 0

    init(_ disk: any Disk, _ file: DiskPath, seed: UInt32, from position: Int, to end: Int, chunk: Int) {
        self.disk = disk
        self.file = file
        self.seed = seed
        self.position = position
        self.end = end
        self.chunk = chunk
    }

    /// What is at `position`. Does not move.
    /// - Parameter whole: also read the whole batch and check its CRC.
    mutating func look(whole: Bool) throws(DiskError) -> Found {
        let headByteCount = Seal.byteCount + RecordBatchHeader.byteCount
        let head = try self.bytes(headByteCount)
        guard head.readableBytes == headByteCount else {
            return head.isAllZero ? .end : .bad
        }
        guard let mark = head.getInteger(at: head.readerIndex, as: UInt32.self) else { return .bad }
        guard mark != 0 else { return try self.isZeroToTheEnd() ? .end : .bad }
        guard let header = Self.sealed(head, seed: self.seed) else { return .bad }
        let length = Seal.byteCount + header.totalByteCount
        guard length <= self.end - self.position else { return .bad }
        guard whole else { return .batch(header, mark: mark) }
        let bytes = try self.bytes(length)
        guard Self.isWhole(bytes, header) else { return .bad }
        return .batch(header, mark: mark)
    }

    /// Moves behind a batch that `look` found.
    mutating func skip(_ header: RecordBatchHeader) {
        self.position += Seal.byteCount + header.totalByteCount
    }

    mutating func move(to position: Int) {
        self.position = position
    }

    /// The header behind a right seal; nil when seal or header do not hold.
    /// - Parameter bytes: starts with the seal.
    static func sealed(_ bytes: ByteBuffer, seed: UInt32) -> RecordBatchHeader? {
        var batch = bytes
        guard let mark = batch.readInteger(as: UInt32.self), Seal.isMark(mark),
            let checksum = batch.readInteger(as: UInt32.self), batch.readableBytes >= RecordBatchHeader.byteCount
        else { return nil }
        // Unsafe: see Seal.checksum; the length was checked above.
        let computed = batch.withUnsafeReadableBytes { Seal.checksum(seed: seed, mark: mark, batch: $0) }
        guard checksum == computed else { return nil }
        // Why not matters to nobody: a sealed batch that does not parse is damage.
        return try? RecordBatchHeader(from: batch)
    }

    /// - Parameter bytes: seal and batch, nothing else.
    static func isWhole(_ bytes: ByteBuffer, _ header: RecordBatchHeader) -> Bool {
        guard bytes.readableBytes == Seal.byteCount + header.totalByteCount,
            let covered = bytes.getSlice(
                at: bytes.readerIndex + Seal.byteCount + RecordBatchHeader.crcCoverageStart,
                length: header.totalByteCount - RecordBatchHeader.crcCoverageStart
            )
        else { return false }
        return covered.crc32c() == header.crc
    }

    /// `count` bytes from `position`; fewer at the end.
    mutating func bytes(_ count: Int) throws(DiskError) -> ByteBuffer {
        let wanted = min(count, max(0, self.end - self.position))
        let held = self.windowStart + self.window.readableBytes - self.position
        if self.position < self.windowStart || held < wanted {
            let length = min(max(wanted, self.chunk), self.end - self.position)
            self.window = try self.disk.read(
                self.file, at: FilePosition(rawValue: Int64(self.position)), upTo: .bytes(length)
            )
            self.windowStart = self.position
        }
        let start = self.position - self.windowStart
        let available = min(wanted, max(0, self.window.readableBytes - start))
        return self.window.getSlice(at: self.window.readerIndex + start, length: available) ?? ByteBuffer()
    }

    private mutating func isZeroToTheEnd() throws(DiskError) -> Bool {
        let position = self.position
        defer { self.position = position }
        while self.position < self.end {
            let bytes = try self.bytes(min(self.chunk, self.end - self.position))
            guard bytes.isAllZero else { return false }
            guard bytes.readableBytes > 0 else { return true }
            self.position += bytes.readableBytes
        }
        return true
    }

    /// The next place from `start` on where a whole batch stands that satisfies a condition; nil when there is none.
    /// Seals can not be met by chance or made by a producer: their checksum hangs on the file's salt.
    func search(
        from start: Int, where isWanted: (RecordBatchHeader, _ mark: UInt32, _ position: Int) -> Bool
    ) throws(DiskError) -> (position: Int, header: RecordBatchHeader)? {
        let headByteCount = Seal.byteCount + RecordBatchHeader.byteCount
        var scanner = SegmentScanner(
            self.disk, self.file, seed: self.seed, from: start, to: self.end, chunk: max(self.chunk, 64 * 1024)
        )
        while scanner.position + headByteCount <= self.end {
            let window = try scanner.bytes(min(scanner.chunk, self.end - scanner.position))
            guard window.readableBytes >= headByteCount else { return nil }
            let base = scanner.position
            var offset = 0
            while offset + headByteCount <= window.readableBytes {
                defer { offset += 1 }
                guard let mark = window.getInteger(at: window.readerIndex + offset, as: UInt32.self) else { continue }
                if mark == 0 {
                    // Holes are long.
                    let zeros = window.getSlice(
                        at: window.readerIndex + offset, length: window.readableBytes - offset)
                    offset += max(0, (zeros?.zeroPrefixByteCount ?? 0) - 4)
                    continue
                }
                guard Seal.isMark(mark),
                    let head = window.getSlice(at: window.readerIndex + offset, length: headByteCount),
                    let header = Self.sealed(head, seed: self.seed), isWanted(header, mark, base + offset)
                else { continue }
                var candidate = scanner
                candidate.move(to: base + offset)
                if case .batch = try candidate.look(whole: true) { return (base + offset, header) }
            }
            scanner.move(to: base + offset)
        }
        return nil
    }
}
