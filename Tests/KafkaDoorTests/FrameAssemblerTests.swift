import ApusCore
import ApusFakes
import KafkaWire
import NIOCore
import Testing

@testable import KafkaDoor

@Suite("Frames are cut from the stream")
struct FrameAssemblerTests {
    /// What a socket does to the reader: asks for a buffer, appends at most what fits and what is there, hands it over.
    /// Uses NIO's own pool, so that these tests see which buffers it keeps.
    struct Socket {
        var pool: NIOPooledRecvBufferAllocator
        let reader: FrameReader
        var unread: ByteBuffer
        /// The most bytes a read brings.
        var chunk = Int.max
        private(set) var reads = 0

        init(_ bytes: ByteBuffer, frameBytesMax: ByteCount = .mebibytes(16)) {
            self.reader = FrameReader(frameBytesMax: frameBytesMax)
            self.pool = NIOPooledRecvBufferAllocator(capacity: FrameReader.readsPerTurn, recvAllocator: self.reader)
            self.unread = bytes
        }

        mutating func read() {
            let count = min(self.chunk, self.unread.readableBytes)
            var unread = self.unread
            let (buffer, read) = self.pool.buffer(allocator: ByteBufferAllocator()) { buffer in
                buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: 0) { room in
                    let part = unread.readSlice(length: min(count, room.count)) ?? ByteBuffer()
                    part.withUnsafeReadableBytes { room.copyMemory(from: $0) }
                    return part.readableBytes
                }
            }
            self.unread = unread
            self.reads += 1
            self.pool.record(actualReadBytes: read)
            self.reader.received(buffer)
        }

        /// Every frame that can be cut now; memory is always granted.
        func cut() throws(WireError) -> [ByteBuffer] {
            var frames: [ByteBuffer] = []
            while true {
                switch try self.reader.next() {
                case .needsBytes: return frames
                case .needsMemory(let bytes): self.reader.granted(bytes)
                case .frame(let frame): frames.append(frame)
                }
            }
        }

        mutating func readAll() throws(WireError) -> [ByteBuffer] {
            var frames: [ByteBuffer] = []
            while self.unread.readableBytes > 0 {
                self.read()
                frames += try self.cut()
            }
            return frames
        }
    }

    static func frame(_ count: Int, filledWith byte: UInt8) -> ByteBuffer {
        ByteBuffer(repeating: byte, count: count)
    }

    static func stream(_ frames: [ByteBuffer]) -> ByteBuffer {
        var stream = ByteBuffer()
        for frame in frames {
            stream.writeInteger(Int32(frame.readableBytes))
            stream.writeImmutableBuffer(frame)
        }
        return stream
    }

    @Test(
        "frames of every length come out as they went in, however the stream is cut", arguments: 0..<40 as Range<UInt64>
    )
    func everyCut(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        let frames = (0..<Int.random(in: 1...30, using: &random)).map { index in
            let largest = [9, 100, 3000, 70_000, 400_000].randomElement(using: &random) ?? 9
            return Self.frame(Int.random(in: 8...largest, using: &random), filledWith: UInt8(truncatingIfNeeded: index))
        }
        var socket = Socket(Self.stream(frames))
        socket.chunk = [1, 3, 700, 5000, 65_536, .max].randomElement(using: &random) ?? 1
        if socket.chunk < 100 { socket.unread = Self.stream(frames.filter { $0.readableBytes < 10_000 }) }
        let expected = socket.chunk < 100 ? frames.filter { $0.readableBytes < 10_000 } : frames
        #expect(try socket.readAll() == expected)
        #expect(!socket.reader.isInsideFrame)
    }

    @Test("frames come out whole from a channel that knows nothing of our buffers", arguments: [1, 2, 7, 64, 5000])
    func foreignBuffers(chunk: Int) throws {
        let frames = [Self.frame(8, filledWith: 1), Self.frame(9000, filledWith: 2), Self.frame(100, filledWith: 3)]
        var stream = Self.stream(frames)
        var assembler = FrameAssembler(frameBytesMax: .mebibytes(1), firstReads: 0)
        var cut: [ByteBuffer] = []
        while stream.readableBytes > 0, let part = stream.readSlice(length: min(chunk, stream.readableBytes)) {
            assembler.received(ByteBuffer(bytes: part.readableBytesView))
            loop: while true {
                switch try assembler.next() {
                case .needsBytes: break loop
                case .needsMemory(let bytes): assembler.granted(bytes)
                case .frame(let frame): cut.append(frame)
                }
            }
        }
        #expect(cut == frames)
    }

    @Test("a long frame is read straight into its buffer, and is the only owner of it")
    func longFramesAreNotCopied() throws {
        let frame = Self.frame(1_000_000, filledWith: 7)
        var socket = Socket(Self.stream([Self.frame(100, filledWith: 1), frame, Self.frame(50, filledWith: 2)]))
        socket.chunk = 200_000
        var cut: [ByteBuffer] = []
        var addresses: Set<UnsafeRawPointer> = []
        while socket.unread.readableBytes > 0 {
            socket.read()
            cut += try socket.cut()
        }
        #expect(cut.count == 3)
        var long = cut.remove(at: 1)
        #expect(long == frame)
        long.withUnsafeReadableBytes { if let start = $0.baseAddress { addresses.insert(start) } }
        // Writing copies a shared buffer: the address stays only if nobody shares it.
        long.setInteger(9 as UInt8, at: long.readerIndex)
        long.withUnsafeReadableBytes { if let start = $0.baseAddress { addresses.insert(start) } }
        #expect(addresses.count == 1)
    }

    @Test("pipelined long frames need few reads more than the kernel has pieces")
    func fewReads() throws {
        let frames = (0..<20).map { Self.frame(1_000_000, filledWith: UInt8($0)) }
        var socket = Socket(Self.stream(frames))
        #expect(try socket.readAll() == frames)
        // The first reads are small on purpose; then one for each frame, which brings the length of the next, too.
        #expect(socket.reads <= FrameReader.readsPerTurn + frames.count + 2)
    }

    @Test("small frames of one read share one buffer and few reads bring many")
    func smallFramesShare() throws {
        let frames = (0..<5000).map { Self.frame(100, filledWith: UInt8(truncatingIfNeeded: $0)) }
        var socket = Socket(Self.stream(frames))
        #expect(try socket.readAll() == frames)
        #expect(socket.reads < 30)
    }

    @Test("no long frame's buffer stays with the channel")
    func poolKeepsNothingLarge() throws {
        var socket = Socket(Self.stream((0..<8).map { Self.frame(500_000, filledWith: UInt8($0)) }))
        var frames = try socket.readAll()
        var patched = 0
        while var frame = frames.popLast() {
            let before = frame.withUnsafeReadableBytes { $0.baseAddress }
            frame.setInteger(1 as UInt8, at: frame.readerIndex)
            let after = frame.withUnsafeReadableBytes { $0.baseAddress }
            if before == after { patched += 1 }
        }
        #expect(patched == 8)
    }

    @Test(
        "lengths that no request has are refused before anything is allocated",
        arguments: [Int32.min, -1, 0, 7, (16 << 20) + 1, Int32.max] as [Int32]
    )
    func badLengths(length: Int32) {
        var stream = ByteBuffer(integer: length)
        stream.writeInteger(0 as UInt64)
        var socket = Socket(stream)
        #expect(throws: WireError.self) { try socket.readAll() }
    }

    @Test("a long frame is granted what it brought and as much again, and all of it when it is whole")
    func memoryAsItComes() throws {
        var assembler = FrameAssembler(frameBytesMax: .mebibytes(16), firstReads: 0)
        assembler.received(ByteBuffer(integer: Int32(1 << 20)))
        var granted = 0
        var received = 0
        while true {
            switch try assembler.next() {
            case .needsMemory(let bytes):
                granted += bytes.rawValue
                #expect(granted <= max(64 << 10, 2 * received))
                assembler.granted(bytes)
            case .needsBytes:
                #expect(granted >= min(1 << 20, 2 * received))
                var buffer = assembler.lend(ByteBufferAllocator())
                buffer.writeRepeatingByte(1, count: min(10_000, (1 << 20) - received))
                received += min(10_000, (1 << 20) - received)
                assembler.received(buffer)
            case .frame(let frame):
                #expect(frame.readableBytes == 1 << 20)
                #expect(granted == 1 << 20)
                return
            }
        }
    }

    @Test("nothing is made for a frame until memory for it is granted")
    func memoryFirst() throws {
        var assembler = FrameAssembler(frameBytesMax: .mebibytes(16), firstReads: 0)
        assembler.received(ByteBuffer(integer: Int32(10 << 20)))
        guard case .needsMemory(let bytes) = try assembler.next() else {
            Issue.record("memory must be asked for")
            return
        }
        #expect(bytes == Limits.readBytesMax)
        let small = assembler.lend(ByteBufferAllocator())
        #expect(small.capacity <= Limits.readBytesMax.rawValue)
        assembler.received(small)
        assembler.granted(bytes)
        guard case .needsBytes = try assembler.next() else {
            Issue.record("bytes must be asked for")
            return
        }
        #expect(assembler.lend(ByteBufferAllocator()).capacity >= 10 << 20)
    }

    @Test("a buffer that was lent and never came back ends the stream instead of shifting it")
    func lostBody() throws {
        var assembler = FrameAssembler(frameBytesMax: .mebibytes(16), firstReads: 0)
        assembler.received(ByteBuffer(integer: Int32(1 << 20)))
        assembler.granted(.mebibytes(1))
        _ = try assembler.next()
        _ = assembler.lend(ByteBufferAllocator())
        _ = assembler.lend(ByteBufferAllocator())
        assembler.received(ByteBuffer(repeating: 1, count: 100))
        #expect(throws: WireError.self) { try assembler.next() }
    }

    @Test("the first buffers, which NIO keeps for good, are small")
    func firstBuffersAreSmall() {
        let reader = FrameReader(frameBytesMax: .mebibytes(16))
        for _ in 0..<FrameReader.readsPerTurn {
            #expect(reader.buffer(allocator: ByteBufferAllocator()).capacity <= Limits.readBytesFirst.rawValue)
        }
        #expect(reader.nextBufferSize() == nil)
        #expect(reader.record(actualReadBytes: 1))
    }
}
