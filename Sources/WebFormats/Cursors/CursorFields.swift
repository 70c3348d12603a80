import ApusCore
import NIOCore

/// The bytes of a cursor without its signature.
///
/// | kind | behind version, kind and topic |
/// |---|---|
/// | 0 whole | how many, the first offset, then for each partition how far it is from the one before, zig-zag |
/// | 1 single | partition, next offset |
/// | 2 step | partition, since, how far |
///
/// Partitions of one topic mostly have offsets of one size, so the differences are short.
enum CursorFields {
    static func write(_ cursor: EdgeCursor, version: UInt8, tag: UInt32, into bytes: inout ByteBuffer) {
        func head(_ kind: UInt8) {
            bytes.writeInteger(version << 4 | kind)
            bytes.writeInteger(tag)
        }
        switch cursor {
        case .whole(let positions):
            head(0)
            self.write(UInt64(positions.count), into: &bytes)
            var last: Int64 = 0
            for position in positions {
                let difference = Self.checked(position).rawValue - last
                self.write(UInt64(bitPattern: difference << 1 ^ difference >> 63), into: &bytes)
                last = position.rawValue
            }
        case .single(let partition, let next):
            head(1)
            self.write(UInt64(UInt32(bitPattern: partition.rawValue)), into: &bytes)
            self.write(UInt64(Self.checked(next).rawValue), into: &bytes)
        case .step(let partition, let since, let next):
            precondition(since <= next, "a step goes forward")
            head(2)
            self.write(UInt64(UInt32(bitPattern: partition.rawValue)), into: &bytes)
            self.write(UInt64(Self.checked(since).rawValue), into: &bytes)
            self.write(UInt64(next.rawValue - since.rawValue), into: &bytes)
        }
    }

    /// Reads the fields to their end; the version has been looked at.
    static func read(_ bytes: inout ByteBuffer) throws(CursorError) -> (cursor: EdgeCursor, tag: UInt32) {
        guard let kind = bytes.readInteger(as: UInt8.self), let tag = bytes.readInteger(as: UInt32.self) else {
            throw .truncated
        }
        let cursor: EdgeCursor
        switch kind & 15 {
        case 0: cursor = .whole(try self.positions(&bytes))
        case 1: cursor = .single(try self.partition(&bytes), next: try self.offset(&bytes))
        case 2:
            let partition = try self.partition(&bytes)
            let since = try self.offset(&bytes)
            let (next, overflow) = since.rawValue.addingReportingOverflow(try self.offset(&bytes).rawValue)
            guard !overflow else { throw .malformed }
            cursor = .step(partition, since: since, next: Offset(rawValue: next))
        default: throw .malformed
        }
        guard bytes.readableBytes == 0 else { throw .truncated }
        return (cursor, tag)
    }

    private static func positions(_ bytes: inout ByteBuffer) throws(CursorError) -> [Offset] {
        let count = try self.number(&bytes)
        guard count > 0, count <= UInt64(Limits.partitionsPerTopicMax) else { throw .malformed }
        // A position takes a byte at least: the count is bounded by what came.
        guard count <= UInt64(bytes.readableBytes) else { throw .truncated }
        var positions: [Offset] = []
        var last: Int64 = 0
        for _ in 0..<count {
            let number = try self.number(&bytes)
            let difference = Int64(bitPattern: number >> 1) ^ -Int64(bitPattern: number & 1)
            let (position, overflow) = last.addingReportingOverflow(difference)
            guard !overflow, position >= 0 else { throw .malformed }
            positions.append(Offset(rawValue: position))
            last = position
        }
        return positions
    }

    private static func partition(_ bytes: inout ByteBuffer) throws(CursorError) -> PartitionIndex {
        let number = try self.number(&bytes)
        guard number < UInt64(Limits.partitionsPerTopicMax) else { throw .malformed }
        return PartitionIndex(rawValue: Int32(truncatingIfNeeded: number))
    }

    private static func offset(_ bytes: inout ByteBuffer) throws(CursorError) -> Offset {
        guard let offset = Int64(exactly: try self.number(&bytes)) else { throw .malformed }
        return Offset(rawValue: offset)
    }

    /// Seven bits a byte, the lowest first.
    private static func number(_ bytes: inout ByteBuffer) throws(CursorError) -> UInt64 {
        var number: UInt64 = 0
        for shift in stride(from: UInt64(0), through: 63, by: 7) {
            guard let byte = bytes.readInteger(as: UInt8.self) else { throw .truncated }
            guard shift < 63 || byte <= 1 else { throw .malformed }
            number |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return number }
        }
        throw .malformed
    }

    private static func write(_ number: UInt64, into bytes: inout ByteBuffer) {
        var rest = number
        while rest >= 0x80 {
            bytes.writeInteger(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.writeInteger(UInt8(truncatingIfNeeded: rest))
    }

    private static func checked(_ offset: Offset) -> Offset {
        precondition(offset >= .zero, "a cursor is made of offsets that exist")
        return offset
    }
}
