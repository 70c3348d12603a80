import ApusAccess
import ApusBroker
import ApusCore
import ApusPresence
import NIOCore
import Testing
import WebFormats

@testable import EdgeDoor

@Suite("Who is there, and who has seen what")
struct EdgePresenceTests {
    private func bench(_ settings: [String: String?] = ["apus.presence": "true"]) throws -> EdgeBench {
        let bench = try EdgeBench(loops: 2)
        try bench.create("news", settings)
        return bench
    }

    private func subscribe(_ client: BenchClient, _ channel: String, _ more: String = "") throws -> String {
        try #require(
            try client.ask(#"{"id":1,"op":"subscribe","channel":"\#(channel)"\#(more)}"#).first {
                $0.contains(#""id":1"#)
            })
    }

    /// The names of those who are in a channel, as a client is told them.
    private func members(_ client: BenchClient, _ channel: String = "news") throws -> [String] {
        let answer = try #require(try client.ask(#"{"id":7,"op":"presence","channel":"\#(channel)"}"#).first)
        let object = try JSONObject(ByteBuffer(string: answer))
        let page = try #require(object["ok"]).object()
        #expect(page["complete"]?.boolean == true)
        let members = try page["members"]?.elements(max: 1_000) ?? []
        return try members.map { try $0.object()["conn"]?.text ?? "" }
    }

    private func name(_ client: BenchClient, _ bench: EdgeBench, as name: String) throws -> String {
        let answer = try #require(try client.ask(#"{"id":0,"op":"connect","client":"\#(name)"}"#).first)
        return try #require(try JSONObject(ByteBuffer(string: answer))["ok"]?.object()["conn"]?.text)
    }

    /// `join c1`, `leave c1 closed`, …, from the log.
    private func events(_ bench: EdgeBench) throws -> [String] {
        try bench.values("__presence").compactMap { text in
            let object = try JSONObject(ByteBuffer(string: text))
            let reason = object["reason"]?.text.map { " \($0)" } ?? ""
            let seen = object["seen"].map { " " + String(buffer: $0.bytes) } ?? ""
            return "\(object["event"]?.text ?? "?") \(object["channel"]?.text ?? "?") "
                + "\(object["conn"]?.text ?? "?")\(reason)\(seen)"
        }
    }

    @Test("clients of sockets and streams are there while they are, on every loop")
    func comeAndGo() throws {
        let bench = try self.bench()
        let (one, two) = (try bench.webSocket(), try bench.webSocket(on: 1))
        let (first, second) = (try self.name(one, bench, as: "a"), try self.name(two, bench, as: "b"))
        _ = try self.subscribe(one, "news")
        _ = try self.subscribe(two, "news")
        _ = try self.subscribe(two, "news/key")
        let stream = try bench.client("/v1/stream?channel=news", on: 1)
        #expect(try stream.head().hasPrefix("HTTP/1.1 200"))
        bench.advance(.seconds(2))
        #expect(try self.members(one).count == 3)
        #expect(Set(try self.members(one)).isSuperset(of: [first, second]))
        #expect(try self.members(two, "news/key") == [second])
        _ = try two.ask(#"{"id":3,"op":"unsubscribe","channel":"news"}"#)
        stream.channel.close(promise: nil)
        one.channel.close(promise: nil)
        bench.advance(.seconds(2))
        #expect(try self.members(two) == [])
        let events = try self.events(bench)
        #expect(events.filter { $0.hasPrefix("join") }.count == 4)
        #expect(
            events.filter { $0.hasPrefix("leave") }.sorted()
                == [
                    "leave news \(first) closed", "leave news c\(3) closed", "leave news \(second) unsubscribed",
                ].sorted())
    }

    @Test("a topic that does not ask keeps nothing, and no topic of presence is made for it")
    func off() throws {
        let bench = try self.bench([:])
        let client = try bench.socket()
        _ = try self.subscribe(client, "news")
        bench.advance(.seconds(5))
        #expect(bench.broker.topics.topic(named: "__presence") == nil)
        let refusal = try #require(try client.ask(#"{"id":7,"op":"presence","channel":"news"}"#).first)
        #expect(refusal.contains("apus.presence"))
        let ack = try #require(try client.ask(#"{"id":8,"op":"ack","channel":"news","partition":0,"offset":0}"#).first)
        #expect(ack.contains("apus.receipts"))
    }

    @Test("who stays does not leave, however long it is quiet")
    func quiet() throws {
        let bench = try self.bench()
        let client = try bench.client("/v1/stream?channel=news")
        _ = try client.head()
        bench.advance(.seconds(120))
        #expect(try self.events(bench).count == 1)
    }

    @Test("a client that may read a channel may follow who comes and goes there, and no other")
    func follow() throws {
        let bench = try EdgeBench { $0.isAuthorizing = true }
        for topic in ["news", "secret"] { try bench.create(topic, ["apus.presence": "true"]) }
        try bench.allow(.read, "news")
        let first = try bench.socket()
        _ = try self.subscribe(first, "news")
        bench.advance(.seconds(2))
        let watcher = try bench.socket()
        let channel = #"__presence/[\"news\",*"#
        #expect(try self.subscribe(watcher, channel, #","from":"earliest""#).contains(#""recovered":true"#))
        bench.run()
        let joined = try watcher.frames().joined()
        #expect(joined.contains(#""event":"join","channel":"news""#))
        first.channel.close(promise: nil)
        bench.advance(.seconds(2))
        let left = try watcher.frames().joined()
        #expect(left.contains(#""event":"leave","channel":"news""#) && left.contains(#""deleted":true"#))
        for other in [#"__presence/[\"secret\",*"#, "__presence", "__presence/*", #"__presence/[\"*"#] {
            #expect(try self.subscribe(watcher, other).contains("forbidden"))
        }
        try bench.disallow("news")
        bench.advance(.seconds(2))
        #expect(try watcher.frames().joined().contains(#""event":"ended""#))
    }

    @Test("what was pushed may be confirmed, by offset or cursor, and nothing else")
    func confirm() throws {
        let bench = try self.bench(["apus.receipts": "true"])
        try bench.write("news", ["old"])
        let client = try bench.socket()
        _ = try self.subscribe(client, "news")
        func ack(_ what: String) throws -> String {
            try #require(try client.ask(#"{"id":5,"op":"ack","channel":"news",\#(what)}"#).first)
        }
        #expect(try ack(#""partition":0,"offset":1"#).contains("offset_out_of_range"))
        try bench.write("news", ["a", "b", "c"])
        #expect(try client.records().count == 3)
        let cursor = client.cursor
        #expect(try ack(#""partition":0,"offset":2"#) == #"{"id":5,"ok":{}}"#)
        bench.advance(.seconds(2))
        #expect(try ack(#""partition":0,"offset":4"#).contains("offset_out_of_range"))
        #expect(try ack(#""partition":3,"offset":0"#).contains("offset_out_of_range"))
        #expect(try ack(#""partition":0,"offset":0"#).contains(#""ok":{}"#) == false)
        #expect(try ack(#""cursor":"nonsense""#).contains("invalid_cursor"))
        #expect(try ack(#""cursor":"\#(cursor)","partition":0,"offset":1"#).contains("invalid_request"))
        #expect(try ack(#""offset":1"#).contains("invalid_request"))
        #expect(
            try client.ask(#"{"id":5,"op":"ack","channel":"other","partition":0,"offset":1}"#).first?
                .contains("not_subscribed") == true)
        #expect(try ack(#""cursor":"\#(cursor)""#) == #"{"id":5,"ok":{}}"#)
        bench.advance(.seconds(2))
        let seen = try self.events(bench)
        #expect(seen.count == 2)
        #expect(seen.first?.contains(#"[{"partition":0,"offset":2,"#) == true)
        #expect(seen.last?.contains(#"[{"partition":0,"offset":3,"#) == true)
    }

    @Test("who catches up confirms what he was given of the past")
    func past() throws {
        let bench = try self.bench(["apus.receipts": "true"])
        try bench.write("news", ["a", "b"])
        let client = try bench.socket()
        _ = try self.subscribe(client, "news", #","from":"earliest""#)
        bench.run()
        #expect(try client.records().count == 2)
        #expect(
            try client.ask(#"{"id":5,"op":"ack","channel":"news","partition":0,"offset":1}"#).first
                == #"{"id":5,"ok":{}}"#)
        #expect(
            try client.ask(#"{"id":5,"op":"ack","channel":"news","partition":0,"offset":2}"#).first?
                .contains("offset_out_of_range") == true)
    }

    @Test("a node that stops tells who has gone before it does")
    func drain() throws {
        let bench = try self.bench()
        for loop in 0..<2 { _ = try self.subscribe(try bench.socket(on: loop), "news") }
        bench.advance(.seconds(2))
        let done = BenchBox<Bool>()
        bench.door.drain(within: .seconds(5)).whenComplete { _ in done.put(true) }
        bench.advance(.seconds(5))
        #expect(done.value == true)
        #expect(try self.events(bench).filter { $0.hasPrefix("leave") && $0.hasSuffix("closed") }.count == 2)
    }
}

extension EdgeBench {
    /// The values of a topic's one partition; tombstones have none.
    func values(_ topic: String) throws -> [String] {
        let found = BenchBox<[FetchResult]>()
        let entry = FetchEntry(
            topic: .name(topic), partition: PartitionIndex(rawValue: 0), offset: .zero, bytesMax: .mebibytes(8))
        let limits = FetchLimits(bytesMin: .zero, bytesMax: .mebibytes(8), waitMax: .zero)
        let ticket = self.broker.fetch(
            [entry], limits: limits, client: .embedded, memory: self.broker.readMemory, on: self.loops[0]
        ) { found.put($0) }
        self.run()
        ticket.cancel()
        let result = try #require(found.value?.first)
        #expect(result.error == nil)
        let (records, _) = try ChannelRecords.read(
            result.batches, of: PartitionIndex(rawValue: 0), from: .zero)
        return records.compactMap { $0.value.map { String(buffer: $0) } }
    }
}
