import ApusCore
import ApusFakes
import NIOCore
import Testing
import WebFormats

@testable import EdgeDoor

@Suite("What edge clients ask for")
struct OperationTests {
    private func line(_ text: String) -> ClientLine { ClientLine(ByteBuffer(string: text)) }

    private func operation(_ text: String) throws -> ClientOperation {
        guard case .request(_, let operation) = self.line(text) else {
            Issue.record("refused: \(self.line(text))")
            throw Problem(.internal, text)
        }
        return operation
    }

    private func problem(_ text: String) -> Problem? {
        if case .refused(_, let problem) = self.line(text) { problem } else { nil }
    }

    @Test("the smallest dialogue is read")
    func smallest() throws {
        #expect(self.line(#"{"id":1,"op":"connect"}"#) == .request(RequestID(rawValue: 1), .connect(.init())))
        let news = try EdgeChannel("news")
        #expect(
            self.line(#"{"id":2,"op":"subscribe","channel":"news"}"#)
                == .request(
                    RequestID(rawValue: 2),
                    .subscribe(.init(channel: news, start: .latest, credit: nil, whenSlow: .skip))))
        #expect(self.line(#"{"op":"flow","channel":"news","credit":200}"#) == .request(nil, .flow(news, credit: 200)))
        #expect(self.line(" \r") == .pong)
    }

    @Test("every operation is read with its fields")
    func all() throws {
        let chat = try EdgeChannel("chat/u1")
        let partition = PartitionIndex(rawValue: 3)
        #expect(
            try self.operation(#"{"op":"connect","token":"t","client":"web/1.4"}"#)
                == .connect(.init(token: "t", client: "web/1.4")))
        #expect(
            try self.operation(#"{"op":"subscribe","channel":"chat/u1","from":"-10","credit":5,"slow":"close"}"#)
                == .subscribe(.init(channel: chat, start: .beforeEnd(10), credit: 5, whenSlow: .close)))
        #expect(try self.operation(#"{"op":"unsubscribe","channel":"chat/u1"}"#) == .unsubscribe(chat))
        #expect(
            try self.operation(
                #"{"op":"create","topic":"t","partitions":3,"replication":1,"config":{"a":"b","c":5,"d":true}}"#)
                == .create(
                    .init(topic: "t", partitions: 3, replication: 1, configuration: ["a": "b", "c": "5", "d": "true"])))
        #expect(try self.operation(#"{"op":"delete_topic","topic":"t"}"#) == .deleteTopic("t"))
        #expect(
            try self.operation(#"{"op":"read","channel":"chat/u1","from":7,"partition":3,"limit":9}"#)
                == .read(.init(channel: chat, start: .offset(Offset(rawValue: 7)), partition: partition, recordsMax: 9))
        )
        #expect(try self.operation(#"{"op":"seek","channel":"chat/u1","from":"start"}"#) == .seek(chat, .earliest))
        #expect(try self.operation(#"{"op":"ping"}"#) == .ping)
    }

    @Test("cursors come alone or with the steps since")
    func cursors() throws {
        let news = try EdgeChannel("news")
        for (text, cursors) in [(#""abc""#, ["abc"]), (#"["abc","d"]"#, ["abc", "d"])] {
            #expect(
                try self.operation(#"{"op":"seek","channel":"news","cursor":\#(text)}"#)
                    == .seek(news, .cursors(cursors.map { ByteBuffer(string: $0) })))
        }
        for text in ["[]", "5", "[5]", "{}", #"["a",null]"#] {
            #expect(self.problem(#"{"op":"seek","channel":"news","cursor":\#(text)}"#)?.code == .invalidRequest)
        }
        #expect(self.problem(#"{"op":"seek","channel":"news","cursor":"a","from":"end"}"#)?.code == .invalidRequest)
        #expect(self.problem(#"{"op":"seek","channel":"news"}"#)?.detail == "seek needs 'from' or 'cursor'")
    }

    @Test(
        "a start is one of those that there are",
        arguments: [
            ("earliest", StartPoint.earliest), ("start", .earliest), ("latest", .latest), ("end", .latest),
            ("0", .offset(.zero)), ("9223372036854775807", .offset(Offset(rawValue: .max))), ("-100", .beforeEnd(100)),
            ("@1763632800000", .time(Timestamp(rawValue: 1_763_632_800_000))),
            ("@2025-11-20T10:00:00Z", .time(Timestamp(rawValue: 1_763_632_800_000))), ("last value", .lastValues),
            ("", nil), ("-", nil), ("@", nil), ("--1", nil), ("+5", nil), ("9223372036854775808", nil), ("1.5", nil),
            ("@yesterday", nil), ("End", nil), ("é", nil), ("1\n", nil),
        ] as [(String, StartPoint?)]
    )
    func starts(text: String, start: StartPoint?) {
        #expect(StartPoint(text) == start)
    }

    @Test(
        "what can not be asked for is refused with the id and the code",
        arguments: [
            (#"{"id":7}"#, ProblemCode.invalidRequest), (#"{"id":7,"op":5}"#, .invalidRequest),
            (#"{"id":7,"op":"dance"}"#, .unknownOperation), (#"{"id":7,"op":"ping","x":1}"#, .invalidRequest),
            (#"{"id":7,"op":"subscribe"}"#, .invalidRequest),
            (#"{"id":7,"op":"subscribe","channel":"a b"}"#, .invalidChannel),
            (#"{"id":7,"op":"subscribe","channel":"a","form":"end"}"#, .invalidRequest),
            (#"{"id":7,"op":"subscribe","channel":"a","from":"soon"}"#, .invalidRequest),
            (#"{"id":7,"op":"subscribe","channel":"a","credit":0}"#, .invalidRequest),
            (#"{"id":7,"op":"subscribe","channel":"a","credit":1e3}"#, .invalidRequest),
            (#"{"id":7,"op":"subscribe","channel":"a","slow":"never"}"#, .invalidRequest),
            (#"{"id":7,"op":"create","topic":"../x"}"#, .invalidRequest),
            (#"{"id":7,"op":"create","topic":"x","partitions":10001}"#, .invalidRequest),
            (#"{"id":7,"op":"create","topic":"x","config":{"a":[]}}"#, .invalidRequest),
            (#"{"id":7,"op":"create","topic":"x","config":{"a":1,"a":2}}"#, .invalidJSON),
            (#"{"id":7,"op":"read","channel":"x","partition":-1}"#, .invalidRequest),
            (#"{"id":7,"op":"retract","channel":"x"}"#, .unknownOperation),
            (#"{"id":7,"op":"write","topic":"t"}"#, .invalidRecord),
        ]
    )
    func refused(text: String, code: ProblemCode) {
        guard case .refused(let id, let problem) = self.line(text) else {
            Issue.record("taken: \(text)")
            return
        }
        #expect(id == RequestID(rawValue: 7))
        #expect(problem.code == code)
    }

    @Test(
        "what is no object with an id is refused without one",
        arguments: [
            "[]", "5", "{", #"{"id":1,"id":2,"op":"ping"}"#, #"{"id":-1,"op":"ping"}"#, #"{"id":"1","op":"ping"}"#,
            #"{"id":9007199254740992,"op":"ping"}"#, #"{"id":1.0,"op":"ping"}"#, #"{"op":"ping"} x"#, "\u{0}",
            #"{"op":"\ud800"}"#,
        ]
    )
    func noID(text: String) {
        guard case .refused(nil, _) = self.line(text) else {
            Issue.record("taken, or under an id: \(text)")
            return
        }
    }

    @Test("a message holds several lines, and an end of its own")
    func lines() {
        let ping = ClientLine.request(nil, .ping)
        func lines(_ text: String) -> [ClientLine] { ClientLine.lines(of: ByteBuffer(string: text)) }
        #expect(lines("") == [.pong])
        #expect(lines("\n") == [.pong])
        #expect(lines(#"{"op":"ping"}"#) == [ping])
        #expect(lines("{\"op\":\"ping\"}\r\n{\"op\":\"ping\"}\n") == [ping, ping])
        #expect(lines("{\"op\":\"ping\"}\n\n{\"op\":\"ping\"}") == [ping, .pong, ping])
        let many = lines(String(repeating: "\n", count: Limits.edgeLinesPerMessageMax + 50))
        #expect(many.count == Limits.edgeLinesPerMessageMax + 1)
        guard case .refused(nil, let problem) = many.last else {
            Issue.record("lines without end are taken")
            return
        }
        #expect(problem.code == .tooMany)
        let large = ClientLine.lines(of: ByteBuffer(repeating: 0x20, count: Limits.edgeMessageBytesMax.rawValue + 1))
        #expect(large.count == 1 && large != [.pong])
    }

    @Test(
        "any bytes are read to an end, and damaged operations are refused or well formed",
        arguments: 0..<300 as Range<UInt64>)
    func hostile(seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        let seeds = [
            #"{"id":5,"op":"subscribe","channel":"chat/u%20*","from":"-10","credit":5,"slow":"close"}"#,
            #"{"op":"write","topic":"t","key":"\u00e9","value":{"a":[1,2]},"headers":[["a",{"base64":"/w=="}]]}"#,
            "{\"op\":\"read\",\"channel\":\"x\",\"partition\":1,\"from\":9223372036854775807}\n\n{\"op\":\"ping\"}",
        ]
        var bytes = Array(seeds[generator.below(seeds.count)].utf8)
        for _ in 0...generator.below(4) where !bytes.isEmpty {
            let place = generator.below(bytes.count)
            switch generator.below(3) {
            case 0: bytes[place] = UInt8(truncatingIfNeeded: generator.next())
            case 1: bytes.removeSubrange(place..<min(bytes.count, place + 1 + generator.below(5)))
            default: bytes.insert(contentsOf: bytes[place...].prefix(1 + generator.below(20)), at: place)
            }
        }
        let lines = ClientLine.lines(of: ByteBuffer(bytes: bytes))
        #expect(!lines.isEmpty)
        for case .refused(let id, let problem) in lines {
            // Whatever was quoted in it, the answer is one line of JSON.
            let answer = OperationReply.error(id, problem)
            #expect(!answer.readableBytesView.contains { $0 < 0x20 })
            #expect((try? JSONValue(answer))?.kind == .object)
        }
    }
}
