import ApusCore
import ApusFakes
import NIOCore
import Testing

@testable import EdgeDoor
@testable import WebFormats

@Suite("Records that are written and pushed")
struct WrittenRecordTests {
    private func record(_ fields: String) throws(Problem) -> WrittenRecord {
        let line = ClientLine(ByteBuffer(string: #"{"id":1,"op":"write","topic":"t",\#(fields)}"#))
        switch line {
        case .request(_, .write(let write)): return write.record
        case .refused(_, let problem): throw problem
        default: throw Problem(.internal, "not a write")
        }
    }

    private func json(_ record: EdgeRecord) -> String {
        var buffer = ByteBuffer()
        buffer.writeJSON(record)
        return String(buffer: buffer)
    }

    private func header(_ name: String, _ value: String?) -> WrittenRecord.Header {
        WrittenRecord.Header(name: name, value: value.map { ByteBuffer(string: $0) })
    }

    @Test("a value is written in the form it is given in, untouched")
    func values() throws {
        let json = try self.record(#""value": { "a" : [1.0e5, "\u00e9"] },"key":"k","partition":2,"timestamp":5"#)
        #expect(json.value == ByteBuffer(string: #"{ "a" : [1.0e5, "\u00e9"] }"#))
        #expect(json.key == ByteBuffer(string: "k") && json.headers == [])
        #expect(json.partition == PartitionIndex(rawValue: 2) && json.timestamp == Timestamp(rawValue: 5))
        #expect(try self.record(#""value":null"#).value == ByteBuffer(string: "null"))
        #expect(try self.record(#""text":"hi\n""#).value == ByteBuffer(string: "hi\n"))
        #expect(try self.record(#""base64":"/wA=","key_base64":"/w==""#).value == ByteBuffer(bytes: [0xFF, 0]))
        #expect(try self.record(#""base64":"","key_base64":"/w==""#).key == ByteBuffer(bytes: [0xFF]))
        #expect(try self.record(#""deleted":true,"key":"k""#).value == nil)
    }

    @Test("a type is added only where the value would come back in another form")
    func types() throws {
        let type = "content-type"
        #expect(try self.record(#""text":"hi""#).headers == [])
        #expect(try self.record(#""text":"42""#).headers == [self.header(type, "text/plain; charset=utf-8")])
        #expect(try self.record(#""base64":"/w==""#).headers == [])
        #expect(try self.record(#""base64":"aGk=""#).headers == [self.header(type, "application/octet-stream")])
        #expect(try self.record(#""text":"42","type":"text/csv""#).headers == [self.header(type, "text/csv")])
        #expect(
            try self.record(#""value":1,"type":"a/b+json","headers":{"content-type":"x","b":"c"}"#).headers
                == [self.header("b", "c"), self.header(type, "a/b+json")])
    }

    @Test("headers are an object, or pairs where a name stands twice")
    func headers() throws {
        #expect(
            try self.record(#""text":"","headers":{"a":"b","c":null}"#).headers == [
                self.header("a", "b"), self.header("c", nil),
            ])
        let pairs = try self.record(#""text":"","headers":[["a","b"],["a",{"base64":"/w=="}],["c",null]]"#)
        #expect(pairs.headers.map(\.name) == ["a", "a", "c"])
        #expect(pairs.headers[1].value == ByteBuffer(bytes: [0xFF]))
    }

    @Test(
        "what is no record is refused",
        arguments: [
            #""key":"k""#, #""value":1,"text":"a""#, #""base64":"!""#, #""deleted":false"#, #""deleted":null"#,
            #""text":5"#,
            #""text":null"#, #""text":"","key":"a","key_base64":"YQ==""#, #""text":"","key_base64":"a""#,
            #""text":"","key":5"#,
            #""text":"","headers":5"#, #""text":"","headers":[5]"#, #""text":"","headers":[["a"]]"#,
            #""text":"","headers":[["a","b","c"]]"#, #""text":"","headers":{"a":5}"#,
            #""text":"","headers":{"a":{"base64":5}}"#,
            #""text":"","partition":-1"#, #""text":"","timestamp":-1"#, #""value":"\ud800""#,
        ]
    )
    func refused(fields: String) {
        #expect(throws: Problem.self) { try self.record(fields) }
    }

    @Test("a pushed record has its key, value, type and headers in their forms")
    func pushed() {
        let plain = EdgeRecord(
            partition: PartitionIndex(rawValue: 1), offset: Offset(rawValue: 8), timestamp: Timestamp(rawValue: 5),
            key: ByteBuffer(string: "u1"), value: ByteBuffer(string: #"{"t":"hi"}"#)
        )
        #expect(self.json(plain) == #"{"partition":1,"offset":8,"timestamp":5,"key":"u1","value":{"t":"hi"}}"#)
        let bare = EdgeRecord(
            partition: PartitionIndex(rawValue: 0), offset: .zero, timestamp: .none, key: ByteBuffer(bytes: [0xFF]),
            value: nil,
            headers: [self.header("Content-Type", "text/plain")]
        )
        #expect(
            self.json(bare) == #"{"partition":0,"offset":0,"key_base64":"/w==","deleted":true,"type":"text/plain"}"#)
        let full = EdgeRecord(
            partition: PartitionIndex(rawValue: 0), offset: .zero, timestamp: .none, key: nil,
            value: ByteBuffer(string: "42"),
            headers: [
                self.header("a\n", "\u{1b}"), self.header("content-type", "text/plain"), self.header("a\n", nil),
                WrittenRecord.Header(name: "b", value: ByteBuffer(bytes: [0xFF])),
            ]
        )
        #expect(
            self.json(full)
                == #"{"partition":0,"offset":0,"text":"42","type":"text/plain","#
                + #""headers":[["a\n","\u001B"],["a\n",null],["b",{"base64":"/w=="}]]}"#
        )
    }

    private func bytes(_ generator: inout SplitMix64) -> ByteBuffer {
        let pieces: [[UInt8]] = [
            [0x0A], [0x0D], [0x00], [0x1B], [0x22], [0x5C], [0xFF], [0xC2, 0x9B], [0xE2, 0x80, 0xA8],
            Array("data: ".utf8),
            Array("[1,\n2]".utf8), Array("{}".utf8), Array("42".utf8), Array("\n\nevent: x\n".utf8), Array("é".utf8),
        ]
        return ByteBuffer(bytes: (0..<generator.below(5)).flatMap { _ in pieces[generator.below(pieces.count)] })
    }

    @Test(
        "whatever a record holds, its push is one line, and its event has the lines that we gave it",
        arguments: 0..<200 as Range<UInt64>)
    func injection(seed: UInt64) throws {
        var generator = SplitMix64(seed: seed)
        let key = self.bytes(&generator)
        let records = (0...generator.below(3)).map { index in
            EdgeRecord(
                partition: PartitionIndex(rawValue: 0), offset: Offset(rawValue: Int64(index)),
                timestamp: Timestamp(rawValue: 1),
                key: key, value: self.bytes(&generator),
                headers: generator.isOne(in: 2)
                    ? []
                    : [
                        WrittenRecord.Header(
                            name: String(buffer: self.bytes(&generator)), value: self.bytes(&generator)),
                        WrittenRecord.Header(name: "content-type", value: self.bytes(&generator)),
                    ]
            )
        }
        let channel = try EdgeChannel("t/\(ChannelEscapes.written(key))*")
        let seal = CursorSeal(
            keys: CursorKeys(current: Array(repeating: 1, count: 32)), topic: TopicID(high: 1, low: 1),
            selection: channel.selection)
        let isStep = generator.isOne(in: 2)
        let end = Offset(rawValue: Int64(records.count))
        let cursor: EdgeCursor = isStep ? .step(PartitionIndex(rawValue: 0), since: .zero, next: end) : .whole([end])
        let push = Push(channel, records, SealedCursor(cursor, by: seal))
        #expect(!push.body.readableBytesView.contains { $0 < 0x20 })

        let object = try JSONValue(push.body).object()
        #expect(object.members.map(\.name) == ["channel", "records", isStep ? "step" : "cursor"])
        #expect(object["channel"]?.text == channel.description)
        let elements = try #require(object["records"]).elements(max: 4)
        #expect(elements.count == records.count)
        for (element, record) in zip(elements, records) { try self.expect(element, is: record) }

        var stream = ByteBuffer()
        EventStream.write(push, into: &stream)
        EventStream.write(.lagging(channel, [], SealedCursor(cursor, by: seal)), into: &stream)
        let lines = String(buffer: stream).split(omittingEmptySubsequences: false) {
            $0 == "\n" || $0 == "\r" || $0 == "\r\n"
        }
        let fields = lines.map { $0.prefix { $0 != ":" } }
        #expect(fields == (isStep ? [] : ["id"]) + ["data", "", "event", "data", "", ""])
    }

    /// The bytes come back from the form they went out in.
    private func expect(_ element: JSONValue, is record: EdgeRecord) throws {
        let fields = try element.object()
        #expect(fields["offset"]?.integer == record.offset.rawValue)
        let key = fields["key"]?.textBytes ?? fields["key_base64"]?.textBytes.flatMap { Base64.standard.decoded($0) }
        #expect(key == record.key)
        let text = fields["text"]?.textBytes ?? fields["base64"]?.textBytes.flatMap { Base64.standard.decoded($0) }
        let value = text ?? fields["value"]?.bytes
        let expected = record.value.map { ByteBuffer(bytes: $0.readableBytesView) }
        if fields["value"] == nil {
            #expect(value == expected)
        } else {
            let blanked = expected.map {
                ByteBuffer(bytes: $0.readableBytesView.map { $0 == 0x0A || $0 == 0x0D ? 0x20 : $0 })
            }
            let trimmed = blanked.map { String(buffer: $0).filter { $0 != " " } }
            #expect(value.map { String(buffer: $0).filter { $0 != " " } } == trimmed)
        }
    }

    @Test("a line of an event stream has no end within, whoever made it")
    func lines() {
        var stream = ByteBuffer(string: "data: ")
        EventStream.write(line: ByteBuffer(string: "a\nb\rc\u{0}d"), into: &stream)
        #expect(String(buffer: stream) == "data: a b c d\n")
        stream.clear()
        EventStream.write(retryIn: .milliseconds(2500), into: &stream)
        EventStream.writeKeepAlive(into: &stream)
        #expect(String(buffer: stream) == "retry: 2500\n\n:\n\n")
    }
}
