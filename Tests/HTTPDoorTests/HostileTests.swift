import ApusAccess
import ApusBroker
import ApusCore
import NIOCore
import NIOHTTP1
import Testing
import WebFormats

@testable import HTTPDoor

@Suite("HTTP that means no good", .timeLimit(.minutes(10)))
struct HostileTests {
    @Test(
        "what could be read in two ways is not read at all",
        arguments: [
            "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
            "Transfer-Encoding: chunked, identity\r\n\r\nhello", "Content-Length: -1\r\n\r\n",
            "Content-Length: 1x\r\n\r\nh", "Host: other\r\n\r\n", "Bad Name: x\r\n\r\n", "Name : x\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\nZZ\r\nhello", "X: a\u{0}b\r\n\r\n",
        ]
    )
    func smuggling(rest: String) async throws {
        try await WebWorld.run { world in
            let answer = try await world.ask(raw: "POST /v1/topics/t/records HTTP/1.1\r\nHost: localhost\r\n\(rest)")
            #expect(answer.status == 400 && answer.code == "malformed_request", "\(answer.text)")
            #expect(answer.answers == 1)
            // Nobody else is any the worse.
            #expect(try await world.ask("GET", "/livez").status == 200)
        }
    }

    @Test(
        "what is no request behind one that is gets no answer, and the one before gets its own", arguments: [1, 4_000])
    func behind(times: Int) async throws {
        try await WebWorld.run { world in
            _ = try await world.ask("POST", "/v1/topics", #"{"name":"t"}"#)
            let read = "GET /v1/topics/t/records?wait=60s HTTP/1.1\r\nHost: localhost\r\n\r\n"
            let garbage = String(repeating: "GET /livez HTTP/\r\nHost: a\r\n\r\n", count: times)
            async let waiting = world.ask(raw: read + garbage)
            while await world.broker.parkedFetchCount() == 0 { await Task.yield() }
            _ = try await world.ask("POST", "/v1/topics/t/records", "hello", type: nil)
            let answer = try await waiting
            #expect(answer.status == 200 && answer.answers == 1 && answer.body.contains("hello"), "\(answer.text)")
        }
    }

    @Test("300,000 headers, one of a mebibyte, and a target without end are refused long before they are whole")
    func headers() async throws {
        try await WebWorld.run { world in
            let many = (0..<300_000).map { "h\($0): x\r\n" }.joined()
            let field = "h: " + String(repeating: "x", count: 1 << 20) + "\r\n"
            for headers in [many, field] {
                let answer = try await world.ask(raw: "GET /livez HTTP/1.1\r\nHost: localhost\r\n\(headers)\r\n")
                #expect(answer.status == 431 && answer.code == "headers_too_large")
            }
            let target = "/" + String(repeating: "x", count: 1 << 20)
            #expect(try await world.ask(raw: "GET \(target) HTTP/1.1\r\nHost: localhost\r\n\r\n").status == 431)
        }
    }

    @Test("a chunk's extension that does not end is not followed")
    func chunkExtension() async throws {
        try await WebWorld.run { world in
            let extensions = String(repeating: ";a=b", count: 100_000)
            let answer = try await world.ask(
                raw: "POST /v1/topics/t/records HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
                    + "5\(extensions)")
            #expect(answer.status == 400 && answer.answers == 1)
        }
    }

    @Test("a body over the limit is refused when it says so, and when it turns out to be")
    func bodies() async throws {
        try await WebWorld.run { world in
            let limit = Limits.webBodyBytesMax.rawValue
            let told = try await world.ask(
                raw: "POST /v1/topics/t/records HTTP/1.1\r\nHost: localhost\r\nContent-Length: \(limit + 1)\r\n\r\nx")
            #expect(told.status == 413 && told.code == "message_too_large")
            #expect(told.header("connection") == "close")
            let chunk = String(repeating: "x", count: 1 << 20)
            let chunks = String(repeating: "100000\r\n\(chunk)\r\n", count: limit / chunk.utf8.count + 1)
            let found = try await world.ask(
                raw: "POST /v1/topics/t/records HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
                    + chunks + "0\r\n\r\n")
            #expect(found.status == 413 && found.answers == 1)
            // What was set aside for them is given back.
            let metrics = try await world.ask("GET", "/metrics").body
            #expect(metrics.contains("\napus_http_body_memory_bytes 0\n"))
        }
    }

    @Test(
        "what a client says reaches no header and no line of ours unescaped",
        arguments: [
            "/v1/topics/a%0d%0aX-Evil:%201", "/v1/topics/%1b%5b31m", "/v1/topics/%00", "/v1/topics?a%0d%0ab=1",
            "/v1/topics/t/records?from=%0d%0aX-Evil:1", "/v1/%0d%0aX-Evil:1",
        ]
    )
    func injection(target: String) async throws {
        try await WebWorld.run { world in
            let answer = try await world.ask("GET", target)
            #expect((400...404).contains(answer.status))
            #expect(!answer.text.utf8.contains { $0 == 0x1B || $0 == 0 })
            #expect(answer.headerLines.allSatisfy { !$0.lowercased().hasPrefix("x-evil") })
            #expect(!answer.body.utf8.contains { $0 < 0x20 })
        }
    }

    @Test("a page of another origin may not ask, and a name that points here may not either")
    func origins() async throws {
        try await WebWorld.run { world in
            for origin in [
                "http://evil.example", "null", "http://localhost.evil.example", "http://localhost:1", "file://",
            ] {
                let answer = try await world.ask("GET", "/v1/topics", headers: ["Origin": origin])
                #expect(answer.status == 403 && answer.code == "forbidden", "\(origin)")
            }
            #expect(try await world.ask("GET", "/v1/topics", headers: ["Origin": "http://localhost"]).status == 200)
            let rebound = "GET /v1/topics HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
            #expect(try await world.ask(raw: rebound).status == 403)
            for host in ["127.0.0.1:8080", "[::1]:8080", "localhost"] {
                let request = "GET /v1/topics HTTP/1.1\r\nHost: \(host)\r\nConnection: close\r\n\r\n"
                #expect(try await world.ask(raw: request).status == 200)
            }
        }
    }

    @Test("requests that came together are answered one after the other, in their order")
    func pipelining() async throws {
        try await WebWorld.run { world in
            let one = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
            let last = "GET /v1/nowhere HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            let answer = try await world.ask(raw: String(repeating: one, count: 20) + last)
            #expect(answer.answers == 21)
            #expect(answer.text.hasSuffix(#""hint":"GET /openapi.json says what there is"}"#))
        }
    }

    @Test("clients of HTTP/1.0 are answered and let go")
    func oldClients() async throws {
        try await WebWorld.run { world in
            let answer = try await world.ask(raw: "GET /livez HTTP/1.0\r\n\r\n")
            #expect(answer.status == 200 && answer.header("connection") == "close")
        }
    }

    @Test("a connection above the cap is closed without a word, and there is room again when one leaves")
    func cap() async throws {
        try await WebWorld.run {
            $0.caps.total = 1
        } _: { world in
            let first = try await world.connect()
            first.send("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            let second = try await world.connect()
            #expect(try await second.rest() == "")
            try await first.close()
            var status = 0
            for _ in 0..<10_000 where status != 200 { status = try await world.ask("GET", "/livez").status }
            #expect(status == 200)
        }
    }

    @Test("a connection whose first request is another door's is handed over with what follows the head")
    func handedOver() async throws {
        try await WebWorld.run {
            $0.edge = EdgeEntrance {
                $0.uri.hasPrefix("/v1/ws")
            } take: { head, channel, _, position in
                let echo = Echo(greeting: "taken \(head.uri)\n")
                // The test fails by what it does not get.
                try? channel.pipeline.syncOperations.addHandler(echo, position: position)
            }
        } _: { world in
            let client = try await world.connect()
            client.send("GET /v1/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nraw bytes;")
            client.send("more;bye")
            #expect(try await client.rest() == "taken /v1/ws\nraw bytes;more;bye")
            // A connection that was used for requests before is handed over just as well.
            let used = try await world.connect()
            used.send("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            try await used.wait(for: #"{"status":"ok"}"#)
            used.send("GET /v1/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nagain;bye")
            #expect(try await used.rest().hasSuffix("}taken /v1/ws\nagain;bye"))
            #expect(try await world.ask("GET", "/livez").status == 200)
        }
    }

    /// Sends back what comes, and closes behind "bye".
    private final class Echo: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer
        private let greeting: String

        init(greeting: String) { self.greeting = greeting }

        func handlerAdded(context: ChannelHandlerContext) {
            context.writeAndFlush(Self.wrapOutboundOut(ByteBuffer(string: self.greeting)), promise: nil)
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let bytes = Self.unwrapInboundIn(data)
            context.writeAndFlush(Self.wrapOutboundOut(bytes), promise: nil)
            if String(buffer: bytes).hasSuffix("bye") { context.close(promise: nil) }
        }
    }

    @Test("who stops in the middle of a body is not waited for when the listener stops")
    func stop() async throws {
        try await WebWorld.run { world in
            let client = try await world.connect()
            client.send("POST /v1/topics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
            try await world.listener.stop(within: .milliseconds(50)).get()
            _ = try await client.rest()
        }
    }
}
