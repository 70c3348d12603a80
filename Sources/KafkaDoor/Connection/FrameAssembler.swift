import ApusCore
import KafkaWire
import NIOCore

/// Cuts the byte stream of one connection into frames, and says into which buffer the next bytes shall be read.
///
/// A frame is a 4-byte big-endian length and as many bytes. Three things matter here:
///
/// - A length is checked, and memory granted, before anything is read for it. A long frame is granted what it has
///   brought and as much again: a length that is only claimed holds no memory that others could use.
/// - A small frame is a slice of the buffer it was read into, beside its neighbours: nothing is copied.
/// - A frame that is longer than what one read brings gets a buffer of its own (its *body*), into which the socket is
///   read directly. Only the few bytes that came before its length was known are copied. The body ends in a small
///   headroom, so that the read that completes it also brings the length of the next frame. What came into the headroom
///   is copied away at once, so the frame is the only owner of its bytes, and a broker may patch them in place.
///
/// Bytes must go through ``lend(_:)`` and ``received(_:)`` in turns for that; ``received(_:)`` alone also works, by
/// copying, and is what a channel without our allocator does.
struct FrameAssembler {
    enum Step {
        /// The next frame, without its length.
        case frame(ByteBuffer)
        /// Call ``received(_:)`` first.
        case needsBytes
        /// Call ``granted(_:)`` with so much first: the next frame, or the one under way, needs so much more.
        case needsMemory(ByteCount)
    }

    private enum Lent {
        case nothing
        /// A fresh buffer that starts with a copy of `rest`.
        case carry
        case body
    }

    /// The longest frame taken, in bytes.
    private var frameBytesMax: Int
    /// The shortest.
    private var frameBytesMin = Self.requestBytesMin
    /// Received and not yet cut. Starts at the length of a frame. Empty while a body is under way.
    private var rest = ByteBuffer()
    /// The long frame under way, without its length; nil when there is none, or while it is lent.
    private var body: ByteBuffer?
    /// How many bytes the body's frame has; nil when no body is under way.
    private var bodyLength: Int?
    /// Memory granted for the next frame, or the one under way, in bytes: all of it when the frame is cut.
    private var bytesGranted = 0
    private var lent = Lent.nothing
    /// A body was lent and did not come back: its bytes are lost, and with them the place in the stream.
    private var isBodyLost = false
    /// First reads left that go into buffers of ``Limits/readBytesFirst`` (see ``FrameReader``).
    private var firstReadsLeft: Int
    /// What a read asks for while no body is under way, in bytes. Follows what reads bring.
    private var readBytes = Limits.readBytesMin.rawValue
    private var isReadShort = false

    init(frameBytesMax: ByteCount, firstReads: Int) {
        self.frameBytesMax = frameBytesMax.rawValue
        self.firstReadsLeft = firstReads
    }

    /// What frames may be from the next one on. Bare ones are messages of a login without a request's header.
    mutating func takeFrames(upTo bytes: ByteCount, areBare: Bool) {
        self.frameBytesMax = bytes.rawValue
        self.frameBytesMin = areBare ? 0 : Self.requestBytesMin
    }

    /// Something of a frame is here, but not all of it.
    var isInsideFrame: Bool { self.bodyLength != nil || self.rest.readableBytes > 0 }

    /// Received and not yet cut into frames, in bytes, without the long frame under way.
    var byteCountUncut: Int { self.rest.readableBytes }

    /// The next frame, or what must be done before there is one.
    /// - Throws: `.frameTooSmall`, `.frameTooLarge`, `.truncated` for a lost body; the stream can not be read on then.
    mutating func next() throws(WireError) -> Step {
        if let length = self.bodyLength {
            guard !self.isBodyLost else { throw .truncated(at: 0, needed: length, remaining: 0) }
            return self.cutBody(of: length)
        }
        guard let word = self.rest.getInteger(at: self.rest.readerIndex, as: Int32.self) else { return .needsBytes }
        let length = Int(word)
        guard length >= self.frameBytesMin else { throw .frameTooSmall(length: length) }
        guard length <= self.frameBytesMax else { throw .frameTooLarge(length: length, limit: self.frameBytesMax) }
        if let missing = self.missing(length, received: self.rest.readableBytes - Self.lengthBytes) { return missing }
        if self.rest.readableBytes - Self.lengthBytes >= length { return self.cutRest(length) }
        if Self.lengthBytes + length > self.readBytes { self.beginBody(length) }
        return .needsBytes
    }

    /// So much memory for the frame is set aside.
    mutating func granted(_ bytes: ByteCount) {
        self.bytesGranted += bytes.rawValue
    }

    /// What must be granted before a frame that has brought so much may go on.
    private func missing(_ length: Int, received: Int) -> Step? {
        let window = max(Limits.readBytesMax.rawValue, 2 * received)
        let wanted = min(length, window)
        return wanted > self.bytesGranted ? .needsMemory(ByteCount(rawValue: wanted - self.bytesGranted)) : nil
    }

    /// The buffer the next bytes shall be read into, behind what is already in it.
    mutating func lend(_ allocator: ByteBufferAllocator) -> ByteBuffer {
        guard self.firstReadsLeft == 0 else {
            self.firstReadsLeft -= 1
            return allocator.buffer(capacity: Limits.readBytesFirst.rawValue)
        }
        if case .body = self.lent { self.isBodyLost = true }
        if let body = self.body.take() {
            self.lent = .body
            return body
        }
        self.lent = .carry
        var buffer = allocator.buffer(capacity: max(self.readBytes, 2 * self.rest.readableBytes))
        buffer.writeImmutableBuffer(self.rest)
        return buffer
    }

    /// Takes in what was read.
    mutating func received(_ buffer: ByteBuffer) {
        let lent = self.lent
        self.lent = .nothing
        switch lent {
        case .body:
            self.body = buffer
        case .carry:
            self.adapt(to: buffer)
            self.rest = buffer
        case .nothing:
            self.join(buffer)
        }
    }

    // MARK: Cutting

    private mutating func cutRest(_ length: Int) -> Step {
        self.rest.moveReaderIndex(forwardBy: Self.lengthBytes)
        guard let frame = self.rest.readSlice(length: length) else { return .needsBytes }
        // An empty slice would keep the whole buffer alive, and keep the frame from being its only owner.
        if self.rest.readableBytes == 0 { self.rest = ByteBuffer() }
        self.bytesGranted = 0
        return .frame(frame)
    }

    private mutating func cutBody(of length: Int) -> Step {
        guard let body = self.body else { return .needsBytes }
        if let missing = self.missing(length, received: body.readableBytes) { return missing }
        guard body.readableBytes >= length else { return .needsBytes }
        self.body = nil
        self.bodyLength = nil
        self.bytesGranted = 0
        guard let frame = body.getSlice(at: body.readerIndex, length: length) else { return .needsBytes }
        if body.readableBytes > length {
            self.rest = ByteBuffer(bytes: body.readableBytesView.dropFirst(length))
        }
        return .frame(frame)
    }

    private mutating func beginBody(_ length: Int) {
        let capacity = length + Limits.readBytesMin.rawValue
        var whole = ByteBufferAllocator().buffer(capacity: capacity)
        // A buffer's capacity is rounded up to a power of two; a slice has exactly the capacity it is cut with. So no
        // read goes far beyond the frame's end, and no more than the headroom is ever copied.
        whole.moveWriterIndex(forwardBy: capacity)
        guard var body = whole.readSlice(length: capacity) else { return }
        body.clear()
        self.rest.moveReaderIndex(forwardBy: Self.lengthBytes)
        body.writeImmutableBuffer(self.rest)
        self.rest = ByteBuffer()
        self.body = body
        self.bodyLength = length
    }

    // MARK: Taking in

    /// Bytes that came in a buffer that is not ours.
    private mutating func join(_ buffer: ByteBuffer) {
        guard let length = self.bodyLength, var body = self.body.take() else {
            guard self.rest.readableBytes > 0 else {
                self.rest = buffer
                return
            }
            var joined = ByteBufferAllocator().buffer(capacity: self.rest.readableBytes + buffer.readableBytes)
            joined.writeImmutableBuffer(self.rest)
            joined.writeImmutableBuffer(buffer)
            self.rest = joined
            return
        }
        var source = buffer
        let missing = max(0, length - body.readableBytes)
        if var part = source.readSlice(length: min(missing, source.readableBytes)) { body.writeBuffer(&part) }
        // More than the frame's own bytes: they belong behind it, where `cutBody` looks for them.
        body.writeBuffer(&source)
        self.body = body
    }

    /// Reads that fill their buffer ask for more the next time, twice short ones for less, so that an idle or slow
    /// connection costs little and a busy one few system calls.
    private mutating func adapt(to buffer: ByteBuffer) {
        if buffer.writableBytes == 0 {
            self.readBytes = min(self.readBytes * 4, Limits.readBytesMax.rawValue)
            self.isReadShort = false
        } else if buffer.readableBytes < self.readBytes / 4 {
            if self.isReadShort { self.readBytes = max(self.readBytes / 2, Limits.readBytesMin.rawValue) }
            self.isReadShort.toggle()
        } else {
            self.isReadShort = false
        }
    }

    private static let lengthBytes = 4
    /// API key, version and correlation id: no request header is shorter.
    private static let requestBytesMin = 8
}
