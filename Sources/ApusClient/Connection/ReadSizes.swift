import NIOCore

/// How much room each read of a socket gets: what the frame that has begun still lacks, within bounds, so that a long
/// answer takes few system calls and a short one little memory.
///
/// Owner: the connection's event loop, where both the channel and the handler use it. That is the proof behind
/// `@unchecked Sendable`.
final class ReadSizes: RecvByteBufferAllocator, @unchecked Sendable {
    private static let bytesMin = 16 << 10
    private static let bytesMax = 1 << 20

    var missing = 0

    func nextBufferSize() -> Int? {
        max(Self.bytesMin, min(self.missing, Self.bytesMax))
    }

    func buffer(allocator: ByteBufferAllocator) -> ByteBuffer {
        allocator.buffer(capacity: max(Self.bytesMin, min(self.missing, Self.bytesMax)))
    }

    func record(actualReadBytes: Int) -> Bool { false }
}
