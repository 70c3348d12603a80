import Foundation
import NIOCore
import Testing

@testable import KafkaWire

@Suite("Hostile bytes")
struct HostileTests {
    /// Decodes and forgets; counts what was refused.
    private static func isRefused<Message: KafkaMessage>(
        _: Message.Type, _ bytes: ByteBuffer, _ version: Int16
    ) -> Bool {
        var reader = WireReader(bytes)
        return (try? Message(from: &reader, version: version)) == nil
    }

    /// Largest counts, as Int32 and as a varint, and what lies near.
    private static let counts: [[UInt8]] = [
        [0x7F, 0xFF, 0xFF, 0xFF], [0x80, 0x00, 0x00, 0x00], [0xFF, 0xFF, 0xFF, 0xFE], [0x00, 0x0F, 0x42, 0x40],
        [0xFF, 0xFF, 0xFF, 0xFF, 0x07], [0xFF, 0xFF, 0xFF, 0xFF, 0x0F], [0x80, 0x80, 0x80, 0x80, 0x08],
        [0xFF, 0xFF, 0xFF, 0xFF, 0xFF], [0xC1, 0x84, 0x3D],
    ]

    @Test("a huge count in a small frame fails before anything is reserved")
    func hugeCounts() async {
        // In a process of its own that may not grow: an allocation made for such a count would end it.
        await #expect(processExitsWith: .success) {
            var limit = rlimit()
            getrlimit(__rlimit_resource_t(9), &limit)  // RLIMIT_AS
            limit.rlim_cur = rlim_t(HostileTests.addressSpaceBytes() + (256 << 20))
            setrlimit(__rlimit_resource_t(9), &limit)
            for type in everyMessage { HostileTests.tryCounts(type) }
        }
    }

    static func addressSpaceBytes() -> Int {
        let pages = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8))?.split(separator: " ").first
        return (pages.flatMap { Int($0) } ?? 1 << 20) * 4096
    }

    static func tryCounts<Message: RandomMessage>(_: Message.Type) {
        for version in Message.versions {
            var values = RandomValues(seed: 11, manner: .any)
            let valid = MessageTests.encoded(Message(random: &values, version: version), version: version)
            for count in Self.counts {
                for index in 0...min(60, valid.readableBytes) {
                    var bytes = valid
                    bytes.moveWriterIndex(to: min(60, valid.readableBytes))
                    bytes.setBytes(count, at: index)
                    bytes.moveWriterIndex(to: max(bytes.writerIndex, index + count.count))
                    _ = Self.isRefused(Message.self, bytes, version)
                }
                // Nothing but the count, over and over.
                var bytes = ByteBuffer()
                while bytes.readableBytes < 60 { bytes.writeBytes(count) }
                _ = Self.isRefused(Message.self, bytes, version)
            }
        }
    }

    @Test("a count is held against the bytes that are left")
    func counts() {
        var bytes = ByteBuffer(integer: Int32.max)
        bytes.writeRepeatingByte(0, count: 56)
        // Throttle time first, then the count of topics.
        var response = ByteBuffer(integer: 0 as Int32)
        response.writeImmutableBuffer(bytes)
        var reader = WireReader(response)
        #expect(throws: WireError.countTooLarge(at: 4, count: Int(Int32.max), remaining: 56)) {
            try DeleteTopicsResponse(from: &reader, version: 3)
        }
    }

    @Test("an element of a request takes at most 16 bytes of memory for each it must have on the wire, of an answer 22")
    func elementProportions() {
        // The other elements: Int32 takes four for four, String sixteen for one, plus its bytes.
        #expect(everyElement.count > 60)
        for type in everyElement {
            for isFlexible in [false, true] {
                let ratio = Double(Self.stride(type)) / Double(type.wireBytesMin(isFlexible))
                // Answers come from a broker, which a client chose to believe.
                let isAnswer = String(reflecting: type).contains("Response.")
                #expect(ratio <= (isAnswer ? 22 : 16), "\(String(reflecting: type)): \(ratio)")
            }
        }
    }

    private static func stride<Element: WireElement>(_: Element.Type) -> Int { MemoryLayout<Element>.stride }

    @Test("more than 64 tagged fields are refused, fewer are skipped, and their order counts")
    func taggedFields() throws {
        func section(_ tags: [UInt32], valueBytes: Int) -> ByteBuffer {
            var bytes = ByteBuffer()
            bytes.writeVarint(UInt64(tags.count))
            for tag in tags {
                bytes.writeVarint(UInt64(tag))
                bytes.writeVarint(UInt64(valueBytes))
                bytes.writeRepeatingByte(1, count: valueBytes)
            }
            return bytes
        }
        func error(_ bytes: ByteBuffer) -> WireError? {
            var reader = WireReader(bytes)
            do throws(WireError) {
                try reader.skipTaggedFields()
                try reader.finish()
            } catch { return error }
            return nil
        }
        #expect(error(section(Array(0..<64), valueBytes: 3)) == nil)
        #expect(error(section([5, 6, UInt32.max], valueBytes: 0)) == nil)
        #expect(error(section(Array(0..<65), valueBytes: 3)) == .tooManyTaggedFields(at: 1, count: 65))
        let million = section(Array(0..<1_000_000), valueBytes: 0)
        #expect(error(million) == .tooManyTaggedFields(at: 3, count: 1_000_000))
        #expect(error(section([1, 1], valueBytes: 0)) == .taggedFieldsOutOfOrder(at: 4, tag: 1))
        #expect(error(section([2, 1], valueBytes: 0)) == .taggedFieldsOutOfOrder(at: 4, tag: 1))
        #expect(error(ByteBuffer(bytes: [1, 0, 5, 1])) == .truncated(at: 3, needed: 5, remaining: 1))
    }

    @Test("a known tagged field that is longer or shorter than it says is refused")
    func taggedFieldLength() {
        // ApiVersions response 3: error, no APIs, throttle time, then tag 1 (Int64) with a wrong length.
        for length: UInt8 in [7, 9] {
            var bytes = ByteBuffer(bytes: [0, 0, 1, 0, 0, 0, 0, 1, 1, length])
            bytes.writeRepeatingByte(0, count: 20)
            var reader = WireReader(bytes)
            #expect(throws: WireError.taggedFieldLength(at: 18, tag: 1)) {
                try ApiVersionsResponse(from: &reader, version: 3)
            }
        }
    }

    @Test("null is refused where the version has none")
    func unexpectedNull() {
        // Metadata request 0: the list of topics has no null yet.
        for (version, isRefused) in [(Int16(0), true), (1, false)] {
            #expect(Self.isRefused(MetadataRequest.self, ByteBuffer(integer: Int32(-1)), version) == isRefused)
        }
        #expect(Self.isRefused(MetadataRequest.self, ByteBuffer(integer: Int32(-2)), 1))
    }

    @Test("a string that is not UTF-8 is refused")
    func invalidUTF8() {
        var bytes = ByteBuffer(bytes: [0, 2, 0xC3, 0x28])
        #expect(throws: WireError.invalidUTF8(at: 2)) {
            var reader = WireReader(bytes)
            return try reader.readString(false)
        }
        bytes = ByteBuffer(bytes: [0, 2, 0xC3, 0xA9])
        #expect(throws: Never.self) {
            var reader = WireReader(bytes)
            return try reader.readString(false)
        }
    }

    private static func mutate<Message: RandomMessage>(_: Message.Type, seed: UInt64, iterations: Int) -> Int {
        var values = RandomValues(seed: seed)
        var refused = 0
        for iteration in 0..<iterations {
            let span = Message.versions
            let version = span.lowerBound + Int16(iteration % span.count)
            var bytes = Self.encodedOnce(Message(random: &values, version: version), version)
            for _ in 0..<Int.random(in: 1...6, using: &values.generator) where bytes.readableBytes > 0 {
                let index = Int.random(in: 0..<min(bytes.readableBytes, 400), using: &values.generator)
                switch Int.random(in: 0..<4, using: &values.generator) {
                case 0: bytes.setInteger(UInt8.random(in: 0...255, using: &values.generator), at: index)
                case 1: bytes.setBytes(Self.counts.randomElement(using: &values.generator) ?? [], at: index)
                case 2: bytes = bytes.getSlice(at: 0, length: index) ?? bytes
                default: bytes.writeImmutableBuffer(bytes.getSlice(at: 0, length: index) ?? ByteBuffer())
                }
            }
            if Self.isRefused(Message.self, bytes, version) { refused += 1 }
        }
        return refused
    }

    private static func encodedOnce<Message: KafkaMessage>(_ message: Message, _ version: Int16) -> ByteBuffer {
        MessageTests.encoded(message, version: version)
    }

    @Test("mutated messages give a message or an error", arguments: 0..<10 as Range<UInt64>)
    func mutations(seed: UInt64) {
        var refused = 0
        for type in everyMessage { refused += Self.mutate(type, seed: seed, iterations: 60) }
        #expect(refused > 500)
    }

    @Test("mutated batches give records or an error", arguments: CompressionCodec.allCases)
    func batchMutations(codec: CompressionCodec) {
        var generator = SeededGenerator(seed: 3)
        let valid = RecordBatchTests.builder(codec, records: 12).finish()
        var refused = 0
        for _ in 0..<2000 {
            var bytes = valid
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let index = Int.random(in: 0..<bytes.readableBytes, using: &generator)
                bytes.setInteger(UInt8.random(in: 0...255, using: &generator), at: index)
            }
            do throws(WireError) {
                var records = try RecordBatch(from: bytes).records(decompressedBytesMax: 1 << 20)
                while try records.next() != nil {}
            } catch {
                refused += 1
            }
        }
        #expect(refused > 100)
    }
}

extension ByteBuffer {
    fileprivate mutating func writeVarint(_ value: UInt64) {
        withUnsafeTemporaryAllocation(byteCount: 10, alignment: 1) { room in
            guard let start = room.baseAddress else { return }
            var place = start
            Varint.write(value, to: &place)
            self.writeBytes(UnsafeRawBufferPointer(start: start, count: start.distance(to: place)))
        }
    }
}
