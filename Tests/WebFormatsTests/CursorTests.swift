import ApusCore
import ApusFakes
import NIOCore
import Testing

@testable import WebFormats

@Suite("Cursors")
struct CursorTests {
    private static let keys = CursorKeys(current: Array(repeating: 7, count: 32))
    private static let topic = TopicID(high: 1, low: 2)

    private func seal(
        _ selection: EdgeChannel.Selection = .everything, topic: TopicID = Self.topic, keys: CursorKeys = Self.keys
    ) -> CursorSeal {
        CursorSeal(keys: keys, topic: topic, selection: selection)
    }

    private func offset(_ value: Int64) -> Offset { Offset(rawValue: value) }

    private func cursor(_ generator: inout SplitMix64) -> EdgeCursor {
        func offset() -> Offset {
            Offset(rawValue: Int64(bitPattern: generator.next() >> UInt64(1 + generator.below(62))))
        }
        let partition = PartitionIndex(rawValue: Int32(generator.below(Limits.partitionsPerTopicMax)))
        switch generator.below(3) {
        case 0: return .whole((0...generator.below(30)).map { _ in offset() })
        case 1: return .single(partition, next: offset())
        default:
            let ends = [offset(), offset()].sorted()
            return .step(partition, since: ends[0], next: ends[1])
        }
    }

    @Test(
        "a cursor comes back from its text, which is letters, digits, '-' and '_'", arguments: 0..<100 as Range<UInt64>)
    func roundTrip(seed: UInt64) throws {
        var generator = SplitMix64(seed: seed)
        let cursor = self.cursor(&generator)
        let text = self.seal().text(of: cursor)
        #expect(try self.seal().cursor(in: text) == cursor)
        #expect(
            String(buffer: text).allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-" || $0 == "_") })
    }

    @Test("the ends of all ranges come back")
    func extremes() throws {
        let top = self.offset(.max)
        let last = PartitionIndex(rawValue: Int32(Limits.partitionsPerTopicMax - 1))
        let swinging = (0..<Limits.partitionsPerTopicMax).map { $0.isMultiple(of: 2) ? top : .zero }
        for cursor in [EdgeCursor.whole(swinging), .single(last, next: top), .step(last, since: .zero, next: top)] {
            let text = self.seal().text(of: cursor)
            #expect(text.readableBytes <= Limits.cursorTextBytesMax.rawValue)
            #expect(try self.seal().cursor(in: text) == cursor)
        }
    }

    @Test("a cursor of one partition is as long as a word, and a step does not grow with the partitions")
    func lengths() {
        #expect(self.seal().text(of: .whole([self.offset(1_000_000)])).readableBytes <= 36)
        let step = EdgeCursor.step(
            PartitionIndex(rawValue: 9_999), since: self.offset(1 << 40), next: self.offset(1 << 40 + 500))
        #expect(self.seal().text(of: step).readableBytes <= 44)
        let positions = (0..<1000).map { self.offset(1_000_000 + Int64($0 * 7919 % 100_000)) }
        let bytes = self.seal().text(of: .whole(positions)).readableBytes
        #expect(bytes <= 1000 * Limits.cursorBytesPerPartition.rawValue)
    }

    @Test("no change of a cursor's text is taken for a cursor", arguments: 0..<100 as Range<UInt64>)
    func changed(seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        let text = Array(buffer: self.seal().text(of: self.cursor(&generator)))
        for length in text.indices {
            #expect(throws: CursorError.self) { try self.seal().cursor(in: ByteBuffer(bytes: text[..<length])) }
        }
        let letters = Array("ABCxyz019-_".utf8)
        for _ in 0..<50 {
            var changed = text
            let place = generator.below(text.count)
            changed[place] = letters[generator.below(letters.count)]
            if changed == text { continue }
            #expect(throws: CursorError.self) { try self.seal().cursor(in: ByteBuffer(bytes: changed)) }
        }
        #expect(throws: CursorError.self) { try self.seal().cursor(in: ByteBuffer(bytes: text + text.prefix(4))) }
    }

    @Test("any bytes are refused and none trap", arguments: 0..<200 as Range<UInt64>)
    func hostile(seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        var bytes = ByteBuffer()
        bytes.writeInteger(UInt8(0x10) | UInt8(generator.below(4)))
        bytes.writeInteger(UInt32(2))
        for _ in 0..<generator.below(60) {
            bytes.writeInteger(generator.isOne(in: 2) ? 0xFF : UInt8(truncatingIfNeeded: generator.next()))
        }
        let text = ByteBuffer(string: Base64.url.encoded(bytes))
        #expect(throws: CursorError.self) { try self.seal().cursor(in: text) }
        #expect(throws: CursorError.self) { try self.seal().cursor(in: bytes) }
    }

    @Test("what is wrong with a cursor is told by name")
    func errors() throws {
        let whole = EdgeCursor.whole([self.offset(5)])
        let text = self.seal().text(of: whole)
        #expect(throws: CursorError.otherTopic) { try self.seal(topic: TopicID(high: 1, low: 3)).cursor(in: text) }
        // The same last bytes of another id: only the signature tells.
        #expect(throws: CursorError.forged) { try self.seal(topic: TopicID(high: 2, low: 2)).cursor(in: text) }
        let key = EdgeChannel.Selection.key(ByteBuffer(string: "a"))
        let prefix = EdgeChannel.Selection.prefix(ByteBuffer(string: "a"))
        #expect(throws: CursorError.forged) { try self.seal(key).cursor(in: text) }
        #expect(throws: CursorError.forged) { try self.seal(prefix).cursor(in: self.seal(key).text(of: whole)) }
        let other = CursorKeys(current: Array(repeating: 8, count: 32))
        #expect(throws: CursorError.forged) { try self.seal(keys: other).cursor(in: text) }
        #expect(throws: CursorError.malformed) { try self.seal().cursor(in: ByteBuffer(string: "no cursor!")) }
        #expect(throws: CursorError.truncated) { try self.seal().cursor(in: ByteBuffer()) }
        let future = ByteBuffer(string: Base64.url.encoded(ByteBuffer(repeating: 0x20, count: 40)))
        #expect(throws: CursorError.version(2)) { try self.seal().cursor(in: future) }
        let long = ByteBuffer(repeating: UInt8(ascii: "A"), count: Limits.cursorTextBytesMax.rawValue + 4)
        #expect(throws: CursorError.malformed) { try self.seal().cursor(in: long) }
    }

    @Test("a cursor signed with an older key is taken, and new ones are signed with the present one")
    func rotation() throws {
        let new = CursorKeys(current: Array(repeating: 9, count: 32), older: [Array(repeating: 7, count: 32)])
        let cursor = EdgeCursor.single(PartitionIndex(rawValue: 3), next: self.offset(9))
        #expect(try self.seal(keys: new).cursor(in: self.seal().text(of: cursor)) == cursor)
        #expect(throws: CursorError.forged) { try self.seal().cursor(in: self.seal(keys: new).text(of: cursor)) }
    }

    @Test(
        "cursors add at most a quarter to what is pushed, however many partitions", arguments: [1, 8, 9, 100, 10_000])
    func cadence(partitions: Int) {
        var cadence = CursorCadence()
        var pushed = 0
        var cursors = 0
        for _ in 0..<100_000 {
            pushed += 100
            if cadence.isWhole(pushing: .bytes(100), partitions: partitions) {
                cursors += partitions * Limits.cursorBytesPerPartition.rawValue
            }
        }
        if partitions <= Limits.cursorPartitionsCheap {
            #expect(cursors == 100_000 * partitions * Limits.cursorBytesPerPartition.rawValue)
        } else {
            #expect(cursors > 0 && cursors * 4 <= pushed)
        }
    }
}
