import ApusAccess
import ApusBroker
import ApusCore
import ApusFakes
import NIOCore
import NIOEmbedded
import Testing
import WebFormats

@testable import EdgeDoor

@Suite("The endpoint server")
struct EndpointTests {
    private func subscribe(_ client: BenchClient, _ channel: String, _ more: String = "") throws -> String {
        try #require(try client.ask(#"{"id":1,"op":"subscribe","channel":"\#(channel)"\#(more)}"#).first)
    }

    @Test("what is produced reaches a WebSocket and an event stream at once, with one offset")
    func both() throws {
        let bench = try EdgeBench()
        try bench.create("news")
        try bench.write("news", ["before"])
        let socket = try bench.socket()
        #expect(try self.subscribe(socket, "news").contains(#""recovered":true"#))
        let stream = try bench.client("/v1/stream?channel=news")
        #expect(try stream.head().contains("Content-Type: text/event-stream"))
        #expect(try stream.text().contains("event: subscribed\nid: "))
        try bench.write("news", ["one", "two"])
        #expect(try socket.records() == ["0:1=one", "0:2=two"])
        let events = try stream.text()
        #expect(events.hasPrefix("id: ") && events.contains(#""offset":1"#) && events.hasSuffix("}\n\n"))
        #expect(events.contains(#""text":"two""#))
    }

    @Test("a client that comes back with its cursor goes on where it was, on any loop", arguments: [1, 3])
    func resume(loops: Int) throws {
        let bench = try EdgeBench(loops: loops)
        try bench.create("news", partitions: 3)
        let first = try bench.socket()
        _ = try self.subscribe(first, "news")
        try bench.write("news", ["a", "b"], key: "x")
        try bench.write("news", ["c"], partition: 0)
        let seen = try first.records()
        #expect(seen.count == 3)
        let cursor = first.cursor
        first.channel.close(promise: nil)
        bench.run()
        try bench.write("news", ["d"], partition: 0)
        try bench.write("news", ["e", "f"], key: "x")
        let second = try bench.socket(on: loops - 1)
        #expect(try self.subscribe(second, "news", #","cursor":"\#(cursor)""#).contains(#""recovered":true"#))
        bench.run()
        let missed = try second.records()
        #expect(Set(missed.map { $0.split(separator: "=")[1] }) == ["d", "e", "f"])
        try bench.write("news", ["g"], partition: 2)
        #expect(try second.records().count == 1)
        let stream = try bench.client("/v1/stream?channel=news", [("Last-Event-ID", cursor)], on: loops - 1)
        _ = try stream.head()
        bench.run()
        let text = try stream.text()
        for value in ["d", "e", "f", "g"] { #expect(text.contains(#""text":"\#(value)""#)) }
        #expect(!text.contains(#""text":"a""#))
    }

    @Test("what retention took is told, and the rest comes")
    func retention() throws {
        let bench = try EdgeBench()
        try bench.create("news")
        let first = try bench.socket()
        _ = try self.subscribe(first, "news")
        try bench.write("news", ["a"])
        #expect(try first.records() == ["0:0=a"])
        try bench.write("news", ["b", "c", "d"])
        // Its connection broke before it was given them.
        let cursor = first.cursor
        try bench.trim("news", before: 3)
        let second = try bench.socket()
        let answer = try self.subscribe(second, "news", #","cursor":"\#(cursor)""#)
        #expect(answer.contains(#""recovered":false,"missing":[{"partition":0,"from":1,"to":3}]"#))
        bench.run()
        #expect(try second.records() == ["0:3=d"])
    }

    @Test("one partition has one reader, however many clients and loops")
    func readers() throws {
        let bench = try EdgeBench(loops: 3)
        try bench.create("news", partitions: 2)
        let clients = try (0..<30).map { try bench.socket(on: $0 % 3) }
        for client in clients { _ = try self.subscribe(client, "news") }
        #expect(try self.count(bench.door.readerCount(), bench) == 2)
        try bench.write("news", ["x"], partition: 1)
        for client in clients { #expect(try client.records() == ["1:0=x"]) }
        for client in clients { client.channel.close(promise: nil) }
        bench.run()
        #expect(try self.count(bench.door.readerCount(), bench) == 0)
        #expect(try self.count(bench.door.connectionCount(), bench) == 0)
    }

    private func count(_ future: EventLoopFuture<Int>, _ bench: EdgeBench) throws -> Int {
        let box = BenchBox<Int>()
        future.whenSuccess { box.put($0) }
        bench.run()
        return try #require(box.value)
    }

    @Test("the channel of a key is given the records of that key")
    func keys() throws {
        let bench = try EdgeBench()
        try bench.create("chat", partitions: 5)
        let (one, many, all) = (try bench.socket(), try bench.socket(), try bench.socket())
        _ = try self.subscribe(one, "chat/room-7")
        _ = try self.subscribe(many, "chat/room-*")
        _ = try self.subscribe(all, "chat", #","from":"earliest""#)
        try bench.write("chat", ["a"], key: "room-7")
        try bench.write("chat", ["b"], key: "room-8")
        try bench.write("chat", ["c"], key: "hall")
        #expect(try one.records().map { $0.split(separator: "=")[1] } == ["a"])
        #expect(try many.records().map { $0.split(separator: "=")[1] } == ["a", "b"])
        #expect(try all.records().map { $0.split(separator: "=")[1] } == ["a", "b", "c"])
    }

    @Test("create, write, read and delete do what the broker does")
    func verbs() throws {
        let bench = try EdgeBench()
        let client = try bench.socket()
        #expect(
            try client.ask(#"{"id":1,"op":"create","topic":"t","partitions":2}"#)
                == [#"{"id":1,"ok":{"topic":"t","partitions":2}}"#])
        #expect(try client.ask(#"{"id":2,"op":"create","topic":"t"}"#).first?.contains("topic_exists") == true)
        let written = try client.ask(#"{"id":3,"op":"write","topic":"t","partition":1,"value":{"n":1}}"#)
        #expect(written.first?.contains(#""ok":{"partition":1,"offset":0,"#) == true)
        #expect(
            try client.ask(#"{"id":4,"op":"write","topic":"none","text":"x"}"#).first?.contains("not_found") == true)
        let read = try #require(try client.ask(#"{"id":5,"op":"read","channel":"t","limit":10}"#).first)
        #expect(read.contains(#""value":{"n":1}"#) && read.contains(#""recovered":true"#))
        _ = try client.ask(#"{"id":6,"op":"write","topic":"t","partition":1,"text":"second"}"#)
        let cursor = try #require(try JSONObject(ByteBuffer(string: read))["ok"]?.object()["cursor"]?.text)
        let next = try #require(try client.ask(#"{"id":7,"op":"read","channel":"t","cursor":"\#(cursor)"}"#).first)
        #expect(next.contains(#""text":"second""#) && !next.contains(#""n":1"#))
        #expect(try client.ask(#"{"id":8,"op":"delete_topic","topic":"t"}"#) == [#"{"id":8,"ok":{"topic":"t"}}"#])
        #expect(try self.subscribe(client, "t").contains("topic_not_found"))
    }

    @Test("a topic that is deleted ends its subscriptions, and one that grows keeps them")
    func topics() throws {
        let bench = try EdgeBench(loops: 2)
        try bench.create("news", partitions: 1)
        let (client, stream) = (try bench.socket(), try bench.client("/v1/stream?channel=news", on: 1))
        _ = try self.subscribe(client, "news")
        _ = try stream.head()
        try bench.write("news", ["a"])
        try bench.grow("news", to: 3)
        try bench.write("news", ["b"], partition: 2)
        bench.advance(.seconds(3))
        try bench.write("news", ["c"], partition: 1)
        #expect(Set(try client.records()) == ["0:0=a", "2:0=b", "1:0=c"])
        #expect(try stream.text().contains(#""text":"c""#))
        try bench.delete("news")
        bench.advance(.seconds(2))
        #expect(try client.records() == ["event ended"])
        #expect(client.isOpen)
        #expect(try stream.text().contains("event: ended") && !stream.isOpen)
    }

    @Test("what is wrong with the request is answered in HTTP's own way")
    func refused() throws {
        let bench = try EdgeBench()
        try bench.create("news")
        for (target, status) in [
            ("/v1/stream?channel=none", "404"), ("/v1/stream", "400"), ("/v1/stream?channel=news&from=x", "400"),
            ("/v1/stream?channel=news&last_event_id=forged", "400"), ("/v1/ws", "400"),
        ] {
            let client = try bench.client(target)
            let head = try client.head()
            #expect(head.hasPrefix("HTTP/1.1 \(status) "), "\(target): \(head)")
            #expect(head.contains("application/problem+json") && !client.isOpen)
        }
        let foreign = try bench.client("/v1/stream?channel=news", [("Origin", "https://evil.org")])
        #expect(try foreign.head().hasPrefix("HTTP/1.1 403 "))
    }

    @Test("what WebSocket forbids ends the connection with its code")
    func forbidden() throws {
        let bench = try EdgeBench()
        let binary = try bench.socket()
        try binary.send(2, [1])
        #expect(try binary.frames() == ["close 1003"])
        let garbled = try bench.socket()
        try garbled.send(1, [0xFF])
        #expect(try garbled.frames() == ["close 1007"])
        bench.advance(.seconds(3))
        #expect(!garbled.isOpen)
        let polite = try bench.socket()
        try polite.send(9, [1, 2, 3])
        #expect(try polite.frames() == ["frame 10 3"])
        try polite.send(8, [0x03, 0xE8])
        #expect(try polite.frames() == ["close 1000"])
        #expect(!polite.isOpen)
        let early = try bench.webSocket()
        _ = try early.ask(#"{"id":1,"op":"ping"}"#)
        #expect(try early.frames().last == "close 4001")
    }

    @Test("a quiet client is pinged, and closed when it does not answer; a stream has comments")
    func quiet() throws {
        let bench = try EdgeBench()
        try bench.create("news")
        let client = try bench.socket()
        let stream = try bench.client("/v1/stream?channel=news")
        _ = try stream.text()
        bench.advance(Limits.edgePingPeriod + .seconds(1))
        #expect(try client.frames() == ["frame 9 0"])
        #expect(try stream.text() == ":\n\n")
        try client.send(10, [])
        bench.advance(Limits.edgePingPeriod)
        #expect(try client.frames() == ["frame 9 0"])
        bench.advance(Limits.edgePingPeriod + .seconds(3))
        #expect(try client.frames().last == "close 4502")
        #expect(!client.isOpen && stream.isOpen)
    }

    @Test("who may not read a topic is refused, and a right that is taken away ends what it was for")
    func rights() throws {
        let bench = try EdgeBench { $0.isAuthorizing = true }
        try bench.create("news")
        let client = try bench.socket()
        #expect(try self.subscribe(client, "news").contains("forbidden"))
        #expect(try self.subscribe(client, "none").contains("forbidden"))
        #expect(
            try client.ask(#"{"id":2,"op":"write","topic":"news","text":"x"}"#).first?.contains("forbidden") == true)
        #expect(try client.ask(#"{"id":3,"op":"read","channel":"news"}"#).first?.contains("forbidden") == true)
        #expect(try client.ask(#"{"id":4,"op":"create","topic":"x"}"#).first?.contains("forbidden") == true)
        #expect(try bench.client("/v1/stream?channel=news").head().hasPrefix("HTTP/1.1 403 "))
    }

    @Test("a node that stops tells its clients to move, and takes no more")
    func drains() throws {
        let bench = try EdgeBench()
        try bench.create("news")
        let client = try bench.socket()
        let stream = try bench.client("/v1/stream?channel=news")
        _ = try stream.text()
        let done = BenchBox<Bool>()
        bench.door.drain(within: .seconds(5)).whenComplete { _ in done.put(true) }
        bench.run()
        let frames = try client.frames()
        #expect(frames.count == 3 && frames[0].contains(#""event":"moved""#) && frames[2] == "close 4501")
        #expect(try stream.text().contains("event: moved"))
        let late = try bench.client("/v1/stream?channel=news")
        #expect(try late.head().hasPrefix("HTTP/1.1 503 "))
        bench.advance(.seconds(6))
        #expect(done.value == true && !client.isOpen && !stream.isOpen)
    }

    @Test("a client that does not read is skipped or closed, and the others get everything")
    func slow() throws {
        let bench = try EdgeBench()
        try bench.create("news")
        let (fast, lazy, strict) = (try bench.socket(), try bench.socket(), try bench.socket())
        _ = try self.subscribe(fast, "news")
        _ = try self.subscribe(lazy, "news")
        _ = try self.subscribe(strict, "news", #","slow":"close""#)
        // An embedded channel takes nothing while it is told that its socket is full.
        for client in [lazy, strict] { client.stall() }
        let value = String(repeating: "x", count: 300_000)
        for _ in 0..<6 {
            try bench.write("news", [value])
            #expect(try fast.records().count == 1)
        }
        for client in [lazy, strict] { client.goOn() }
        bench.run()
        let given = try lazy.records()
        #expect(given.count < 6 && given.last == "event lagging")
        try bench.write("news", ["last"])
        #expect(try lazy.records() == ["0:6=last"] && lazy.isOpen)
        #expect(try strict.frames().last == "close 4500")
        #expect(try fast.records() == ["0:6=last"])
    }

    @Test("a long past comes in bounded pieces, and then what is new", arguments: [1, 2])
    func long(loops: Int) throws {
        let bench = try EdgeBench(loops: loops)
        try bench.create("news", partitions: 2)
        for round in 0..<30 {
            let value = String(repeating: "v", count: 40_000)
            try bench.write("news", ["\(round)\(value)"], partition: Int32(round % 2))
        }
        let client = try bench.socket(on: loops - 1)
        _ = try self.subscribe(client, "news", #","from":"earliest""#)
        try bench.write("news", ["new"], partition: 0)
        for _ in 0..<20 { bench.run() }
        var places: [[String]] = [[], []]
        for record in try client.records() {
            let parts = record.split(separator: "=", maxSplits: 1)[0].split(separator: ":")
            places[Int(parts[0]) ?? 0].append(String(parts[1]))
        }
        #expect(places[0] == (0..<16).map { "\($0)" } && places[1] == (0..<15).map { "\($0)" })
    }

    /// A login that knows one token and one password.
    private var login: WebLogin {
        WebLogin(offered: { _ in [.plain, .oauthBearer] }) { credentials, _, _, then in
            switch credentials {
            case .token(let secret) where secret.bytes == Array("good".utf8):
                then(.success(WebSession(principal: .anonymous, mechanism: .oauthBearer, expires: nil)))
            case .token(let secret) where secret.bytes == Array("short".utf8):
                let soon = Timestamp(rawValue: SimulatedClock().wallTime.rawValue + 5_000)
                then(.success(WebSession(principal: .anonymous, mechanism: .oauthBearer, expires: soon)))
            default: then(.failure(LoginFailure(.wrongPassword, mechanism: .plain)))
            }
        }
    }

    @Test("where users log in, a socket brings its token in connect, and everything its header")
    func logins() throws {
        let bench = try EdgeBench(login: self.login)
        try bench.create("news")
        let nobody = try bench.webSocket()
        #expect(try nobody.ask(#"{"id":1,"op":"connect"}"#).first?.contains("unauthenticated") == true)
        #expect(try nobody.frames().last == "close 4002")
        let stranger = try bench.webSocket()
        #expect(try stranger.ask(#"{"id":1,"op":"connect","token":"bad"}"#).first?.contains("unauthenticated") == true)
        let friend = try bench.webSocket()
        #expect(try friend.ask(#"{"id":1,"op":"connect","token":"good"}"#).first?.contains(#""ok""#) == true)
        #expect(try self.subscribe(friend, "news").contains(#""ok""#))
        let known = try bench.webSocket([("Authorization", "Bearer good")])
        #expect(try known.ask(#"{"id":1,"op":"connect"}"#).first?.contains(#""ok""#) == true)
        let refused = try bench.client("/v1/stream?channel=news")
        let head = try refused.head()
        #expect(head.hasPrefix("HTTP/1.1 401 ") && head.contains("WWW-Authenticate: Basic") && !refused.isOpen)
        let wrong = try bench.client("/v1/stream?channel=news", [("Authorization", "Basic YTpi")])
        #expect(try wrong.head().hasPrefix("HTTP/1.1 401 "))
        let reader = try bench.client("/v1/stream?channel=news", [("Authorization", "Bearer good")])
        #expect(try reader.head().hasPrefix("HTTP/1.1 200 "))
    }

    @Test("a token that runs out ends the connection")
    func expiry() throws {
        let bench = try EdgeBench(login: self.login)
        let client = try bench.webSocket()
        _ = try client.ask(#"{"id":1,"op":"connect","token":"short"}"#)
        bench.advance(.seconds(3))
        #expect(client.isOpen)
        bench.advance(.seconds(5))
        #expect(try client.frames().contains("close 4003") && !client.isOpen)
    }

    @Test("a right that is taken away ends the subscriptions that it was for, and no other")
    func revocation() throws {
        let bench = try EdgeBench { $0.isAuthorizing = true }
        try bench.create("news")
        try bench.create("other")
        for topic in ["news", "other"] { try bench.allow(.read, topic) }
        let client = try bench.socket()
        let stream = try bench.client("/v1/stream?channel=news")
        for topic in ["news", "other"] { #expect(try self.subscribe(client, topic).contains(#""ok""#)) }
        _ = try stream.text()
        try bench.disallow("news")
        bench.advance(.seconds(2))
        #expect(try client.records() == ["event ended"])
        #expect(try stream.text().contains("event: ended") && !stream.isOpen)
        try bench.write("news", ["secret"])
        try bench.write("other", ["fine"])
        #expect(try client.records() == ["0:0=fine"])
    }
}
