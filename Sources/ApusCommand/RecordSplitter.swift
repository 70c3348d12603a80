package import NIOCore

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Cuts a stream of bytes into records at a delimiter, without copying what lies whole in one chunk.
///
/// This is the hot path of `apus pub`: one memchr and one slice for each record.
package struct RecordSplitter {
    /// Empty: the whole stream is one record.
    private let delimiter: [UInt8]
    /// The longest record taken, in bytes.
    private let recordBytesMax: Int
    /// What came since the last delimiter.
    private var held = ByteBuffer()
    /// Bytes of `held` in which no delimiter begins.
    private var searched = 0

    package init(delimiter: [UInt8], recordBytesMax: Int) {
        self.delimiter = delimiter
        self.recordBytesMax = recordBytesMax
    }

    /// Takes the next chunk; tells of each record that is complete, without its delimiter.
    package mutating func feed(
        _ chunk: ByteBuffer, _ record: (ByteBuffer) throws -> Void
    ) throws {
        if self.held.readableBytes == 0 {
            self.held = chunk
        } else {
            self.held.writeImmutableBuffer(chunk)
        }
        while let length = self.lengthToDelimiter() {
            guard let slice = self.held.readSlice(length: length) else { break }
            self.held.moveReaderIndex(forwardBy: self.delimiter.count)
            self.searched = 0
            try record(slice)
        }
        guard self.held.readableBytes <= self.recordBytesMax else {
            throw CommandFailure(
                .badData, code: "record_too_large",
                "a record of more than \(self.recordBytesMax) bytes came before the next delimiter",
                next: "set the delimiter with -D, or raise max.message.bytes of the topic"
            )
        }
    }

    /// The stream ended: what lies behind the last delimiter is a record too, unless it is empty.
    package mutating func finish(_ record: (ByteBuffer) throws -> Void) rethrows {
        guard self.held.readableBytes > 0 else { return }
        let last = self.held
        self.held = ByteBuffer()
        self.searched = 0
        try record(last)
    }

    private mutating func lengthToDelimiter() -> Int? {
        guard let first = self.delimiter.first else { return nil }
        let delimiter = self.delimiter
        let from = self.searched
        // Unsafe for the speed of memchr: measured by `apus pub` of 100-byte lines, see Benchmarks.
        let found = self.held.withUnsafeReadableBytes { bytes -> Int? in
            guard let base = bytes.baseAddress else { return nil }
            var start = from
            while start + delimiter.count <= bytes.count {
                let last = bytes.count - delimiter.count + 1
                guard let hit = memchr(base + start, Int32(first), last - start) else { return nil }
                let index = base.distance(to: UnsafeRawPointer(hit))
                if delimiter.count == 1 { return index }
                if bytes[index..<(index + delimiter.count)].elementsEqual(delimiter) { return index }
                start = index + 1
            }
            return nil
        }
        if found == nil { self.searched = max(0, self.held.readableBytes - delimiter.count + 1) }
        return found
    }
}

extension ByteBuffer {
    /// Splits at the first occurrence of `delimiter`: before it, behind it. Nil when there is none.
    package func split(at delimiter: [UInt8]) -> (ByteBuffer, ByteBuffer)? {
        guard let first = delimiter.first else { return nil }
        let view = self.readableBytesView
        var start = view.startIndex
        while let index = view[start...].firstIndex(of: first) {
            if view[index...].starts(with: delimiter) {
                let length = index - view.startIndex
                guard let head = self.getSlice(at: self.readerIndex, length: length),
                    let tail = self.getSlice(
                        at: index + delimiter.count, length: self.readableBytes - length - delimiter.count)
                else { return nil }
                return (head, tail)
            }
            start = index + 1
        }
        return nil
    }
}
