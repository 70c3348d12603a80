import ApusCore
import ApusFakes
import NIOCore
import Testing

@testable import WebFormats

@Suite("Channels by name")
struct ChannelTests {
    @Test(
        "a name says topic, key or prefix, and has one spelling of its own",
        arguments: [
            ("news", "news"), ("chat/room-7", "chat/room-7"), ("chat/room-*", "chat/room-*"), ("chat/*", "chat/*"),
            ("a/b/c", "a/b/c"), ("t/%41%42", "t/AB"), ("t/%c3%a9", "t/é"), ("t/é 😀", "t/é 😀"), ("t/%FF", "t/%FF"),
            ("t/50%25", "t/50%25"), ("t/%2A", "t/%2A"), ("t/%2A*", "t/%2A*"), ("t/%0d%0A%00", "t/%0D%0A%00"),
            ("t/%C2%9B%E2%80%A8", "t/%C2%9B%E2%80%A8"), (#"t/"\"#, #"t/"\"#), ("t//", "t//"),
        ]
    )
    func names(name: String, canonical: String) throws {
        let channel = try EdgeChannel(name)
        #expect(channel.description == canonical)
        #expect(try EdgeChannel(canonical) == channel)
    }

    @Test(
        "what names no channel is refused with its reason",
        arguments: [
            ("t/", ChannelNameError.emptyKey), ("t/a*b", .star(at: 3)), ("t/**", .star(at: 2)), ("t/%", .escape(at: 2)),
            ("t/a%4", .escape(at: 3)), ("t/%4g", .escape(at: 2)), ("t/a\nb", .unescaped(at: 3)),
            ("t/\u{0}", .unescaped(at: 2)), ("t/\u{1b}[0m", .unescaped(at: 2)), ("t/é\u{9b}", .unescaped(at: 4)),
            ("t/\u{2028}", .unescaped(at: 2)), ("t/" + String(repeating: "x", count: 1023), .tooLong),
        ]
    )
    func refused(name: String, error: ChannelNameError) {
        #expect(throws: error) { try EdgeChannel(name) }
        #expect(!error.text.isEmpty)
    }

    @Test("the topic of a channel is one that may exist", arguments: ["", "/a", "..", "a b", "a\r\nb/c", "é", "a*"])
    func badTopics(name: String) {
        #expect { try EdgeChannel(name) } throws: { error in
            if case .topic = error as? ChannelNameError { true } else { false }
        }
    }

    @Test("any key has a channel, and its name brings the key back", arguments: 0..<100 as Range<UInt64>)
    func keys(seed: UInt64) throws {
        var generator = SplitMix64(seed: seed)
        let pieces: [[UInt8]] = [
            [0x25], [0x2A], [0x0A], [0x2F], [0xC2], [0x9B], [0xE2, 0x80, 0xA8], [0xC3, 0xA9], [0x41],
        ]
        let bytes = (0...generator.below(20)).flatMap { _ in
            generator.isOne(in: 3)
                ? [UInt8(truncatingIfNeeded: generator.next())] : pieces[generator.below(pieces.count)]
        }
        let key = ByteBuffer(bytes: bytes)
        for star in ["", "*"] {
            let name = "t/\(ChannelEscapes.written(key))\(star)"
            let channel = try EdgeChannel(name)
            #expect(channel.selection == (star.isEmpty ? .key(key) : .prefix(key)))
            #expect(channel.description == name)
            #expect(!name.utf8.contains { $0 < 0x20 || $0 == 0x7F })
            #expect(channel.takes(key) && !channel.takes(nil))
        }
    }

    @Test("a key channel is in one partition when keys are placed by hash, all others in any")
    func partitions() throws {
        let key = try EdgeChannel("t/abc")
        #expect(key.partition(of: 1000, placement: .murmur2) == PartitionIndex(rawValue: 107))
        #expect(key.partition(of: 1000, placement: .anywhere) == nil)
        #expect(key.partition(of: 1, placement: .anywhere) == PartitionIndex(rawValue: 0))
        #expect(try EdgeChannel("t").partition(of: 2, placement: .murmur2) == nil)
        #expect(try EdgeChannel("t/a*").partition(of: 2, placement: .murmur2) == nil)
    }
}
