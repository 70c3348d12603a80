import ApusCore
import ApusFakes
import NIOCore
import NIOEmbedded
import Testing
import WebFormats

@testable import EdgeDoor

@Suite("Operations and pushes in CBOR")
struct BinaryFormatTests {
    private func json(_ bytes: [UInt8]) -> String {
        var reader = CBORReader(ByteBuffer(bytes: bytes))
        do throws(CBORFault) {
            return String(buffer: try reader.nextJSON())
        } catch {
            return "\(error)"
        }
    }

    @Test("items are read as appendix A of RFC 8949 has them")
    func items() {
        for (bytes, json) in [
            ([0x00], "0"), ([0x17], "23"), ([0x18, 0x18], "24"), ([0x19, 0x03, 0xE8], "1000"),
            ([0x1A, 0x00, 0x0F, 0x42, 0x40], "1000000"),
            ([0x1B] + Array(repeating: 0xFF, count: 8), "18446744073709551615"),
            ([0x20], "-1"), ([0x38, 0x63], "-100"),
            ([0x3B] + Array(repeating: 0xFF, count: 8), "-18446744073709551616"),
            ([0xF9, 0x3C, 0x00], "1"), ([0xF9, 0x3E, 0x00], "1.5"), ([0xF9, 0x7B, 0xFF], "65504"),
            ([0xF9, 0x00, 0x01], "5.960464477539063e-08"), ([0xF9, 0xC4, 0x00], "-4"),
            ([0xFA, 0x47, 0xC3, 0x50, 0x00], "100000"),
            ([0xFB, 0x3F, 0xF1, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9A], "1.1"),
            ([0xF4], "false"), ([0xF5], "true"), ([0xF6], "null"), ([0xF7], "null"), ([0x60], "\"\""),
            ([0x64, 0x49, 0x45, 0x54, 0x46], "\"IETF\""), ([0x62, 0xC3, 0xBC], "\"ü\""),
            ([0x44, 1, 2, 3, 4], "{\"base64\":\"AQIDBA==\"}"), ([0x83, 1, 2, 3], "[1,2,3]"), ([0x80], "[]"),
            ([0xA0], "{}"),
            ([0xA2, 0x61, 0x61, 1, 0x61, 0x62, 0x82, 2, 3], "{\"a\":1,\"b\":[2,3]}"),
            ([0xA1, 0x65] + Array("value".utf8) + [0x42, 1, 2], "{\"base64\":\"AQI=\"}"),
            ([0xA1, 0x63] + Array("key".utf8) + [0x41, 0xFF], "{\"key_base64\":\"/w==\"}"),
        ] as [([UInt8], String)] {
            #expect(self.json(bytes) == json, "\(bytes)")
        }
        for (bytes, fault) in [
            ([], "truncated"), ([0x18], "truncated"), ([0x42, 1], "truncated"), ([0x83, 1], "truncated"),
            ([0x9B] + Array(repeating: 0xFF, count: 8), "truncated"),
            ([0x5B] + Array(repeating: 0xFF, count: 8), "truncated"),
            ([0x9F, 0xFF], "unexpected"), ([0x5F, 0xFF], "unexpected"), ([0xC0, 0x60], "unexpected"),
            ([0x1C], "unexpected"),
            ([0xF9, 0x7C, 0x00], "unexpected"), ([0xFB, 0x7F, 0xF8, 0, 0, 0, 0, 0, 0], "unexpected"),
            ([0xF8, 0x20], "unexpected"),
            ([0xA1, 0x01, 0x01], "nameIsNoText"), ([0x61, 0xFF], "notUTF8"),
            (Array(repeating: 0x81, count: 100), "tooDeep"),
        ] as [([UInt8], String)] {
            #expect(self.json(bytes) == fault, "\(bytes)")
        }
    }

    @Test("any bytes are lines or a refusal", arguments: 0..<200 as Range<UInt64>)
    func hostile(seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        let bytes = (0..<generator.below(200)).map { _ in
            [0xA1, 0x62, 0x6F, 0x70, 0x44, 0x81, 0xF6, UInt8(truncatingIfNeeded: generator.next())][generator.below(8)]
        }
        for line in ClientLine.lines(of: ByteBuffer(bytes: bytes), in: .cbor) {
            guard case .refused(let id, let problem) = line else { continue }
            #expect(OperationReply.error(id, problem, in: .cbor).readableBytes > 0)
        }
    }

    /// A client that speaks CBOR.
    private func client(_ bench: EdgeBench) throws -> BenchClient {
        let client = try bench.webSocket([("Sec-WebSocket-Protocol", "apus.v1.cbor, apus.v1.json")])
        #expect(
            try self.ask(client, [("id", .number(0)), ("op", .text("connect"))]).hasPrefix(#"{"id":0,"ok":{"conn":"c"#))
        return client
    }

    private enum Field {
        case text(String)
        case number(Int64)
        case bytes([UInt8])
    }

    /// Sends one operation; gives what came, as JSON.
    private func ask(_ client: BenchClient, _ fields: [(String, Field)]) throws -> String {
        var message = ByteBuffer()
        message.writeCBORMap(fields.count)
        for (name, field) in fields {
            message.writeCBORText(name)
            switch field {
            case .text(let text): message.writeCBORText(text)
            case .number(let number): message.writeCBORInteger(number)
            case .bytes(let bytes): message.writeCBORBytes(ByteBuffer(bytes: bytes))
            }
        }
        try client.send(2, Array(buffer: message))
        return try self.answers(client).joined(separator: "\n")
    }

    private func answers(_ client: BenchClient) throws -> [String] {
        try client.binaries().map { self.json(Array(buffer: $0)) }
    }

    @Test("a client is given keys and values as the bytes that they are, and writes them so")
    func dialogue() throws {
        let bench = try EdgeBench()
        try bench.create("t")
        let (binary, text) = (try self.client(bench), try bench.socket())
        _ = try self.ask(binary, [("id", .number(1)), ("op", .text("subscribe")), ("channel", .text("t"))])
        _ = try text.ask(#"{"id":1,"op":"subscribe","channel":"t"}"#)
        let answer = try self.ask(
            binary,
            [
                ("id", .number(2)), ("op", .text("write")), ("topic", .text("t")), ("key", .bytes([0xFF])),
                ("value", .bytes([0, 1])),
            ])
        #expect(answer.contains(#""ok":{"partition":0,"offset":0,"#))
        // The push came in front of the answer or behind it; the same record, in both formats.
        #expect(answer.contains(#"{"channel":"t","records":[{"partition":0,"offset":0,"#))
        #expect(
            answer.contains(#""key":{"base64":"/w=="},"value":{"base64":"AAE="},"headers":"#)
                || answer.contains(#""key":{"base64":"/w=="},"value":{"base64":"AAE="}"#))
        #expect(try text.frames().joined().contains(#""key_base64":"/w==","base64":"AAE=""#))
        try bench.write("t", [#"{"n":1}"#])
        let push = try self.answers(binary)
        #expect(
            push.count == 1 && push[0].contains(#""value":{"base64":"eyJuIjoxfQ=="}"#)
                && push[0].contains(#""cursor":""#))
        let read = try self.ask(binary, [("id", .number(3)), ("op", .text("read")), ("channel", .text("t"))])
        #expect(read.hasPrefix(#"{"id":3,"ok":{"records":[{"#) && read.contains(#""recovered":true"#))
        #expect(read.contains(#""value":{"base64":"eyJuIjoxfQ=="}"#))
        #expect(try self.ask(binary, [("id", .number(4)), ("op", .text("dance"))]).contains("unknown_operation"))
        // The past, too.
        let late = try self.client(bench)
        _ = try self.ask(
            late,
            [("id", .number(1)), ("op", .text("subscribe")), ("channel", .text("t")), ("from", .text("earliest"))])
        bench.run()
        try bench.write("t", ["x"])
        #expect(try self.answers(late).joined().contains(#""value":{"base64":"eA=="}"#))
        try late.send(1, Array("{}".utf8))
        #expect(try late.frames().last == "close 1003")
    }

    @Test("each format is encoded once, and only where somebody wants it")
    func formats() throws {
        let channel = try EdgeChannel("t")
        let seal = CursorSeal(
            keys: CursorKeys(current: Array(repeating: 1, count: 32)), topic: TopicID(high: 1, low: 2),
            selection: .everything)
        let cursor = SealedCursor(.whole([.zero]), by: seal)
        let record = EdgeRecord(
            partition: PartitionIndex(rawValue: 0), offset: .zero, timestamp: .none, key: nil, value: nil)
        let both = Push(channel, [record], cursor, as: [.json, .cbor])
        #expect(both.byteCount == both.body(in: .json).readableBytes + both.body(in: .cbor).readableBytes)
        #expect(Push(channel, [record], cursor, as: [.cbor]).byteCount == both.body(in: .cbor).readableBytes)
        #expect(self.json(Array(buffer: both.body(in: .cbor))).contains(#""deleted":true"#))
        #expect(
            SubscriberID(number: 5, format: .cbor).format == .cbor && SubscriberID(number: 5, format: .cbor).number == 5
        )
        #expect(SubscriberID(rawValue: 7).format == .json)
    }

    @Test("pushes are compressed for those who offered it, and what they send is read")
    func compressed() throws {
        let bench = try EdgeBench { _ in }
        let plain = try bench.webSocket([("Sec-WebSocket-Extensions", "permessage-deflate")])
        #expect(!plain.answer.contains("Extensions"))
        let pressing = try EdgeBench(mayDeflate: true)
        try pressing.create("t")
        let client = try pressing.webSocket([("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")]
        )
        #expect(client.answer.contains("Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover"))
        _ = try client.ask(#"{"id":1,"op":"connect"}"#)
        let ask = ByteBuffer(string: #"{"id":2,"op":"subscribe","channel":"t"}"# + String(repeating: " ", count: 300))
        let wire = try #require(MessageDeflate.deflated(ask))
        try client.send(0x41, Array(buffer: wire))
        #expect(try client.frames().first?.hasPrefix(#"{"id":2,"ok""#) == true)
        let text = String(repeating: "lorem ipsum ", count: 100)
        try pressing.write("t", [text])
        #expect(try client.records() == ["0:0=\(text)"])
    }
}
