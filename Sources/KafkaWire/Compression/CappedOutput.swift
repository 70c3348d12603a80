import NIOCore

/// Where decompressed bytes go: it grows with them and refuses to pass its cap.
struct CappedOutput {
    private(set) var buffer: ByteBuffer
    private let codec: CompressionCodec
    private let bytesMax: Int
    private var stepBytes: Int

    init(codec: CompressionCodec, bytesMax: Int, inputBytes: Int) {
        precondition(bytesMax >= 0)
        self.codec = codec
        self.bytesMax = bytesMax
        self.stepBytes = max(64 << 10, min(inputBytes, 256 << 10))
        self.buffer = ByteBuffer()
    }

    /// Bytes that may still come.
    var remaining: Int { self.bytesMax - self.buffer.readableBytes }

    var tooLarge: WireError { .decompressedTooLarge(self.codec, limit: self.bytesMax) }
    var corrupt: WireError { .corruptCompression(self.codec) }

    /// Gives `body` some room, a byte of it beyond the cap, so that a stream that ends exactly at the cap is told from
    /// one that would go on. `body` returns how many bytes it wrote and what it found.
    /// - Throws: `.decompressedTooLarge` once the cap is passed.
    mutating func step<Result>(
        _ body: (UnsafeMutableRawBufferPointer) -> (written: Int, result: Result)
    ) throws(WireError) -> Result {
        let room = min(self.stepBytes, self.remaining + 1)
        self.stepBytes = min(self.stepBytes * 2, 1 << 20)
        var result: Result?
        self.buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: room) { bytes in
            let step = body(UnsafeMutableRawBufferPointer(rebasing: bytes.prefix(room)))
            result = step.result
            return step.written
        }
        guard self.buffer.readableBytes <= self.bytesMax, let result else { throw self.tooLarge }
        return result
    }

    /// Gives `body` room for exactly `count` bytes, all of which it writes, or none.
    mutating func write(
        exactly count: Int, _ body: (UnsafeMutableRawBufferPointer) -> Bool
    ) throws(WireError) {
        guard count <= self.remaining else { throw self.tooLarge }
        var isWritten = false
        self.buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { bytes in
            isWritten = body(UnsafeMutableRawBufferPointer(rebasing: bytes.prefix(count)))
            return isWritten ? count : 0
        }
        guard isWritten else { throw self.corrupt }
    }
}
