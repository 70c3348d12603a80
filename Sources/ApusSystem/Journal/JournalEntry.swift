package import ApusCore
import CApus
package import NIOCore

/// What the journal holds: a redo record of one small write, or the order to forget a file's earlier records.
///
///     offset  bytes  field
///     0       4      magic "APJE"
///     4       4      CRC-32C of everything behind it, path and payload included
///     8       8      generation: which life of the (recycled) journal file this belongs to
///     16      8      sequence within the generation, from 0
///     24      1      kind: 1 write, 2 forget file, 3 forget directory
///     25      1      zero
///     26      2      path length
///     28      4      payload length
///     32      8      position in the file
///     40      …      path, then payload
///
/// Generation and sequence are inside the checksum, so a record of an earlier life of the file, or one that a torn
/// write left out of order, is never replayed.
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
    package func head(generation: UInt64, sequence: UInt64) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.reserveCapacity(Self.headerBytes + self.path.rawValue.utf8.count)
        buffer.writeInteger(Self.magic)
        buffer.writeInteger(UInt32(0))
        buffer.writeInteger(generation)
        buffer.writeInteger(sequence)
        buffer.writeInteger(self.kind.rawValue)
        buffer.writeInteger(UInt8(0))
        buffer.writeInteger(UInt16(self.path.rawValue.utf8.count))
        buffer.writeInteger(UInt32(self.payloadBytes))
        buffer.writeInteger(self.position.rawValue)
        buffer.writeString(self.path.rawValue)
        var crc = buffer.withUnsafeReadableBytes { capus_crc32c(0, $0.baseAddress?.advanced(by: 8), $0.count - 8) }
        for chunk in self.payload {
            crc = chunk.withUnsafeReadableBytes { capus_crc32c(crc, $0.baseAddress, $0.count) }
        }
        buffer.setInteger(crc, at: buffer.readerIndex + 4)
        return buffer
    }

    /// Takes the next entry off the front of a journal's bytes; nil at the first thing that is not the entry expected
    /// there, which is where the journal ends.
    package static func next(
        in buffer: inout ByteBuffer, generation: UInt64, sequence: UInt64
    ) -> JournalEntry? {
        let start = buffer.readerIndex
        guard buffer.readableBytes >= Self.headerBytes,
            buffer.getInteger(at: start) == Self.magic,
            let crc = buffer.getInteger(at: start + 4, as: UInt32.self),
            buffer.getInteger(at: start + 8) == generation,
            buffer.getInteger(at: start + 16) == sequence,
            let kind = buffer.getInteger(at: start + 24, as: UInt8.self).flatMap(Kind.init(rawValue:)),
            let pathLength = buffer.getInteger(at: start + 26, as: UInt16.self),
            let payloadLength = buffer.getInteger(at: start + 28, as: UInt32.self),
            let position = buffer.getInteger(at: start + 32, as: Int64.self), position >= 0
        else { return nil }
        let total = Self.headerBytes + Int(pathLength) + Int(payloadLength)
        guard buffer.readableBytes >= total,
            let checked = buffer.getSlice(at: start + 8, length: total - 8),
            checked.withUnsafeReadableBytes({ capus_crc32c(0, $0.baseAddress, $0.count) }) == crc,
            let path = buffer.getString(at: start + Self.headerBytes, length: Int(pathLength)),
            let payload = buffer.getSlice(
                at: start + Self.headerBytes + Int(pathLength), length: Int(payloadLength))
        else { return nil }
        buffer.moveReaderIndex(forwardBy: total)
        return JournalEntry(kind, DiskPath(path), at: FilePosition(rawValue: position), payload: [payload])
    }
}

/// The first 32 bytes of a journal file: which life it is in.
///
///     offset  bytes  field
///     0       8      magic "APUSJNL1"
///     8       8      generation, from 1, growing over both files together
///     16      4      CRC-32C of the 16 bytes before it
///     20      12     zero
package struct JournalHeader: Sendable {
    package static let byteCount = 32
    static let magic: UInt64 = 0x4150_5553_4A4E_4C31

    package var generation: UInt64

    package init(generation: UInt64) {
        self.generation = generation
    }

    package init?(_ buffer: ByteBuffer) {
        let start = buffer.readerIndex
        guard buffer.readableBytes >= Self.byteCount, buffer.getInteger(at: start) == Self.magic,
            let generation = buffer.getInteger(at: start + 8, as: UInt64.self),
            let crc = buffer.getInteger(at: start + 16, as: UInt32.self),
            let checked = buffer.getSlice(at: start, length: 16),
            checked.withUnsafeReadableBytes({ capus_crc32c(0, $0.baseAddress, $0.count) }) == crc
        else { return nil }
        self.generation = generation
    }

    package func encoded() -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeInteger(Self.magic)
        buffer.writeInteger(self.generation)
        let crc = buffer.withUnsafeReadableBytes { capus_crc32c(0, $0.baseAddress, $0.count) }
        buffer.writeInteger(crc)
        buffer.writeRepeatingByte(0, count: Self.byteCount - buffer.readableBytes)
        return buffer
    }
}
