package import ApusCore
package import KafkaWire
import NIOCore

/// What one segment file holds, for people who look at a data directory. Believes nothing, changes nothing. Blocking.
package struct SegmentDump: Sendable {
    /// A batch whose seal holds.
    package struct Batch: Sendable {
        package var header: RecordBatchHeader
        package var position: FilePosition
        /// The batch's own checksum holds too.
        package var isWhole: Bool
    }

    /// The segments of a partition's directory, by base offset.
    package static func segments(in directory: DiskPath, on disk: any Disk) throws(DiskError) -> [DiskPath] {
        try disk.list(directory).filter { name in
            switch FileName(name) {
            case .segment, .compacted: true
            default: false
            }
        }.map(directory.appending)
    }

    package let file: DiskPath
    /// Bytes of the file, zeros at its end included.
    package let byteCount: ByteCount
    /// Nil when it does not hold; then no batch can be told from noise.
    package private(set) var header: SegmentHeader?
    /// Where the batches end.
    package private(set) var end = FilePosition.start
    /// Places where something other than a batch stands, before the end.
    package private(set) var damage: [FilePosition] = []
    /// The index beside the segment: nil when there is none, false when it is not about this very segment.
    package private(set) var indexHolds: Bool?

    /// Walks the file.
    /// - Parameter each: told of every batch, in the order of the file.
    package init(_ file: DiskPath, on disk: any Disk, each: (Batch) -> Void) throws(DiskError) {
        self.file = file
        self.byteCount = try disk.size(of: file)
        let head = try disk.read(file, at: .start, upTo: .bytes(SegmentHeader.byteCount))
        // Which of its fields is wrong is recovery's business; here there is a header or there is none.
        guard let header = try? SegmentHeader(from: head) else { return }
        self.header = header
        try self.walk(header, on: disk, each)
        self.indexHolds = Self.checkIndex(of: header, beside: file, on: disk)
    }

    private mutating func walk(
        _ header: SegmentHeader, on disk: any Disk, _ each: (Batch) -> Void
    ) throws(DiskError) {
        var scanner = SegmentScanner(
            disk, self.file, seed: Seal.seed(salt: header.salt), from: SegmentHeader.byteCount,
            to: self.byteCount.rawValue, chunk: 1 << 20)
        while true {
            let position = FilePosition(rawValue: Int64(scanner.position))
            switch try scanner.look(whole: false) {
            case .end:
                self.end = position
                return
            case .batch(let batch, _):
                let isWhole = if case .batch = try scanner.look(whole: true) { true } else { false }
                each(Batch(header: batch, position: position, isWhole: isWhole))
                scanner.skip(batch)
            case .bad:
                self.damage.append(position)
                self.end = position
                guard let next = try scanner.search(from: scanner.position + 1, where: { _, _, _ in true }) else {
                    return
                }
                scanner.move(to: next.position)
            }
        }
    }

    private static func checkIndex(of header: SegmentHeader, beside file: DiskPath, on disk: any Disk) -> Bool? {
        var generation: UInt32 = 0
        if case .compacted(_, generation: let number) = FileName(file.name) { generation = number }
        let path = file.directory.appending(FileName.indexName(header.baseOffset, generation))
        // An index that can not be read does not hold; one that is not there is no fault.
        guard let size = try? disk.size(of: path) else { return nil }
        guard size <= Limits.indexFileBytesMax, let bytes = try? disk.read(path, at: .start, upTo: size),
            let index = IndexFile(from: bytes)
        else { return false }
        return index.topicPartition == header.topicPartition && index.base == header.baseOffset
            && index.salt == header.salt
    }
}
