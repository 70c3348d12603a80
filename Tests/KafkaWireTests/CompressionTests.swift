import NIOCore
import Testing

@testable import KafkaWire

@Suite("Compression")
struct CompressionTests {
    static let codecs = CompressionCodec.allCases.filter { $0 != .none }

    private static func compressed(_ codec: CompressionCodec, _ plain: ByteBuffer) -> ByteBuffer {
        var output = ByteBuffer()
        codec.compress(plain, into: &output)
        return output
    }

    private static func error(_ codec: CompressionCodec, _ input: ByteBuffer, cap: Int = 1 << 20) -> WireError? {
        do throws(WireError) { _ = try codec.decompress(input, outputBytesMax: cap) } catch { return error }
        return nil
    }

    @Test("bytes of any size come back", arguments: Self.codecs)
    func roundTrip(codec: CompressionCodec) throws {
        var generator = SeededGenerator(seed: 1)
        for count in [0, 1, 100, 32_767, 32_768, 32_769, 70_000, 3 << 20] {
            let noise = ByteBuffer(bytes: (0..<count).map { _ in UInt8(truncatingIfNeeded: generator.next()) })
            let text = ByteBuffer(bytes: (0..<count).map { UInt8($0 / 7 % 20) })
            for plain in [noise, text] {
                let back = try codec.decompress(Self.compressed(codec, plain), outputBytesMax: count)
                #expect(back == plain)
            }
        }
    }

    @Test("output stops at the cap and not before", arguments: Self.codecs)
    func cap(codec: CompressionCodec) throws {
        let plain = ByteBuffer(repeating: 65, count: 100_000)
        let compressed = Self.compressed(codec, plain)
        #expect(try codec.decompress(compressed, outputBytesMax: 100_000) == plain)
        for cap in [0, 1, 50_000, 99_999] {
            #expect(Self.error(codec, compressed, cap: cap) == .decompressedTooLarge(codec, limit: cap))
        }
    }

    @Test("a bomb is refused at the cap, also as a batch", arguments: Self.codecs)
    func bombs(codec: CompressionCodec) throws {
        let bomb = Self.compressed(codec, ByteBuffer(repeating: 0, count: 128 << 20))
        #expect(Self.error(codec, bomb) == .decompressedTooLarge(codec, limit: 1 << 20))

        var builder = RecordBatchBuilder(codec: codec)
        builder.append(key: nil, value: ByteBuffer(repeating: 0, count: 64 << 20), timestamp: 0)
        let batch = try RecordBatch(from: builder.finish())
        #expect(throws: WireError.decompressedTooLarge(codec, limit: 1 << 20)) {
            try batch.records(decompressedBytesMax: 1 << 20)
        }
    }

    @Test("what is cut, or goes on after its end, is refused", arguments: Self.codecs)
    func cutAndJunk(codec: CompressionCodec) {
        let compressed = Self.compressed(codec, ByteBuffer(string: String(repeating: "some text, ", count: 500)))
        for length in 0..<compressed.readableBytes where codec != .snappy || length != 16 {
            // 16 bytes of framing without a block are a whole, empty snappy stream.
            let cut = compressed.getSlice(at: 0, length: length) ?? ByteBuffer()
            #expect(Self.error(codec, cut) == .corruptCompression(codec), "cut at \(length)")
        }
        for junk in [[0], [1, 2, 3], [UInt8](repeating: 0, count: 100), [UInt8](repeating: 0xFF, count: 100)] {
            var bytes = compressed
            bytes.writeBytes(junk)
            #expect(Self.error(codec, bytes) == .corruptCompression(codec), "\(junk.count) bytes of \(junk[0])")
        }
    }

    @Test("flipped bits give an error or bytes, and always an end", arguments: Self.codecs)
    func mutations(codec: CompressionCodec) {
        var generator = SeededGenerator(seed: 2)
        let compressed = Self.compressed(codec, ByteBuffer(bytes: (0..<2000).map { UInt8($0 / 7 % 20) }))
        var refused = 0
        for _ in 0..<3000 {
            var bytes = compressed
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let index = Int.random(in: 0..<bytes.readableBytes, using: &generator)
                bytes.setInteger(UInt8.random(in: 0...255, using: &generator), at: index)
            }
            if Self.error(codec, bytes) != nil { refused += 1 }
        }
        #expect(refused > 0)
    }

    @Test("raw snappy is read like framed snappy")
    func rawSnappy() throws {
        // Length 11, then a literal of 11 bytes.
        var raw = ByteBuffer(bytes: [11, 10 << 2])
        raw.writeString("hello world")
        #expect(try CompressionCodec.snappy.decompress(raw, outputBytesMax: 11) == ByteBuffer(string: "hello world"))
    }

    @Test("a length that snappy cannot reach is not allocated")
    func snappyLength() {
        // 2^32 − 1, and 100 million, claimed by a handful of bytes.
        for claim: [UInt8] in [[0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 0], [0x80, 0xC2, 0xD7, 0x2F, 0]] {
            let claimed = ByteBuffer(bytes: claim)
            #expect(Self.error(.snappy, claimed, cap: 1 << 40) == .corruptCompression(.snappy))
        }
    }

    @Test("a zstd window over 8 MiB is not allocated")
    func zstdWindow() {
        // A frame header that asks for a window of 128 MiB, then one empty last block.
        let wide = ByteBuffer(bytes: [0x28, 0xB5, 0x2F, 0xFD, 0x00, 17 << 3, 0x01, 0x00, 0x00])
        #expect(Self.error(.zstd, wide, cap: 1 << 30) == .corruptCompression(.zstd))
        // The same with 8 MiB is an empty frame.
        let narrow = ByteBuffer(bytes: [0x28, 0xB5, 0x2F, 0xFD, 0x00, 13 << 3, 0x01, 0x00, 0x00])
        #expect(Self.error(.zstd, narrow, cap: 1 << 30) == nil)
    }

    @Test("two gzip members in a row are one stream")
    func gzipMembers() throws {
        var both = Self.compressed(.gzip, ByteBuffer(string: "hello "))
        both.writeImmutableBuffer(Self.compressed(.gzip, ByteBuffer(string: "world")))
        #expect(try CompressionCodec.gzip.decompress(both, outputBytesMax: 20) == ByteBuffer(string: "hello world"))
    }
}
