package import NIOCore

/// What sockets of the web are read into: a buffer for each read, which is gone when its bytes were used.
///
/// NIO keeps what it read into for the next time, and the first of all for good. That is right for connections that are
/// busy, and a third of the memory of one that is quiet, of which there are ten thousand. So the very first read is a
/// short one, and those behind it, of which each says that the next could be longer, are into buffers of their own. It
/// goes with `maxMessagesPerRead` of 1: NIO keeps as many.
package final class PassingReadBuffers: RecvByteBufferAllocator {
    /// For connections of the edge: what clients say fits, and nobody waits long for a longer message.
    package static let edge = PassingReadBuffers(bytes: 16_384)

    private let bytes: Int

    private init(bytes: Int) { self.bytes = bytes }

    package func buffer(allocator: ByteBufferAllocator) -> ByteBuffer { allocator.buffer(capacity: self.bytes) }

    /// "It may grow": what was read into is not used again.
    package func record(actualReadBytes: Int) -> Bool { true }
}

/// The same for one connection of HTTP, whose reads get longer with what comes.
package struct GrowingReadBuffers: RecvByteBufferAllocator {
    private var sizes = AdaptiveRecvByteBufferAllocator(minimum: 1024, initial: 2048, maximum: 65_536)
    private var isFirst = true

    package init() {}

    package func buffer(allocator: ByteBufferAllocator) -> ByteBuffer {
        // Kept for as long as the connection.
        self.isFirst ? allocator.buffer(capacity: 64) : self.sizes.buffer(allocator: allocator)
    }

    package mutating func record(actualReadBytes: Int) -> Bool {
        if self.isFirst { self.isFirst = false } else { _ = self.sizes.record(actualReadBytes: actualReadBytes) }
        return true
    }
}
