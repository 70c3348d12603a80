import ApusBroker
import ApusCore
import NIOCore
import Testing
import WebFormats

@testable import EdgeDoor

@Suite("The endpoint server with its records elsewhere")
struct UpstreamTests {
    @Test("who leaves while his topic is looked for is answered, and is in nothing afterwards")
    func leaves() throws {
        let upstream = FakeUpstream()
        let bench = try EdgeBench(upstream: upstream)
        upstream.make("news")
        let client = try bench.socket()
        upstream.isSlow = true
        #expect(try client.ask(#"{"id":1,"op":"subscribe","channel":"news"}"#) == [])
        let answers = try client.ask(#"{"id":2,"op":"unsubscribe","channel":"news"}"#)
        #expect(answers.count == 2 && answers[0].contains("not_subscribed") && answers[1].contains(#""ok""#))
        upstream.answerAll()
        bench.run()
        #expect(try client.frames() == [] && upstream.parkedCount == 0)
        // And again, in another order: it is in the channel once.
        _ = try client.ask(#"{"id":3,"op":"subscribe","channel":"news"}"#)
        for _ in 0..<4 {
            upstream.answerAll()
            bench.run()
        }
        #expect(try client.frames().first?.hasPrefix(#"{"id":3,"ok":"#) == true)
        upstream.isSlow = false
        upstream.append("news", ["a"])
        bench.run()
        #expect(try client.records() == ["0:0=a"])
    }

    @Test("a client that goes away while everything is slow leaves nothing behind")
    func gone() throws {
        let upstream = FakeUpstream()
        let bench = try EdgeBench(upstream: upstream)
        upstream.make("news")
        upstream.isSlow = true
        let socket = try bench.socket()
        _ = try socket.ask(#"{"id":1,"op":"subscribe","channel":"news","from":"earliest"}"#)
        let stream = try bench.client("/v1/stream?channel=news")
        for client in [socket, stream] { client.channel.close(promise: nil) }
        for _ in 0..<4 {
            bench.run()
            upstream.answerAll()
        }
        bench.run()
        #expect(upstream.parkedCount == 0)
    }

    @Test(
        "an event stream whose right is taken away before its answer is refused, and is not left waiting",
        arguments: ["channel=news", "channel=news&channel=other"])
    func forbiddenMeanwhile(channels: String) throws {
        let upstream = FakeUpstream()
        let bench = try EdgeBench(upstream: upstream)
        upstream.make("news")
        upstream.make("other")
        upstream.isSlow = true
        let stream = try bench.client("/v1/stream?\(channels)")
        upstream.forbidEverything()
        bench.advance(.seconds(2))
        #expect(try stream.text().hasPrefix("HTTP/1.1 403 "))
        for _ in 0..<4 {
            upstream.answerAll()
            bench.run()
        }
        #expect(!stream.isOpen && upstream.parkedCount == 0)
    }

    @Test("while nothing can be had upstream clients stay, and then miss nothing", arguments: [1, 3])
    func lost(loops: Int) throws {
        let upstream = FakeUpstream()
        let bench = try EdgeBench(loops: loops, upstream: upstream)
        upstream.make("news", partitions: 2)
        upstream.append("news", ["old"], partition: 1)
        let client = try bench.socket(on: loops - 1)
        _ = try client.ask(#"{"id":1,"op":"subscribe","channel":"news","from":"earliest"}"#)
        bench.run()
        #expect(try client.records() == ["1:0=old"])
        upstream.failure = .overloaded("no broker")
        upstream.wake()
        bench.advance(.seconds(5))
        upstream.append("news", ["a", "b"], partition: 0)
        upstream.append("news", ["c"], partition: 1)
        #expect(try client.records() == [])
        let refused = try client.ask(#"{"id":2,"op":"write","topic":"news","text":"x"}"#)
        #expect(refused.first?.contains("overloaded") == true)
        // A channel that is asked for now is refused for now, not for good.
        let late = try client.ask(#"{"id":3,"op":"subscribe","channel":"news/key"}"#)
        #expect(late.first?.contains(#""retryable":true"#) == true, "\(late)")
        upstream.failure = nil
        bench.advance(.seconds(2))
        #expect(Set(try client.records()) == ["0:0=a", "0:1=b", "1:1=c"])
        #expect(client.isOpen)
    }

    @Test("a topic that is made anew under its name ends what was on the old one")
    func again() throws {
        let upstream = FakeUpstream()
        let bench = try EdgeBench(upstream: upstream)
        upstream.make("news")
        let client = try bench.socket()
        _ = try client.ask(#"{"id":1,"op":"subscribe","channel":"news"}"#)
        upstream.remove("news")
        upstream.make("news")
        upstream.append("news", ["new"])
        bench.advance(.seconds(2))
        #expect(try client.records() == ["event ended"])
        _ = try client.ask(#"{"id":2,"op":"subscribe","channel":"news","from":"earliest"}"#)
        bench.run()
        #expect(try client.records() == ["0:0=new"])
    }

    @Test("one that grows is read whole, also where its home loop has no client of its own", arguments: [0, 1])
    func grows(loop: Int) throws {
        let upstream = FakeUpstream()
        let bench = try EdgeBench(loops: 2, upstream: upstream)
        upstream.make("news")
        let client = try bench.socket(on: loop)
        _ = try client.ask(#"{"id":1,"op":"subscribe","channel":"news"}"#)
        upstream.grow("news", to: 3)
        upstream.append("news", ["a"], partition: 2)
        bench.advance(.seconds(2))
        #expect(try client.records() == ["2:0=a"])
    }
}
