import ApusCore
import NIOCore
import Testing
import WebFormats

@testable import EdgeDoor

/// What a WebSocket client may send and may not, by the sections of RFC 6455 and RFC 7692: the ground that the Autobahn
/// suite covers, in words of our own. Each case is read whole, in pieces of one byte and of seven.
@Suite("WebSocket, case by case")
struct WebSocketCaseTests {
    struct Case: Sendable {
        var section: String
        var name: String
        var frames: [[UInt8]]
        /// What comes of it; a number at the end is the close code of a fault.
        var outcome: [String]
        var format = WireFormat.json
        var mayInflate = false
    }

    static func frame(
        _ opcode: UInt8, _ payload: [UInt8] = [], fin: Bool = true, rsv: UInt8 = 0, length: UInt8? = nil,
        mask: [UInt8]? = [0x37, 0xFA, 0x21, 0x3D]
    ) -> [UInt8] {
        var bytes = [(fin ? 0x80 : 0) | rsv << 4 | opcode]
        let isMasked: UInt8 = mask == nil ? 0 : 0x80
        switch length ?? (payload.count < 126 ? UInt8(payload.count) : payload.count < 65536 ? 126 : 127) {
        case 126: bytes += [isMasked | 126, UInt8(payload.count >> 8 & 0xFF), UInt8(payload.count & 0xFF)]
        case 127: bytes += [isMasked | 127] + (0..<8).reversed().map { UInt8(payload.count >> ($0 * 8) & 0xFF) }
        case let short: bytes.append(isMasked | short)
        }
        guard let mask else { return bytes + payload }
        return bytes + mask + payload.enumerated().map { $1 ^ mask[$0 % 4] }
    }

    private static func text(_ text: String, fin: Bool = true) -> [UInt8] { self.frame(1, Array(text.utf8), fin: fin) }

    private static func close(_ code: UInt16, _ reason: [UInt8] = []) -> [UInt8] {
        self.frame(8, [UInt8(code >> 8), UInt8(code & 0xFF)] + reason)
    }

    // MARK: The table

    static let lengths: [Case] =
        [0, 1, 125, 126, 127, 128, 65535, 65536, 65537, 1 << 20].flatMap { length in
            let payload = Array(repeating: UInt8(ascii: "*"), count: length)
            return [
                Case(
                    section: "5.2", name: "a text of \(length)", frames: [frame(1, payload)],
                    outcome: ["text \(length)"]),
                Case(
                    section: "5.2", name: "bytes of \(length)", frames: [frame(2, payload)],
                    outcome: ["binary \(length)"],
                    format: .cbor),
            ]
        } + [
            Case(
                section: "5.2", name: "a length in more bytes than it needs", frames: [frame(1, [65], length: 126)],
                outcome: ["text 1"]),
            Case(
                section: "5.2", name: "the same in eight", frames: [frame(1, [65], length: 127)], outcome: ["text 1"]),
            Case(
                section: "5.2", name: "the top bit of 64", frames: [[0x81, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0]],
                outcome: ["1002"]),
            Case(
                section: "5.2", name: "all bits of 64", frames: [[0x81, 0xFF] + Array(repeating: 0xFF, count: 8)],
                outcome: ["1002"]),
            Case(
                section: "5.2", name: "63 bits", frames: [[0x81, 0xFF, 0x7F] + Array(repeating: 0xFF, count: 7)],
                outcome: ["1009"]),
            Case(
                section: "5.2", name: "one byte too many", frames: [[0x81, 0xFF, 0, 0, 0, 0, 0, 0x10, 0, 1]],
                outcome: ["1009"]),
        ]

    static let opcodes: [Case] =
        [3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map { opcode in
            Case(
                section: "5.2", name: "opcode \(opcode)", frames: [text("a"), frame(opcode, [1]), text("b")],
                outcome: ["text 1", "1002"])
        }
        + (1...7).flatMap { bits in
            [UInt8(1), 2, 8, 9, 10].map { opcode in
                Case(
                    section: "5.2", name: "reserved bits \(bits) in \(opcode)",
                    frames: [frame(opcode, [], rsv: UInt8(bits))], outcome: ["1002"])
            }
        }
        + [1, 8, 9, 10].map { opcode in
            Case(
                section: "5.1", name: "\(opcode) without a mask", frames: [frame(opcode, [1, 2], mask: nil)],
                outcome: ["1002"])
        } + [
            Case(
                section: "5.3", name: "a mask of zeros", frames: [frame(1, [65], mask: [0, 0, 0, 0])],
                outcome: ["text 1"]),
            Case(section: "5.6", name: "bytes where text is spoken", frames: [frame(2, [1])], outcome: ["1003"]),
            Case(
                section: "5.6", name: "text where bytes are spoken", frames: [text("a")], outcome: ["1003"],
                format: .cbor),
            Case(
                section: "5.6", name: "bytes that are no UTF-8", frames: [frame(2, [0xFF, 0xC0])],
                outcome: ["binary 2"],
                format: .cbor),
        ]

    static let controls: [Case] =
        [0, 1, 124, 125].map { length in
            Case(
                section: "5.5.2", name: "a ping of \(length)",
                frames: [frame(9, Array(repeating: 0xFE, count: length))], outcome: ["ping \(length)"])
        }
        + [8, 9, 10].flatMap { opcode in
            [
                Case(
                    section: "5.5", name: "a control frame \(opcode) of 126",
                    frames: [frame(opcode, Array(repeating: 3, count: 126))], outcome: ["1002"]),
                Case(
                    section: "5.5", name: "a control frame \(opcode) of 126 in a short length of 127",
                    frames: [frame(opcode, Array(repeating: 3, count: 126), length: 127)], outcome: ["1002"]),
                Case(
                    section: "5.5", name: "a control frame \(opcode) in pieces",
                    frames: [frame(opcode, [], fin: false)],
                    outcome: ["1002"]),
            ]
        } + [
            Case(section: "5.5.3", name: "a pong that nobody asked for", frames: [frame(10, [1])], outcome: ["pong"]),
            Case(
                section: "5.5.2", name: "ten pings", frames: (0..<10).map { frame(9, [UInt8($0)]) },
                outcome: Array(repeating: "ping 1", count: 10)),
        ]

    static let fragments: [Case] = [
        Case(
            section: "5.4", name: "two pieces", frames: [text("ab", fin: false), frame(0, [99])], outcome: ["text 3"]),
        Case(
            section: "5.4", name: "empty pieces",
            frames: [text("", fin: false), frame(0, [], fin: false), frame(0, [])], outcome: ["text 0"]),
        Case(
            section: "5.4", name: "a ping, a pong and a ping in between",
            frames: [
                text("a", fin: false), frame(9, [1]), frame(10), frame(0, [98], fin: false), frame(9), frame(0, [99]),
            ],
            outcome: ["ping 1", "pong", "ping 0", "text 3"]),
        Case(section: "5.4", name: "a piece of nothing", frames: [frame(0, [1])], outcome: ["1002"]),
        Case(section: "5.4", name: "the last piece of nothing", frames: [frame(0, [1], fin: false)], outcome: ["1002"]),
        Case(
            section: "5.4", name: "a piece behind a whole message", frames: [text("a"), frame(0, [1])],
            outcome: ["text 1", "1002"]),
        Case(
            section: "5.4", name: "a message inside a message", frames: [text("a", fin: false), text("b")],
            outcome: ["1002"]),
        Case(
            section: "5.4", name: "a close inside a message", frames: [text("a", fin: false), close(1000)],
            outcome: ["close 1000"]),
        Case(
            section: "5.4", name: "a million pieces of one byte",
            frames: [text("a", fin: false)]
                + Array(repeating: frame(0, [65], fin: false), count: Limits.edgeFragmentsPerMessageMax),
            outcome: ["1009"]),
        Case(
            section: "5.4", name: "as many pieces as there may be",
            frames: [text("a", fin: false)]
                + Array(repeating: frame(0, [65], fin: false), count: Limits.edgeFragmentsPerMessageMax - 2)
                + [frame(0, [65])],
            outcome: ["text \(Limits.edgeFragmentsPerMessageMax)"]),
    ]

    static let closes: [Case] =
        ([1000, 1001, 1002, 1003] + Array(1007...1014) + [3000, 3999, 4000, 4999]).map { code in
            Case(section: "7.4", name: "code \(code)", frames: [close(code)], outcome: ["close \(code)"])
        }
        + ([0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] as [UInt16]).map { code in
            Case(section: "7.4", name: "no code \(code)", frames: [close(code)], outcome: ["1002"])
        } + [
            Case(section: "5.5.1", name: "a close without a code", frames: [frame(8)], outcome: ["close -"]),
            Case(section: "5.5.1", name: "half a code", frames: [frame(8, [3])], outcome: ["1002"]),
            Case(
                section: "5.5.1", name: "the longest reason", frames: [close(1000, Array(repeating: 65, count: 123))],
                outcome: ["close 1000"]),
            Case(section: "5.5.1", name: "a reason that is no text", frames: [close(1000, [0xCE])], outcome: ["1007"]),
        ]

    /// What is text and what is not (section 8.1); each also in pieces that cut its characters.
    static let texts: [Case] =
        ([
            "\u{0}", "\u{7F}", "\u{80}", "\u{7FF}", "\u{800}", "\u{D7FF}", "\u{E000}", "\u{FFFD}", "\u{FFFE}",
            "\u{FFFF}",
            "\u{10000}", "\u{1FFFE}", "\u{10FFFF}", "κόσμε", "Hello-µ@ßöäüàá-UTF-8!!", "\u{FEFF}a", "👩‍👩‍👧",
        ]).flatMap { word -> [Case] in
            let bytes = Array(word.utf8)
            let pieces = bytes.enumerated().map { place, byte in
                frame(place == 0 ? 1 : 0, [byte], fin: place == bytes.count - 1)
            }
            return [
                Case(section: "8.1", name: "text \(word)", frames: [frame(1, bytes)], outcome: ["text \(bytes.count)"]),
                Case(section: "8.1", name: "text \(word) in bytes", frames: pieces, outcome: ["text \(bytes.count)"]),
            ]
        }
        + wrongTexts.flatMap { bytes -> [Case] in
            [
                Case(section: "8.1", name: "no text \(bytes)", frames: [frame(1, bytes)], outcome: ["1007"]),
                // At the first byte with which it can not become a text any more: nothing behind it is waited for.
                Case(
                    section: "8.1", name: "no text \(bytes), never ended",
                    frames: [frame(1, Array("κό".utf8), fin: false), frame(0, bytes + [65], fin: false)],
                    outcome: ["1007"]),
            ]
        } + [
            Case(
                section: "8.1", name: "half a character at the end",
                frames: [frame(1, [0xCE], fin: false), frame(0, [])], outcome: ["1007"])
        ]

    private static let wrongTexts: [[UInt8]] = [
        [0x80], [0xBF], [0xFE], [0xFF], [0xC0, 0xAF], [0xE0, 0x80, 0xAF], [0xF0, 0x80, 0x80, 0xAF], [0xC1, 0xBF],
        [0xE0, 0x9F, 0xBF], [0xF0, 0x8F, 0xBF, 0xBF], [0xED, 0xA0, 0x80], [0xED, 0xBF, 0xBF],
        [0xED, 0xA0, 0x80, 0xED, 0xB0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80],
        [0xF8, 0x88, 0x80, 0x80, 0x80], [0xC3, 0x28], [0xE2, 0x28, 0xA1], [0xE2, 0x82, 0x28], [0xF0, 0x9F, 0x92, 0x28],
    ]

    /// RFC 7692: one long run of letters, its deflated form, and what may not be.
    static var compressed: [Case] {
        let text = Array(String(repeating: "hello ", count: 100).utf8)
        let wire = MessageDeflate.deflated(ByteBuffer(bytes: text)).map { Array(buffer: $0) } ?? []
        let half = wire.count / 2
        var bomb: [UInt8] = []
        // A block of one byte and a run of it, again and again, is a thousand times its length.
        let zeros = ByteBuffer(repeating: 0x20, count: Limits.edgeMessageBytesMax.rawValue)
        if let most = MessageDeflate.deflated(zeros) { bomb = Array(buffer: most) }
        // The RFC's own example (7.2.3.1): "Hello".
        let hello: [UInt8] = [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00]
        func a(_ name: String, _ frames: [[UInt8]], _ outcome: [String], mayInflate: Bool = true) -> Case {
            Case(section: "RFC 7692", name: name, frames: frames, outcome: outcome, mayInflate: mayInflate)
        }
        return [
            a("a message", [frame(1, wire, rsv: 4)], ["text 600"]),
            a("one that is not compressed", [frame(1, text)], ["text 600"]),
            a("the RFC's Hello", [frame(1, hello, rsv: 4)], ["text 5"]),
            a(
                "Hello in two frames",
                [frame(1, [0xF2, 0x48, 0xCD], fin: false, rsv: 4), frame(0, [0xC9, 0xC9, 0x07, 0x00])], ["text 5"]),
            a(
                "Hello in a stored block", [frame(1, [0, 5, 0, 0xFA, 0xFF, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0], rsv: 4)],
                ["text 5"]),
            a(
                "Hello in a last block", [frame(1, [0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00], rsv: 4)],
                ["text 5"]),
            a(
                "Hello in two blocks",
                [frame(1, [0xF2, 0x48, 0x05, 0, 0, 0, 0xFF, 0xFF, 0xCA, 0xC9, 0xC9, 0x07, 0], rsv: 4)], ["text 5"]),
            a("an empty one", [frame(1, [0x00], rsv: 4)], ["text 0"]),
            a(
                "a ping in between",
                [frame(1, Array(wire[..<half]), fin: false, rsv: 4), frame(9), frame(0, Array(wire[half...]))],
                ["ping 0", "text 600"]),
            a("nothing was agreed", [frame(1, wire, rsv: 4)], ["1002"], mayInflate: false),
            a("the bit in a later frame", [frame(1, [0xF2], fin: false, rsv: 4), frame(0, [0x48], rsv: 4)], ["1002"]),
            a("the bit in a ping", [frame(9, [], rsv: 4)], ["1002"]),
            a("the other bits", [frame(1, wire, rsv: 2)], ["1002"]),
            a("no deflate", [frame(1, [0xFF, 0xFF, 0xFF], rsv: 4)], ["1007"]),
            a("half of it", [frame(1, Array(wire[..<half]), rsv: 4)], ["1007"]),
            a("no text inside", [frame(1, [0, 1, 0, 0xFE, 0xFF, 0xFF, 0], rsv: 4)], ["1007"]),
            a("the longest message", [frame(1, bomb, rsv: 4)], ["text \(Limits.edgeMessageBytesMax.rawValue)"]),
            a("a bomb", [frame(1, bomb + [0x00, 0x00, 0xFF, 0xFF] + bomb, rsv: 4)], ["1009"]),
        ]
    }

    static var all: [Case] {
        self.lengths + self.opcodes + self.controls + self.fragments + self.closes + self.texts + self.compressed
    }

    private func outcome(of one: Case, by size: Int) -> [String] {
        var reader = WebSocketReader()
        (reader.format, reader.mayInflate) = (one.format, one.mayInflate)
        var bytes = ByteBuffer(bytes: one.frames.flatMap { $0 })
        var outcome: [String] = []
        do throws(WebSocketFault) {
            while let piece = bytes.readSlice(length: min(size, bytes.readableBytes)), piece.readableBytes > 0 {
                reader.received(piece)
                while let event = try reader.next() {
                    switch event {
                    case .message(let message):
                        outcome.append("\(one.format == .json ? "text" : "binary") \(message.readableBytes)")
                    case .ping(let payload): outcome.append("ping \(payload.readableBytes)")
                    case .pong: outcome.append("pong")
                    case .close(let code): outcome.append("close \(code.map { String($0) } ?? "-")")
                    }
                }
            }
        } catch {
            outcome.append("\(error.closeCode)")
        }
        return outcome
    }

    @Test("every case comes out as the RFC says, however it is cut")
    func cases() {
        var failed = 0
        for one in Self.all {
            for size in [Int.max, 7, 1] where size > 1 || one.frames.reduce(0, { $0 + $1.count }) < 100_000 {
                let outcome = self.outcome(of: one, by: size)
                if outcome != one.outcome { failed += 1 }
                #expect(outcome == one.outcome, "\(one.section) \(one.name) by \(size)")
            }
        }
        let sections = Set(Self.all.map(\.section)).sorted().joined(separator: ", ")
        print("WebSocket: \(Self.all.count) cases of RFC 6455 sections \(sections), \(failed) failed")
        #expect(Self.all.count > 200)
    }

    @Test("the offers of a client are answered as RFC 7692 has it")
    func offers() {
        let plain = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
        #expect(MessageDeflate.answer(to: ["permessage-deflate"]) == plain)
        #expect(
            MessageDeflate.answer(to: ["x-webkit-deflate-frame", " permessage-deflate; client_max_window_bits"])
                == plain)
        #expect(MessageDeflate.answer(to: ["permessage-deflate; client_max_window_bits=\"9\""]) == plain)
        #expect(
            MessageDeflate.answer(to: ["permessage-deflate; server_max_window_bits=15"])
                == plain + "; server_max_window_bits=15")
        // The first that can be kept.
        #expect(
            MessageDeflate.answer(to: ["permessage-deflate; server_max_window_bits=10", "permessage-deflate"]) == plain)
        for wrong in [
            "permessage-deflate; server_max_window_bits", "permessage-deflate; x=1", "permessage-deflate;",
            "permessage-deflate; client_max_window_bits=7", "permessage-deflate; client_max_window_bits=16",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; client_no_context_takeover; client_no_context_takeover", "deflate", "",
        ] {
            #expect(MessageDeflate.answer(to: [wrong]) == nil, "\(wrong)")
        }
    }

    @Test("a message comes back that just fills what it is read into, piece by piece or whole")
    func fullRooms() throws {
        for length in 1...4200 {
            let message = ByteBuffer(repeating: UInt8(ascii: "a"), count: length)
            guard let wire = MessageDeflate.deflated(message) else { continue }
            #expect(try MessageDeflate.inflated(wire) == message, "\(length) bytes")
        }
    }

    @Test(
        "what is deflated comes back, and is left alone where it would not be shorter", arguments: 0..<40 as Range<Int>)
    func roundTrip(seed: Int) throws {
        let words = ["{\"channel\":", "\"news\"", "records", "12345", ",", "ü", "~"]
        var text = ""
        for index in 0..<(seed * seed) { text += words[(index * 7 + seed * index / 3) % words.count] }
        let message = ByteBuffer(string: text)
        guard let wire = MessageDeflate.deflated(message) else {
            #expect(message.readableBytes < 300)
            return
        }
        #expect(wire.readableBytes < message.readableBytes)
        #expect(try MessageDeflate.inflated(wire) == message)
    }
}
