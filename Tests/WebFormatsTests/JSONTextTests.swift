import ApusFakes
import NIOCore
import Testing

@testable import WebFormats

@Suite("Text, bytes and records' values as JSON")
struct JSONTextTests {
    private func written(_ write: (inout ByteBuffer) -> Void) -> String {
        var buffer = ByteBuffer()
        write(&buffer)
        return String(buffer: buffer)
    }

    @Test("what a terminal, an event stream or a script could obey is escaped")
    func escapes() {
        let text = "a\"b\\c\r\n\t\u{0}\u{1b}[31m\u{7f}\u{9b}\u{2028}\u{2029}é😀/<"
        let json = self.written { $0.writeJSONString(text) }
        #expect(
            json == #""a\"b\\c\r\n\t\u0000\u001B[31m\u007F\u009B\u2028\u2029é😀/<""#
        )
    }

    @Test("a string comes back as it was, in one line", arguments: 0..<100 as Range<UInt64>)
    func roundTrip(seed: UInt64) throws {
        var generator = SplitMix64(seed: seed)
        let scalars = (0..<generator.below(40)).compactMap { _ in
            Unicode.Scalar(UInt32(generator.below([0x80, 0x100, 0x2100, 0x11_0000][generator.below(4)])))
        }
        var text = ""
        text.unicodeScalars.append(contentsOf: scalars)
        let json = self.written { $0.writeJSONString(text) }
        #expect(!json.utf8.contains { $0 < 0x20 || $0 == 0x7F })
        let value = try JSONValue(ByteBuffer(string: json))
        #expect(value.textBytes == ByteBuffer(string: text))
    }

    @Test("an escape that the scanner would refuse ends well all the same", arguments: 0..<100 as Range<UInt64>)
    func hostileEscapes(seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        let pieces = ["\\", "u", "d83d", "\\u", "\"", "0", "\\ude00", "\\ud800"]
        let text = (0..<generator.below(8)).map { _ in pieces[generator.below(pieces.count)] }.joined()
        let resolved = JSONEscapes.resolved(ByteBuffer(string: text))
        #expect(resolved.readableBytes <= text.utf8.count)
    }

    @Test(
        "base64 is that of RFC 4648",
        arguments: [
            ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ]
    )
    func base64(text: String, encoded: String) {
        #expect(Base64.standard.encoded(ByteBuffer(string: text)) == encoded)
        #expect(Base64.standard.decoded(ByteBuffer(string: encoded)) == ByteBuffer(string: text))
        let url = encoded.filter { $0 != "=" }
        #expect(Base64.url.encoded(ByteBuffer(string: text)) == url)
        #expect(Base64.url.decoded(ByteBuffer(string: url)) == ByteBuffer(string: text))
    }

    @Test(
        "base64 has one spelling",
        arguments: ["Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "Zm9v====", "Zm 9v", "Zm9v\n", "-_8=", "=", "===="]
    )
    func oneSpelling(text: String) {
        #expect(Base64.standard.decoded(ByteBuffer(string: text)) == nil)
    }

    @Test("bytes come back from both alphabets, and damage from neither unnoticed", arguments: 0..<50 as Range<UInt64>)
    func bytes(seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        let bytes = ByteBuffer(
            bytes: (0..<generator.below(70)).map { _ in UInt8(truncatingIfNeeded: generator.next()) })
        for base in [Base64.standard, .url] {
            var text = Array(base.encoded(bytes).utf8)
            #expect(base.decoded(ByteBuffer(bytes: text)) == bytes)
            guard !text.isEmpty else { continue }
            let place = generator.below(text.count)
            let old = text[place]
            text[place] = UInt8(truncatingIfNeeded: generator.next())
            if text[place] != old { #expect(base.decoded(ByteBuffer(bytes: text)) != bytes) }
        }
    }

    @Test(
        "a record's value goes out in the form that its bytes and its type ask for",
        arguments: [
            (#"{"a": 1}"#, nil, #"{"value":{"a": 1}}"#), ("42", nil, #"{"value":42}"#),
            ("42", "text/plain", #"{"text":"42"}"#), ("hello", nil, #"{"text":"hello"}"#), ("", nil, #"{"text":""}"#),
            ("{]", "application/json", #"{"text":"{]"}"#), ("{}", "image/png", #"{"base64":"e30="}"#),
            ("[1,\r\n2]", "application/cloudevents+json; charset=utf-8", #"{"value":[1,  2]}"#),
            ("x\ny", "Text/HTML; charset=utf-8", #"{"text":"x\ny"}"#), (#""\ud800""#, nil, #"{"text":"\"\\ud800\""}"#),
            ("null", "Application/JSON", #"{"value":null}"#),
        ] as [(String, String?, String)]
    )
    func contents(value: String, type: String?, json: String) {
        let content = RecordContent(of: ByteBuffer(string: value), type: type)
        #expect(
            self.written {
                $0.writeInteger(UInt8(ascii: "{"))
                $0.writeJSONMember(content)
                $0.writeInteger(UInt8(ascii: "}"))
            } == json
        )
    }

    @Test("bytes that are no text are base64, and no value is a deletion")
    func bytesAndDeletions() {
        let bytes = ByteBuffer(bytes: [0xFF, 0x00])
        for type in [nil, "text/plain", "application/json", "x"] {
            #expect(RecordContent(of: bytes, type: type) == .base64(bytes))
            #expect(RecordContent(of: nil, type: type) == .deleted)
        }
    }
}
