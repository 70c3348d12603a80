import ApusCore
import KafkaWire
import NIOCore

/// Lets a socket be read straight into the buffer that ``FrameAssembler`` wants filled.
///
/// How NIO 2.101 uses a `RecvByteBufferAllocator` (`NIOPooledRecvBufferAllocator`, `BaseStreamSocketChannel`):
/// `buffer(allocator:)` is asked before every read, and bytes are appended to what it returns without clearing it, if
/// `nextBufferSize()` is nil and `record(actualReadBytes:)` said that buffers may grow. The first buffers, one for each
/// read of a turn, are kept by the channel for its whole life, so those are made tiny and never lent for a frame.
///
/// A buffer that is lent for a long frame is given away, because a second reference would make NIO copy it before every
/// read. It would be lost if a read found nothing; after "readable" from epoll TCP never does that, and if it did, the
/// connection is closed rather than misread.
// Unchecked: NIO asks for Sendable because options may be set from any thread. This one is made by the connection's
// initializer and used by its channel and its handler only, both of which run on the channel's event loop.
final class FrameReader: RecvByteBufferAllocator, @unchecked Sendable {
    /// Reads of one channel in one turn of its event loop, so that one busy client does not starve its neighbours.
    static let readsPerTurn = 4

    private var assembler: FrameAssembler

    init(frameBytesMax: ByteCount) {
        self.assembler = FrameAssembler(frameBytesMax: frameBytesMax, firstReads: Self.readsPerTurn)
    }

    /// Something of a frame is here, but not all of it.
    var isInsideFrame: Bool { self.assembler.isInsideFrame }

    /// Received and not yet cut into frames, in bytes, without the long frame under way.
    var byteCountUncut: Int { self.assembler.byteCountUncut }

    func received(_ buffer: ByteBuffer) {
        self.assembler.received(buffer)
    }

    func next() throws(WireError) -> FrameAssembler.Step {
        try self.assembler.next()
    }

    func takeFrames(upTo bytes: ByteCount, areBare: Bool) {
        self.assembler.takeFrames(upTo: bytes, areBare: areBare)
    }

    func granted(_ bytes: ByteCount) {
        self.assembler.granted(bytes)
    }

    // MARK: RecvByteBufferAllocator

    func buffer(allocator: ByteBufferAllocator) -> ByteBuffer {
        self.assembler.lend(allocator)
    }

    func nextBufferSize() -> Int? { nil }

    func record(actualReadBytes: Int) -> Bool { true }
}
