import ApusCore
import Glibc
import NIOCore

/// Reads one journal file from its front, a piece at a time, and tells damage from a torn end.
///
/// Entries are written by one write and one sync at a time, and the next write begins only when the sync before it has
/// succeeded. So where an entry should be and is not, there are two answers. If some whole entry behind it came with a
/// **later write**, or if the younger journal file says that there were more, then it was there and synced, somebody
/// counted on it, and it is **damaged**: that is said, and reading goes on behind it. Otherwise it is the **torn end**
/// of the last write, acknowledged to nobody, whole entries behind it included.
///
/// What can not be told from a torn end is damage to the very last write of the younger file.
struct JournalReader {
    struct Damage {
        var position: FilePosition
        /// The entries that are gone.
        var sequences: Range<UInt64>
        /// The file that the first of them is about, by what is left of it.
        var hint: DiskPath?
    }

    enum Step {
        case entry(JournalEntry)
        case damage(Damage)
        case end
    }

    private let file: DiskPath
    private let header: JournalHeader
    private let size: Int
    /// How many entries there were at least, all of them synced.
    private let entriesSynced: UInt64

    private(set) var sequence: UInt64 = 0
    private var position = JournalHeader.byteCount
    private var window = ByteBuffer()
    private var windowStart = 0

    init(_ file: DiskPath, _ header: JournalHeader, size: ByteCount, entriesSynced: UInt64) {
        self.file = file
        self.header = header
        self.size = size.rawValue
        self.entriesSynced = entriesSynced
    }

    mutating func next(on disk: any Disk) throws(DiskError) -> Step {
        if let found = try self.entry(at: self.position, on: disk), found.sequence == self.sequence {
            self.position += found.byteCount
            self.sequence += 1
            return .entry(found.entry)
        }
        let bad = self.position
        let sequence = self.sequence
        if let (position, next) = try self.entryBehindDamage(on: disk) {
            self.position = position
            self.sequence = next
        } else {
            self.position = self.size
            self.sequence = max(self.sequence, self.entriesSynced)
        }
        guard self.sequence > sequence else { return .end }
        return .damage(
            Damage(
                position: FilePosition(rawValue: Int64(bad)), sequences: sequence..<self.sequence,
                hint: try self.hint(at: bad, sequence, on: disk)))
    }

    /// The first whole entry behind the one that should be here, if that one was synced.
    private mutating func entryBehindDamage(on disk: any Disk) throws(DiskError) -> (position: Int, sequence: UInt64)? {
        // Without a salt, anything that a client wrote could pass for an entry.
        guard self.header.salt != 0 else { return nil }
        var first: (position: Int, sequence: UInt64)?
        var position = self.position
        while let magic = try self.magic(from: position + 1, on: disk) {
            position = magic
            guard let found = try self.entry(at: magic, on: disk), found.sequence > self.sequence else { continue }
            if first == nil { first = (magic, found.sequence) }
            if self.sequence < self.entriesSynced || found.writeBegan.map({ $0 > self.sequence }) == true {
                return first
            }
            position = magic + found.byteCount - 1
        }
        return nil
    }

    private mutating func entry(at position: Int, on disk: any Disk) throws(DiskError) -> JournalEntry.Found? {
        let head = try self.bytes(at: position, JournalEntry.headerBytes, on: disk)
        guard let count = JournalEntry.claimedByteCount(head, generation: self.header.generation) else { return nil }
        let bytes = try self.bytes(at: position, count, on: disk)
        return JournalEntry.read(bytes, generation: self.header.generation, salt: self.header.salt)
    }

    private mutating func hint(
        at position: Int, _ sequence: UInt64, on disk: any Disk
    ) throws(DiskError) -> DiskPath? {
        let head = try self.bytes(at: position, JournalEntry.headerBytes, on: disk)
        guard JournalEntry.claimedByteCount(head, generation: self.header.generation) != nil,
            head.getInteger(at: head.readerIndex + 16) == sequence,
            let length = head.getInteger(at: head.readerIndex + 26, as: UInt16.self)
        else { return nil }
        var path = try self.bytes(at: position + JournalEntry.headerBytes, Int(length), on: disk)
        guard let text = path.readString(length: Int(length)) else { return nil }
        let isPlain = text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
        return isPlain && !text.isEmpty ? DiskPath(text) : nil
    }

    /// Where the next entry's magic stands, from here on.
    private mutating func magic(from start: Int, on disk: any Disk) throws(DiskError) -> Int? {
        var start = start
        while start + JournalEntry.headerBytes <= self.size {
            let bytes = try self.bytes(at: start, Limits.journalReadBytes.rawValue, on: disk)
            guard bytes.readableBytes >= JournalEntry.headerBytes else { return nil }
            if let offset = bytes.withUnsafeReadableBytes({ Self.magic(in: $0) }) { return start + offset }
            // Its last bytes may be the beginning of one.
            start += max(1, bytes.readableBytes - 3)
        }
        return nil
    }

    private static func magic(in bytes: UnsafeRawBufferPointer) -> Int? {
        guard let base = bytes.baseAddress else { return nil }
        let first = Int32(JournalEntry.magic >> 24)
        var offset = 0
        // Through memchr, because most of a journal file is zeros or records.
        while offset + 4 <= bytes.count, let hit = memchr(base + offset, first, bytes.count - 3 - offset) {
            offset = UnsafeRawPointer(hit) - base
            if UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)) == JournalEntry.magic {
                return offset
            }
            offset += 1
        }
        return nil
    }

    /// Up to so many bytes from here, fewer at the end of the file.
    private mutating func bytes(at position: Int, _ count: Int, on disk: any Disk) throws(DiskError) -> ByteBuffer {
        let wanted = min(count, max(0, self.size - position))
        if position < self.windowStart || position + wanted > self.windowStart + self.window.readableBytes {
            let ahead = ByteCount.bytes(max(wanted, min(Limits.journalReadBytes.rawValue, self.size - position)))
            self.window =
                wanted == 0
                ? ByteBuffer() : try disk.read(self.file, at: FilePosition(rawValue: Int64(position)), upTo: ahead)
            self.windowStart = position
        }
        let start = self.window.readerIndex + position - self.windowStart
        let there = max(0, min(wanted, self.window.writerIndex - start))
        return self.window.getSlice(at: start, length: there) ?? ByteBuffer()
    }
}
