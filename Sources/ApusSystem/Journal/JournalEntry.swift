package import ApusCore
import CApus
package import NIOCore

/// What the journal holds: a redo record of one small write, or the order to forget a file's earlier records.
///
///     offset  bytes  field
///     0       4      magic "APJE"
///     4       4      CRC-32C, begun with the file's salt, of everything behind it, path and payload included
///     8       8      generation: which life of the (recycled) journal file this belongs to
///     16      8      sequence within the generation, from 0
///     24      1      kind: 1 write, 2 forget file, 3 forget directory
///     25      1      1 + entries before it in the same write (255: 254 or more); 0: not told
///     26      2      path length
///     28      4      payload length
///     32      8      position in the file
///     40      …      path, then payload
///
/// Generation and sequence are inside the checksum, so a record of an earlier life of the file, or one that a torn
/// write left out of order, is never replayed. The salt is secret: bytes that a client sent never pass for an entry,
/// even where the journal is searched for one. Byte 25 tells which entries came with one write and one sync: an entry
/// whose write began behind another's is the proof that the other was synced.
package struct JournalEntry: Sendable {
    package enum Kind: UInt8, Sendable {
        case write = 1
        case forgetFile = 2
        case forgetDirectory = 3
    }

    package static let headerBytes = 40
    static let magic: UInt32 = 0x4150_4A45

    package var kind: Kind
    package var path: DiskPath
    package var position: FilePosition
    package var payload: [ByteBuffer]

    package init(_ kind: Kind, _ path: DiskPath, at position: FilePosition = .start, payload: [ByteBuffer] = []) {
        self.kind = kind
        self.path = path
        self.position = position
        self.payload = payload
    }

    package var payloadBytes: Int { self.payload.reduce(0) { $0 + $1.readableBytes } }
    package var byteCount: ByteCount {
        .bytes(Self.headerBytes + self.path.rawValue.utf8.count + self.payloadBytes)
    }

    /// The header and path, ready to be written in front of the payload.
    /// - Parameter indexInWrite: entries before it in the same write; nil if that is not told.
    package func head(
        generation: UInt64, sequence: UInt64, salt: UInt32 = 0, indexInWrite: Int? = nil
    ) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.reserveCapacity(Self.headerBytes + self.path.rawValue.utf8.count)
        buffer.writeInteger(Self.magic)
        buffer.writeInteger(UInt32(0))
        buffer.writeInteger(generation)
        buffer.writeInteger(sequence)
        buffer.writeInteger(self.kind.rawValue)
        buffer.writeInteger(indexInWrite.map { UInt8(min($0, 254) + 1) } ?? 0)
        buffer.writeInteger(UInt16(self.path.rawValue.utf8.count))
        buffer.writeInteger(UInt32(self.payloadBytes))
        buffer.writeInteger(self.position.rawValue)
        buffer.writeString(self.path.rawValue)
        var crc = buffer.withUnsafeReadableBytes { capus_crc32c(salt, $0.baseAddress?.advanced(by: 8), $0.count - 8) }
        for chunk in self.payload {
            crc = chunk.withUnsafeReadableBytes { capus_crc32c(crc, $0.baseAddress, $0.count) }
        }
        buffer.setInteger(crc, at: buffer.readerIndex + 4)
        return buffer
    }

    /// An entry as it was found in a journal file.
    package struct Found: Sendable {
        package var entry: JournalEntry
        package var sequence: UInt64
        /// The sequence of the first entry of its write, if that is told.
        package var writeBegan: UInt64?
        package var byteCount: Int
    }

    /// The bytes of the entry that begins here, by its own words; nil if this is no entry of this life of the file.
    static func claimedByteCount(_ head: ByteBuffer, generation: UInt64) -> Int? {
        let start = head.readerIndex
        guard head.readableBytes >= Self.headerBytes, head.getInteger(at: start) == Self.magic,
            head.getInteger(at: start + 8) == generation,
            let pathLength = head.getInteger(at: start + 26, as: UInt16.self),
            let payloadLength = head.getInteger(at: start + 28, as: UInt32.self)
        else { return nil }
        let total = Self.headerBytes + Int(pathLength) + Int(payloadLength)
        return total <= Limits.journalEntryFileBytesMax.rawValue ? total : nil
    }

    /// The entry at the front of these bytes, if there is a whole one of this life of the file.
    package static func read(_ buffer: ByteBuffer, generation: UInt64, salt: UInt32 = 0) -> Found? {
        let start = buffer.readerIndex
        guard let total = Self.claimedByteCount(buffer, generation: generation), buffer.readableBytes >= total,
            let crc = buffer.getInteger(at: start + 4, as: UInt32.self),
            let checked = buffer.getSlice(at: start + 8, length: total - 8),
            checked.withUnsafeReadableBytes({ capus_crc32c(salt, $0.baseAddress, $0.count) }) == crc,
            let sequence = buffer.getInteger(at: start + 16, as: UInt64.self),
            let kind = buffer.getInteger(at: start + 24, as: UInt8.self).flatMap(Kind.init(rawValue:)),
            let place = buffer.getInteger(at: start + 25, as: UInt8.self),
            let pathLength = buffer.getInteger(at: start + 26, as: UInt16.self),
            let position = buffer.getInteger(at: start + 32, as: Int64.self), position >= 0,
            let path = buffer.getString(at: start + Self.headerBytes, length: Int(pathLength)),
            let payload = buffer.getSlice(
                at: start + Self.headerBytes + Int(pathLength),
                length: total - Self.headerBytes - Int(pathLength))
        else { return nil }
        let isTold = place > 0 && place < .max && UInt64(place) <= sequence + 1
        return Found(
            entry: JournalEntry(kind, DiskPath(path), at: FilePosition(rawValue: position), payload: [payload]),
            sequence: sequence, writeBegan: isTold ? sequence + 1 - UInt64(place) : nil, byteCount: total)
    }
}

/// The first 32 bytes of a journal file: which life it is in.
///
///     offset  bytes  field
///     0       8      magic "APUSJNL1"
///     8       8      generation, from 1, growing over both files together
///     16      4      CRC-32C of the 16 bytes before it
///     20      4      salt, random; 0 in files from before there was one
///     24      4      entries of the other file, which were all synced when this one was begun; all ones: not told
///     28      4      CRC-32C of the 28 bytes before it; 0 where the salt is 0
package struct JournalHeader: Sendable, Equatable {
    package static let byteCount = 32
    static let magic: UInt64 = 0x4150_5553_4A4E_4C31

    package var generation: UInt64
    package var salt: UInt32
    package var entriesOfOther: UInt32?

    package init(generation: UInt64, salt: UInt32 = 0, entriesOfOther: UInt32? = nil) {
        self.generation = generation
        self.salt = salt
        self.entriesOfOther = entriesOfOther
    }

    package init?(_ buffer: ByteBuffer) {
        let start = buffer.readerIndex
        guard buffer.readableBytes >= Self.byteCount, buffer.getInteger(at: start) == Self.magic,
            let generation = buffer.getInteger(at: start + 8, as: UInt64.self),
            Self.holds(buffer, 16),
            let salt = buffer.getInteger(at: start + 20, as: UInt32.self),
            let entries = buffer.getInteger(at: start + 24, as: UInt32.self)
        else { return nil }
        let isOld = salt == 0 && entries == 0 && buffer.getInteger(at: start + 28, as: UInt32.self) == 0
        guard isOld || Self.holds(buffer, 28) else { return nil }
        self.init(
            generation: generation, salt: salt, entriesOfOther: isOld || entries == .max ? nil : entries)
    }

    /// Whether the checksum behind so many bytes is theirs.
    private static func holds(_ buffer: ByteBuffer, _ count: Int) -> Bool {
        let start = buffer.readerIndex
        guard let crc = buffer.getInteger(at: start + count, as: UInt32.self),
            let checked = buffer.getSlice(at: start, length: count)
        else { return false }
        return checked.withUnsafeReadableBytes { capus_crc32c(0, $0.baseAddress, $0.count) } == crc
    }

    package func encoded() -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeInteger(Self.magic)
        buffer.writeInteger(self.generation)
        buffer.writeInteger(buffer.withUnsafeReadableBytes { capus_crc32c(0, $0.baseAddress, $0.count) })
        buffer.writeInteger(self.salt)
        buffer.writeInteger(self.entriesOfOther ?? .max)
        buffer.writeInteger(buffer.withUnsafeReadableBytes { capus_crc32c(0, $0.baseAddress, $0.count) })
        return buffer
    }
}
