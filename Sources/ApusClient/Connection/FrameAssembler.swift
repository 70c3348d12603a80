import KafkaWire
import NIOCore

/// Frames out of what a socket gives, in whatever pieces.
///
/// Frames that came whole are slices of what was read. Of a frame that is longer, the first bytes say how long: room
/// for exactly that is made once, and the rest is read into it.
struct FrameAssembler {
    private let bytesMax: Int
    /// What was read and not yet looked at.
    private var unread = ByteBuffer()
    /// A frame of which a part is there, its length prefix included.
    private var partial: ByteBuffer?
    private var partialByteCount = 0

    /// - Parameter bytesMax: the longest frame accepted, without its prefix.
    init(bytesMax: Int) {
        self.bytesMax = bytesMax
    }

    /// Bytes that the frame which has begun still lacks; 0 when none has.
    var missing: Int { self.partialByteCount - (self.partial?.readableBytes ?? 0) }

    /// - Precondition: `next` has returned nil since the last call.
    mutating func append(_ bytes: ByteBuffer) {
        if self.unread.readableBytes == 0 {
            self.unread = bytes
        } else {
            self.unread.writeImmutableBuffer(bytes)
        }
    }

    /// The next whole frame, without its length; nil until more is appended.
    mutating func next() throws(WireError) -> ByteBuffer? {
        if self.partial != nil { return self.fillPartial() }
        if let frame = try Frame.next(from: &self.unread, limit: self.bytesMax) { return frame }
        guard let length = self.unread.getInteger(at: self.unread.readerIndex, as: Int32.self) else { return nil }
        // `Frame.next` has checked the length.
        self.partialByteCount = Frame.lengthByteCount + Int(length)
        var partial = ByteBufferAllocator().buffer(capacity: self.partialByteCount)
        partial.writeBuffer(&self.unread)
        self.unread = ByteBuffer()
        self.partial = partial
        return nil
    }

    private mutating func fillPartial() -> ByteBuffer? {
        if var rest = self.unread.readSlice(length: min(self.missing, self.unread.readableBytes)) {
            self.partial?.writeBuffer(&rest)
        }
        if self.unread.readableBytes == 0 { self.unread = ByteBuffer() }
        guard self.missing == 0, var frame = self.partial.take() else { return nil }
        self.partialByteCount = 0
        frame.moveReaderIndex(forwardBy: Frame.lengthByteCount)
        return frame
    }
}
