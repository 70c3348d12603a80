import ApusCore
import ApusFakes
import NIOCore
import NIOEmbedded
import Testing

@testable import EdgeDoor

@Suite("What a client of the edge may keep waiting, and for how long")
struct EndpointDeadlineTests {
    @Test("a request for an event stream that can not be answered is refused in time, and nothing follows")
    func knocking() throws {
        let fake = FakeUpstream()
        fake.make("news")
        fake.append("news", ["1"])
        let bench = try EdgeBench(upstream: fake)
        fake.isSlow = true
        let client = try bench.client("/v1/stream?channel=news&from=earliest")
        bench.advance(Limits.edgeKnockWaitMax - .seconds(2))
        #expect(try client.text().isEmpty && client.isOpen)
        bench.advance(.seconds(4))
        let answer = try client.text()
        #expect(answer.hasPrefix("HTTP/1.1 503 ") && answer.hasSuffix("}"))
        #expect(!client.isOpen)
        fake.isSlow = false
        fake.answerAll()
        bench.run()
        #expect(try client.text().isEmpty)
    }

    @Test("answers that a client does not take are few buffers, however many they are")
    func pongs() throws {
        let bench = try EdgeBench()
        let client = try bench.socket()
        client.stall()
        var pings = ByteBuffer()
        for _ in 0..<5000 { pings.writeBytes([0x89, 0x80, 0, 0, 0, 0]) }
        try client.channel.writeInbound(pings)
        bench.run()
        client.goOn()
        bench.run()
        var (buffers, bytes) = (0, 0)
        while let buffer = try client.channel.readOutbound(as: ByteBuffer.self) {
            buffers += 1
            bytes += buffer.readableBytes
        }
        #expect(bytes == 10_000 && buffers <= 2)
    }

    @Test("the first of many prefixes too many is refused, and does not wait for ever")
    func prefixes() throws {
        let bench = try EdgeBench()
        try bench.create("news")
        let client = try bench.socket()
        for length in 0...Limits.channelPrefixLengthsMax {
            let prefix = String(repeating: "a", count: length)
            let answers = try client.ask(#"{"id":\#(length + 1),"op":"subscribe","channel":"news/\#(prefix)*"}"#)
            #expect(answers.count == 1)
            #expect(answers.first?.contains(#""ok""#) == (length < Limits.channelPrefixLengthsMax))
        }
        // The others go on.
        try bench.write("news", ["x"], key: "a")
        #expect(try client.records() == ["0:0=x", "0:0=x"])
    }
}
