import ApusCore
import ApusFakes
import NIOCore
import Testing

@testable import WebFormats

@Suite("JSON that is checked and not built")
struct JSONScannerTests {
    private func scan(_ text: String) throws(JSONFault) -> JSONValue { try JSONValue(ByteBuffer(string: text)) }

    private func scan(bytes: [UInt8]) throws(JSONFault) -> JSONValue { try JSONValue(ByteBuffer(bytes: bytes)) }

    @Test(
        "values of each kind are found, blanks around them aside",
        arguments: [
            ("null", JSONKind.null), ("true", .boolean), ("false", .boolean), ("0", .number), ("-0.5e+10", .number),
            ("1E9", .number), (#""""#, .string), (#""a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00é😀""#, .string),
            ("[]", .array), ("[ ]", .array), ("[1,[2,[]],{}]", .array), ("{}", .object),
            (#"{ "a" : [ { "b" : null } , true ] , "a" : 1 }"#, .object), ("1e99999", .number),
        ]
    )
    func values(text: String, kind: JSONKind) throws {
        let value = try self.scan(" \t\r\n\(text)\n ")
        #expect(value.kind == kind)
        #expect(String(buffer: value.bytes) == text)
    }

    @Test(
        "what some readers forgive is refused, by name",
        arguments: [
            ("", JSONFault.truncated), ("  ", .truncated), ("nul", .truncated), ("nulL", .unexpected(at: 3)),
            ("[1,]", .unexpected(at: 3)), ("[,1]", .unexpected(at: 1)), ("{,}", .unexpected(at: 1)),
            (#"{"a":1,}"#, .unexpected(at: 7)), (#"{"a"}"#, .unexpected(at: 4)), (#"{a:1}"#, .unexpected(at: 1)),
            ("01", .trailing(at: 1)), ("-", .truncated), ("+1", .unexpected(at: 0)), ("1.", .truncated),
            (".5", .unexpected(at: 0)), ("1e", .truncated), ("1e+x", .unexpected(at: 3)), ("NaN", .unexpected(at: 0)),
            ("[1}", .unexpected(at: 2)), (#"{"a":1]"#, .unexpected(at: 6)), ("[", .truncated),
            ("1 2", .trailing(at: 2)),
            ("]", .unexpected(at: 0)), (#""a"#, .truncated), (#""\x""#, .unexpected(at: 2)),
            ("\"\n\"", .unexpected(at: 1)),
            ("\"\u{0}\"", .unexpected(at: 1)), (#""\u12g4""#, .unexpected(at: 5)), (#""\u12"#, .truncated),
            ("/**/1", .unexpected(at: 0)), ("{} {}", .trailing(at: 3)), (#""\"#, .truncated),
            (#"{"a" 1}"#, .unexpected(at: 5)),
        ]
    )
    func refused(text: String, fault: JSONFault) {
        #expect(throws: fault) { try self.scan(text) }
    }

    @Test(
        "half of a surrogate pair is no character",
        arguments: [#""\ud800""#, #""\udc00""#, #""\ud800\u0041""#, #""\ud800x""#, #""\ud800\n""#, #""\udfff\ud800""#]
    )
    func loneSurrogates(text: String) {
        #expect(throws: JSONFault.loneSurrogate(at: 1)) { try self.scan(text) }
    }

    @Test(
        "bytes that are not UTF-8 are refused where they stand",
        arguments: [
            [0x80], [0xC0, 0x80], [0xC1, 0xBF], [0xE0, 0x80, 0x80], [0xED, 0xA0, 0x80], [0xF0, 0x80, 0x80, 0x80],
            [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xFF], [0xC3, 0x28], [0xE2, 0x82, 0x28], [0xC3],
        ] as [[UInt8]]
    )
    func notUTF8(bytes: [UInt8]) {
        #expect(throws: JSONFault.notUTF8(at: 1)) { try self.scan(bytes: [0x22] + bytes + [0x22]) }
        #expect(!UTF8Text.holds(ByteBuffer(bytes: bytes)))
    }

    @Test("64 levels are taken, the 65th is not, and 100,000 cost no stack")
    func depth() throws {
        let max = Limits.edgeJSONDepthMax
        for (open, close) in [("[", "]"), (#"{"a":"#, "}")] {
            let deep = String(repeating: open, count: max) + "1" + String(repeating: close, count: max)
            #expect(try self.scan(deep).bytes.readableBytes == deep.utf8.count)
            #expect(throws: JSONFault.tooDeep(at: max * open.utf8.count)) { try self.scan(open + deep + close) }
            #expect(throws: JSONFault.tooDeep(at: max * open.utf8.count)) {
                try self.scan(String(repeating: open, count: 100_000))
            }
        }
        // Levels of both kinds must not be taken for each other when they close.
        let mixed = String(repeating: #"[{"a":"#, count: max / 2) + "1" + String(repeating: "}]", count: max / 2)
        #expect(try self.scan(mixed).kind == .array)
        #expect(throws: JSONFault.self) { try self.scan(mixed.replacing("}]", with: "]}")) }
    }

    @Test("only line breaks between tokens are told")
    func lineBreaks() throws {
        #expect(try self.scan("\n[1,\t2]\n").breaksLines == false)
        #expect(try self.scan("[1,\n2]").breaksLines)
        #expect(try self.scan("{\"a\":\r1}").breaksLines)
        #expect(try self.scan(#"["\n"]"#).breaksLines == false)
        let elements = try self.scan("[[1,\n2],[3],\n4]").elements(max: 3)
        #expect(elements.map(\.breaksLines) == [true, false, false])
    }

    @Test("members are read by name, and two of one name are refused however they are spelled")
    func members() throws {
        let object = try self.scan(#"{ "a" : 1, "\u0062" : "x\ny", "c":{"d":1,"d":2}, "e":[true, null ] }"#).object()
        #expect(object.members.map(\.name) == ["a", "b", "c", "e"])
        #expect(object["a"]?.integer == 1)
        #expect(object["b"]?.text == "x\ny")
        #expect(object["f"] == nil)
        #expect(try object["e"]?.elements(max: 2).map(\.boolean) == [true, nil])
        #expect(throws: JSONFault.duplicateName("d")) { try object["c"]?.object() }
        #expect(throws: JSONFault.duplicateName("a")) { try self.scan(#"{"a":1,"\u0061":2}"#).object() }
        #expect(throws: JSONFault.notA(.object)) { try self.scan("[]").object() }
        #expect(throws: JSONFault.notA(.array)) { try self.scan("{}").elements(max: 1) }
        #expect(throws: JSONFault.tooMany(limit: 1)) { try self.scan("[1,2]").elements(max: 1) }
        let many = (0...Limits.edgeJSONMembersMax).map { "\"\($0)\":0" }.joined(separator: ",")
        #expect(throws: JSONFault.tooMany(limit: Limits.edgeJSONMembersMax)) { try self.scan("{\(many)}").object() }
    }

    @Test(
        "whole numbers are those that fit into 64 bits",
        arguments: [
            ("0", 0), ("-0", 0), ("9223372036854775807", Int64.max), ("-9223372036854775808", Int64.min),
            ("9223372036854775808", nil), ("1.0", nil), ("1e3", nil), (#""1""#, nil),
        ] as [(String, Int64?)]
    )
    func integers(text: String, value: Int64?) throws {
        #expect(try self.scan(text).integer == value)
    }

    @Test("what is made of values is JSON, and its every beginning is none", arguments: 0..<40 as Range<UInt64>)
    func generated(seed: UInt64) throws {
        var generator = SplitMix64(seed: seed)
        let text = JSONMaker.value(&generator, depth: 0)
        let value = try self.scan(text)
        #expect(String(buffer: value.bytes) == text)
        guard value.kind != .number else { return }
        for count in text.utf8.indices {
            #expect(throws: JSONFault.self) { try self.scan(String(text.utf8[..<count]) ?? "") }
        }
    }

    @Test("damaged JSON never traps, and what passes still has only one end", arguments: 0..<200 as Range<UInt64>)
    func damaged(seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        var bytes = Array(JSONMaker.value(&generator, depth: 0).utf8)
        for _ in 0...generator.below(3) where !bytes.isEmpty {
            let place = generator.below(bytes.count)
            switch generator.below(3) {
            case 0: bytes[place] = UInt8(truncatingIfNeeded: generator.next())
            case 1: bytes.remove(at: place)
            default: bytes.insert(contentsOf: bytes[place...].prefix(1 + generator.below(4)), at: place)
            }
        }
        guard let value = try? self.scan(bytes: bytes) else { return }
        // A reader that finds the end of the value elsewhere would be led astray by what follows.
        let list = ByteBuffer(bytes: Array("[".utf8) + Array(buffer: value.bytes) + Array(",7]".utf8))
        let elements = try? JSONValue(list).elements(max: 2)
        #expect(elements?.first?.bytes == value.bytes)
        #expect(elements?.last?.integer == 7)
    }
}

/// JSON by chance.
enum JSONMaker {
    static func value(_ generator: inout SplitMix64, depth: Int) -> String {
        switch generator.below(depth < 4 ? 7 : 5) {
        case 0: return ["null", "true", "false"][generator.below(3)]
        case 1: return "\(Int32(truncatingIfNeeded: generator.next()))"
        case 2: return "-\(generator.below(1000)).\(generator.below(1000))e-\(generator.below(30))"
        case 3, 4: return self.string(&generator)
        case 5:
            return "["
                + (0..<generator.below(4)).map { _ in self.value(&generator, depth: depth + 1) }.joined(separator: ", ")
                + "]"
        default:
            let members = (0..<generator.below(4)).map { _ in
                self.string(&generator) + ":" + self.value(&generator, depth: depth + 1)
            }
            return "{" + members.joined(separator: ",") + "}"
        }
    }

    static func string(_ generator: inout SplitMix64) -> String {
        let pieces = ["a", "é", "😀", "\\n", "\\\"", "\\\\", "\\u20ac", "\\ud83d\\ude00", "/", " ", "{", "]", ",", ":"]
        return "\"" + (0..<generator.below(6)).map { _ in pieces[generator.below(pieces.count)] }.joined() + "\""
    }
}
