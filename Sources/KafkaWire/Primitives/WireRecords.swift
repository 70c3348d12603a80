public import NIOCore

/// A field of record bytes: whole batches, one after another, in one buffer or several.
///
/// What was decoded is one slice of the frame. What is to be encoded may be many buffers, as a log hands them out; the
/// writer passes them on without copying. Equal when the bytes are equal, however they are cut.
public struct WireRecords: Hashable, Sendable {
    // The common case, one buffer, must not cost an array.
    private enum Storage: Sendable {
        case none
        case one(ByteBuffer)
        case many([ByteBuffer])
    }

    private var storage: Storage
    /// Bytes of all chunks.
    public private(set) var byteCount: Int

    /// No bytes, which is not null.
    public init() {
        self.storage = .none
        self.byteCount = 0
    }

    public init(_ chunk: ByteBuffer) {
        self.storage = .one(chunk)
        self.byteCount = chunk.readableBytes
    }

    public init(_ chunks: [ByteBuffer]) {
        self.storage = .many(chunks)
        self.byteCount = chunks.reduce(0) { $0 + $1.readableBytes }
    }

    public var isEmpty: Bool { self.byteCount == 0 }

    public var chunks: [ByteBuffer] {
        switch self.storage {
        case .none: []
        case .one(let chunk): [chunk]
        case .many(let chunks): chunks
        }
    }

    /// All bytes in one buffer. Copies only when there are several chunks: never after decoding.
    public var joined: ByteBuffer {
        switch self.storage {
        case .none: return ByteBuffer()
        case .one(let chunk): return chunk
        case .many(let chunks):
            if chunks.count == 1 { return chunks[0] }
            var joined = ByteBufferAllocator().buffer(capacity: self.byteCount)
            for chunk in chunks { joined.writeImmutableBuffer(chunk) }
            return joined
        }
    }

    func forEachChunk(_ body: (ByteBuffer) -> Void) {
        switch self.storage {
        case .none: break
        case .one(let chunk): body(chunk)
        case .many(let chunks): chunks.forEach(body)
        }
    }

    public static func == (left: WireRecords, right: WireRecords) -> Bool { left.joined == right.joined }

    public func hash(into hasher: inout Hasher) { hasher.combine(self.joined) }
}
