import ApusCore
import NIOCore
import Testing
import WebFormats

@testable import EdgeDoor

@Suite("What edge clients are answered")
struct ReplyTests {
    private let id = RequestID(rawValue: 4)
    private let partition = PartitionIndex(rawValue: 1)

    private func ok(_ result: OperationResult) -> String { String(buffer: OperationReply.ok(self.id, result)) }

    private func cursor(_ channel: EdgeChannel) -> SealedCursor {
        let keys = CursorKeys(current: Array(repeating: 1, count: 32))
        let seal = CursorSeal(keys: keys, topic: TopicID(high: 1, low: 1), selection: channel.selection)
        return SealedCursor(.whole([Offset(rawValue: 7)]), by: seal)
    }

    @Test("results are told under the request's id")
    func results() throws {
        let channel = try EdgeChannel("chat/a\"b")
        let cursor = self.cursor(channel)
        let text = String(buffer: cursor.text)
        #expect(
            self.ok(.connected(connection: "c9", ping: .seconds(25)))
                == #"{"id":4,"ok":{"conn":"c9","ping":25000,"max_message":1048576}}"#)
        #expect(
            self.ok(.subscribed(channel, cursor, []))
                == #"{"id":4,"ok":{"channel":"chat/a\"b","cursor":"\#(text)","recovered":true}}"#)
        let gaps: [ResumeGap] = [
            .expired(self.partition, from: Offset(rawValue: 3), to: Offset(rawValue: 5)),
            .beyondEnd(self.partition, position: Offset(rawValue: 9), end: Offset(rawValue: 7)),
        ]
        #expect(
            self.ok(.read([], cursor, gaps))
                == #"{"id":4,"ok":{"records":[],"cursor":"\#(text)","recovered":false,"#
                + #""missing":[{"partition":1,"from":3,"to":5}],"beyond_end":[{"partition":1,"from":7,"to":9}]}}"#)
        #expect(self.ok(.unsubscribed(channel)) == #"{"id":4,"ok":{"channel":"chat/a\"b"}}"#)
        #expect(self.ok(.created(topic: "t", partitions: 3)) == #"{"id":4,"ok":{"topic":"t","partitions":3}}"#)
        #expect(
            self.ok(.written(self.partition, Offset(rawValue: 7), Timestamp(rawValue: 9)))
                == #"{"id":4,"ok":{"partition":1,"offset":7,"timestamp":9}}"#)
        #expect(self.ok(.deleted(topic: "t")) == #"{"id":4,"ok":{"topic":"t"}}"#)
        #expect(self.ok(.pong) == #"{"id":4,"ok":{}}"#)
    }

    @Test("problems have the members of RFC 9457, and what a program asks for")
    func problems() {
        let problem = Problem(.topicNotFound, "no topic 'a\r\n'", hint: "create it")
        #expect(
            String(buffer: OperationReply.error(self.id, problem))
                == #"{"id":4,"error":{"type":"/errors/topic_not_found","title":"Topic not found","status":404,"#
                + #""detail":"no topic 'a\r\n'","code":"topic_not_found","kafka_error":3,"retryable":false,"#
                + #""hint":"create it"}}"#
        )
        #expect(
            String(buffer: OperationReply.error(nil, Problem(.tooSlow, "x")))
                == #"{"error":{"type":"/errors/too_slow","title":"Reader too slow","status":429,"detail":"x","#
                + #""code":"too_slow","retryable":true}}"#)
    }

    @Test("every code has a status that fits, and words that need no escape", arguments: ProblemCode.allCases)
    func codes(code: ProblemCode) throws {
        #expect((400...599).contains(code.status))
        // Who asks wrongly is not helped by asking again.
        if code.isRetryable { #expect(code.status >= 429) }
        let reply = OperationReply.error(nil, Problem(code, "d"))
        let fields = try #require(try JSONValue(reply).object()["error"]).object()
        #expect(fields["code"]?.text == code.rawValue && fields["title"]?.text == "\(code.title)")
    }

    @Test("events are told in one line, with what a client needs to act")
    func events() throws {
        func json(_ event: EdgeEvent) -> String {
            var buffer = ByteBuffer()
            buffer.writeJSON(event)
            return String(buffer: buffer)
        }
        let channel = try EdgeChannel("news")
        let cursor = self.cursor(channel)
        let missed = MissedRange(partition: self.partition, from: Offset(rawValue: 3), to: Offset(rawValue: 90))
        #expect(
            json(.lagging(channel, [missed], cursor))
                == #"{"event":"lagging","channel":"news","missing":[{"partition":1,"from":3,"to":90}],"#
                + #""cursor":"\#(String(buffer: cursor.text))"}"#)
        let all: [EdgeEvent] = [
            .lagging(channel, [], cursor), .gone(channel, []), .ended(channel, Problem(.internal, "x")),
            .moved(retryIn: .seconds(1)), .bye(.idle),
        ]
        #expect(all.map { "\($0.name)" } == EdgeEvent.names)
        #expect(json(.moved(retryIn: .milliseconds(1200))) == #"{"event":"moved","retry_in":1200}"#)
        #expect(
            json(.bye(.shuttingDown)) == #"{"event":"bye","code":4501,"reason":"shutting_down","reconnect":true}"#)
        #expect(try JSONValue(ByteBuffer(string: json(.ended(channel, Problem(.forbidden, "x"))))).kind == .object)
        for reason in CloseReason.allCases { #expect(reason.mayReconnect == (reason.rawValue >= 4500)) }
    }
}
