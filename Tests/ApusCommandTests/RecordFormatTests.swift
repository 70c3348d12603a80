import ApusCommand
import ApusCore
import NIOCore
import Testing

@Suite struct RecordFormatTests {
    private let record = ShownRecord(
        topic: "hello", partition: PartitionIndex(rawValue: 3), offset: Offset(rawValue: 42),
        timestamp: Timestamp(rawValue: 1_795_168_830_250), key: ByteBuffer(string: "k"),
        value: ByteBuffer(bytes: [0x76, 0xFF]),
        headers: [.init(name: "a", value: ByteBuffer(string: "1")), .init(name: "b", value: nil)]
    )

    private func printed(_ format: String) throws -> [UInt8] {
        var format = try RecordFormat(format)
        var output = ByteBuffer()
        format.write(self.record, into: &output)
        return Array(output.readableBytesView)
    }

    @Test(
        "each token stands for its part of the record",
        arguments: [
            ("%t[%p]@%o %k", "hello[3]@42 k"), ("%T %K %V %S %H %i", "5 1 2 2 2 1"), ("%d", "1795168830250"),
            ("%d{iso}", "2026-11-20T10:00:30.250Z"), ("%d{s}", "1795168830"), ("%e", "-1"),
            ("%a{compression} %a{timestamp-type}", "none -1"), ("%d{strftime[%F]}", "2026-11-20"),
            ("%v{hex}", "76ff"), ("%v{base64}", "dv8="), ("%k{hex}|%t{hex}", "6b|68656c6c6f"), ("%h", "a=1 b= "),
            ("%h{%k:%v{hex};}", "a:31;b:;"), ("100%%", "100%"), (#"a\tb\n\x41\\"#, "a\tb\nA\\"), ("", ""),
        ]
    )
    func tokens(format: String, expected: String) throws {
        #expect(try self.printed(format) == Array(expected.utf8))
    }

    @Test("a value is printed byte for byte")
    func bytes() throws {
        #expect(try self.printed("%v") == [0x76, 0xFF])
        #expect(try self.printed("%s") == [0x76, 0xFF])
    }

    @Test(
        "a format that can not be read is refused with the list of tokens",
        arguments: ["%", "%q", "%v{hex", "%v{rot13}", "%p{hex}", "%d{go}", "\\q", "%h{%h}", "%h{%k", "\\x4"]
    )
    func refusals(format: String) throws {
        let failure = try #require(throws: CommandFailure.self) { try RecordFormat(format) }
        #expect(failure.exit == .usage)
        #expect(failure.next?.contains("%t") == true || format.hasPrefix("\\"))
    }

    @Test("the count of printed records grows")
    func counting() throws {
        var format = try RecordFormat("%i\n")
        var output = ByteBuffer()
        for _ in 0..<3 { format.write(self.record, into: &output) }
        #expect(String(buffer: output) == "1\n2\n3\n")
    }

    @Test("the JSON envelope is that of kcat, and names the encoding")
    func envelope() {
        #expect(
            self.record.json().compact
                == #"{"topic":"hello","partition":3,"offset":42,"ts":1795168830250,"tstype":"unknown","#
                + #""headers":["a","1","b",null],"header_encodings":["utf8",null],"#
                + #""key":"k","key_encoding":"utf8","payload":"dv8=","#
                + #""value_encoding":"base64"}"#)
        #expect(
            self.record.json(metaOnly: true).compact
                == #"{"topic":"hello","partition":3,"offset":42,"ts":1795168830250,"tstype":"unknown","#
                + #""key_bytes":1,"value_bytes":2}"#)
    }

    @Test(
        "base64 pads as RFC 4648 says",
        arguments: [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
    )
    func base64(text: String, encoded: String) {
        #expect(Base64.encoded(text.utf8) == encoded)
    }

    @Test("escapes stand for bytes")
    func escapes() throws {
        #expect(try Escapes.bytes(#"a\n\x00\0\\"#) == [0x61, 0x0A, 0, 0, 0x5C])
        #expect(throws: CommandFailure.self) { try Escapes.bytes(#"\z"#) }
        #expect(throws: CommandFailure.self) { try Escapes.bytes("\\") }
        #expect(throws: CommandFailure.self) { try Escapes.bytes(#"\x+1"#) }
    }
}
