import ApusCore
import NIOCore
import WebFormats

/// Cuts a stream of bytes into lines. Empty ones are passed over. A line that is too long is reported once it is known
/// to be, and what is left of it is dropped as it comes: it is never held whole.
struct LineSplitter {
    private var rest = ByteBuffer()
    /// Bytes of `rest` in which there is no line's end.
    private var looked = 0
    private var isDropping = false
    private let lineBytesMax: Int

    init(lineBytesMax: ByteCount = Limits.webLineBytesMax) {
        self.lineBytesMax = lineBytesMax.rawValue
    }

    mutating func add(_ piece: ByteBuffer) {
        if self.rest.readableBytes == 0 { self.rest = piece } else { self.rest.writeImmutableBuffer(piece) }
    }

    /// The lines that are whole, of about ``Limits/webStreamBatchBytes``; nil when there is none. `isLast`: nothing
    /// follows, so the rest is a line, too.
    mutating func next(isLast: Bool) -> [Result<ByteBuffer, Problem>]? {
        var lines: [Result<ByteBuffer, Problem>] = []
        var bytes = 0
        while bytes < Limits.webStreamBatchBytes.rawValue, lines.count < Limits.webRecordsPerWriteMax,
            let line = self.line(isLast: isLast)
        {
            bytes += (try? line.get().readableBytes) ?? 0
            lines.append(line)
        }
        return lines.isEmpty ? nil : lines
    }

    private mutating func line(isLast: Bool) -> Result<ByteBuffer, Problem>? {
        while true {
            guard let length = self.lengthOfLine(isLast: isLast) else {
                guard self.isDropping || self.rest.readableBytes > self.lineBytesMax else { return nil }
                let wasDropping = self.isDropping
                self.isDropping = true
                self.rest.clear()
                self.looked = 0
                return wasDropping ? nil : .failure(self.tooLong)
            }
            guard let line = self.rest.readSlice(length: length) else { return nil }
            self.rest.moveReaderIndex(forwardBy: min(1, self.rest.readableBytes))
            self.looked = 0
            let wasDropping = self.isDropping
            self.isDropping = false
            if wasDropping || line.readableBytesView.allSatisfy({ $0 == 0x20 || $0 == 0x0D || $0 == 0x09 }) { continue }
            return line.readableBytes > self.lineBytesMax ? .failure(self.tooLong) : .success(line)
        }
    }

    private var tooLong: Problem {
        Problem(.recordTooLarge, "a line has at most \(ByteCount.bytes(self.lineBytesMax))")
    }

    private mutating func lengthOfLine(isLast: Bool) -> Int? {
        let place = Self.lineEnd(in: self.rest, from: self.looked)
        if let place { return place }
        self.looked = self.rest.readableBytes
        return isLast && self.looked > 0 ? self.looked : nil
    }

    private static func lineEnd(in buffer: ByteBuffer, from start: Int) -> Int? {
        let bytes = buffer.readableBytesUInt8Span
        var index = start
        while index < bytes.count {
            if bytes[index] == 0x0A { return index }
            index += 1
        }
        return nil
    }
}
