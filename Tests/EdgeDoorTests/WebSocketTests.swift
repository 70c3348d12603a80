import ApusCore
import ApusFakes
import NIOCore
import Testing
import WebFormats

@testable import EdgeDoor

@Suite("WebSocket")
struct WebSocketTests {
    /// A frame as a client writes it.
    private func frame(
        _ opcode: UInt8, _ payload: [UInt8], isFinal: Bool = true, mask: UInt32 = 0x1234_5678, reserved: UInt8 = 0
    ) -> ByteBuffer {
        var bytes = ByteBuffer()
        bytes.writeInteger((isFinal ? 0x80 : 0) | reserved | opcode)
        switch payload.count {
        case ...125: bytes.writeInteger(UInt8(0x80 | payload.count))
        case ...65535:
            bytes.writeInteger(UInt8(0xFE))
            bytes.writeInteger(UInt16(payload.count))
        default:
            bytes.writeInteger(UInt8(0xFF))
            bytes.writeInteger(UInt64(payload.count))
        }
        bytes.writeInteger(mask)
        for (index, byte) in payload.enumerated() {
            bytes.writeInteger(byte ^ UInt8(truncatingIfNeeded: mask >> UInt32(24 - index % 4 * 8)))
        }
        return bytes
    }

    private func text(_ text: String, isFinal: Bool = true) -> ByteBuffer {
        self.frame(1, Array(text.utf8), isFinal: isFinal)
    }

    /// All events of these bytes, or the fault that they end in.
    private func read(
        _ bytes: ByteBuffer, by size: Int = .max
    ) -> (events: [WebSocketReader.Event], fault: WebSocketFault?) {
        var (reader, bytes) = (WebSocketReader(), bytes)
        var events: [WebSocketReader.Event] = []
        do throws(WebSocketFault) {
            while let piece = bytes.readSlice(length: min(size, bytes.readableBytes)), piece.readableBytes > 0 {
                reader.received(piece)
                while let event = try reader.next() { events.append(event) }
            }
        } catch {
            return (events, error)
        }
        return (events, nil)
    }

    @Test("messages come whole, in whatever pieces their bytes come", arguments: [1, 2, 3, 7, 8, 9, 64, 4096, .max])
    func messages(size: Int) {
        var bytes = ByteBuffer()
        let texts = ["", "a", "héllo", String(repeating: "x", count: 200), String(repeating: "ü", count: 40_000)]
        for text in texts { bytes.writeImmutableBuffer(self.text(text)) }
        let (events, fault) = self.read(bytes, by: size)
        #expect(fault == nil)
        #expect(events == texts.map { .message(ByteBuffer(string: $0)) })
    }

    @Test("a message in pieces is one, and what comes between them is told at once", arguments: [1, 5, .max])
    func fragments(size: Int) {
        var bytes = self.text("one ", isFinal: false)
        bytes.writeImmutableBuffer(self.frame(9, [1, 2]))
        bytes.writeImmutableBuffer(self.frame(0, Array("message".utf8)))
        bytes.writeImmutableBuffer(self.frame(10, []))
        bytes.writeImmutableBuffer(self.frame(8, [0x03, 0xE8] + Array("bye".utf8)))
        let (events, fault) = self.read(bytes, by: size)
        #expect(fault == nil)
        #expect(
            events == [
                .ping(ByteBuffer(bytes: [1, 2])), .message(ByteBuffer(string: "one message")), .pong, .close(1000),
            ])
        #expect(self.read(self.frame(8, [])).events == [.close(nil)])
    }

    @Test("what the protocol forbids is a fault with its code")
    func faults() {
        func fault(_ bytes: ByteBuffer) -> WebSocketFault? { self.read(bytes).fault }
        #expect(fault(self.frame(1, [65], reserved: 0x40)) == .reservedBits)
        #expect(fault(self.frame(1, [65], reserved: 0x10)) == .reservedBits)
        #expect(fault(self.frame(3, [])) == .unknownOpcode(3))
        #expect(fault(self.frame(11, [])) == .unknownOpcode(11))
        #expect(fault(ByteBuffer(bytes: [0x81, 0x01])) == .notMasked)
        #expect(fault(self.frame(9, [1], isFinal: false)) == .controlFrame)
        #expect(fault(self.frame(9, Array(repeating: 1, count: 126))) == .controlFrame)
        #expect(fault(ByteBuffer(bytes: [0x81, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 1])) == .length)
        #expect(fault(ByteBuffer(bytes: [0x81, 0xFF, 0x7F] + Array(repeating: 0xFF, count: 7))) == .tooLarge)
        #expect(fault(self.frame(0, [1])) == .continuation)
        #expect(fault(self.frame(2, [1])) == .kind(.json))
        #expect(fault(self.frame(8, [3])) == .closeCode)
        for code in [0, 999, 1004, 1005, 1006, 1015, 2000, 5000, 65535] as [UInt16] {
            #expect(fault(self.frame(8, [UInt8(code >> 8), UInt8(code & 0xFF)])) == .closeCode, "\(code)")
        }
        #expect(fault(self.frame(8, [0x03, 0xE8, 0xFF])) == .notUTF8)
        #expect(fault(self.frame(1, [0xC3])) == .notUTF8)
        #expect(fault(self.frame(1, [0xED, 0xA0, 0x80])) == .notUTF8)
        var twice = self.text("a", isFinal: false)
        twice.writeImmutableBuffer(self.text("b"))
        #expect(fault(twice) == .continuation)
        for fault in [WebSocketFault.length, .continuation, .unknownOpcode(255), .tooLarge, .closeCode] {
            #expect(fault.text.utf8.count <= 123 && fault.closeCode >= 1002)
        }
    }

    @Test("a message in a million pieces ends at a bound, and so does one that is too long")
    func bounds() {
        var bytes = self.text("a", isFinal: false)
        for _ in 0..<Limits.edgeFragmentsPerMessageMax { bytes.writeImmutableBuffer(self.frame(0, [], isFinal: false)) }
        #expect(self.read(bytes).fault == .tooLarge)
        let half = Array(repeating: UInt8(ascii: "a"), count: Limits.edgeMessageBytesMax.rawValue / 2 + 1)
        var long = self.frame(1, half, isFinal: false)
        long.writeImmutableBuffer(self.frame(0, half))
        #expect(self.read(long).fault == .tooLarge)
    }

    @Test("any bytes end in events, in waiting or in a fault", arguments: 0..<300 as Range<UInt64>)
    func hostile(seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        var bytes = ByteBuffer()
        for _ in 0..<(1 + generator.below(4)) {
            let payload = (0..<generator.below(300)).map { _ in UInt8(truncatingIfNeeded: generator.next()) & 0x7F }
            bytes.writeImmutableBuffer(
                self.frame(
                    [0, 1, 8, 9, 10][generator.below(5)], payload, isFinal: generator.isOne(in: 2),
                    mask: UInt32(truncatingIfNeeded: generator.next())))
        }
        for _ in 0..<generator.below(3) {
            bytes.setInteger(
                UInt8(truncatingIfNeeded: generator.next()), at: generator.below(bytes.readableBytes))
        }
        let whole = self.read(bytes)
        let pieces = self.read(bytes, by: 1 + generator.below(20))
        #expect(whole.events == pieces.events && whole.fault == pieces.fault)
    }

    @Test("what the server writes is a whole frame that any client reads", arguments: [0, 125, 126, 65535, 65536])
    func writing(length: Int) {
        var frame = WebSocketFrame.of(.text, ByteBuffer(repeating: 97, count: length))
        #expect(frame.readInteger(as: UInt8.self) == 0x81)
        let short = frame.readInteger(as: UInt8.self) ?? 0
        let told: Int
        switch short {
        case 126: told = frame.readInteger(as: UInt16.self).map { Int($0) } ?? 0
        case 127: told = frame.readInteger(as: UInt64.self).map { Int($0) } ?? 0
        default: told = Int(short)
        }
        #expect(told == length && frame.readableBytes == length)
        #expect((short == 126) == (126...65535).contains(length))
        #expect(WebSocketFrame.close(1000, String(repeating: "x", count: 124)).readableBytes == 4)
    }

    // MARK: The handshake

    private func request(_ changes: [(String, String?)] = []) -> WebRequest {
        var headers = [
            ("Host", "example.com"), ("Upgrade", "websocket"), ("Connection", "keep-alive, Upgrade"),
            ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ]
        for (name, value) in changes {
            headers.removeAll { $0.0 == name }
            if let value { headers.append((name, value)) }
        }
        return WebRequest(method: "GET", target: "/v1/ws", headers: headers.map { (name: $0.0, value: $0.1) })
    }

    private func answer(_ request: WebRequest, _ origins: OriginRules = OriginRules()) -> String {
        do throws(Problem) {
            return String(buffer: try WebSocketHandshake(request, origins: origins).response)
        } catch {
            return error.code.rawValue
        }
    }

    @Test("the handshake is answered as RFC 6455 has it in its example")
    func handshake() {
        let answer = self.answer(self.request([("Sec-WebSocket-Protocol", "chat, apus.v1.json")]))
        #expect(answer.hasPrefix("HTTP/1.1 101 "))
        #expect(answer.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"))
        #expect(answer.contains("\r\nSec-WebSocket-Protocol: apus.v1.json\r\n") && answer.hasSuffix("\r\n\r\n"))
        #expect(!self.answer(self.request()).contains("Protocol:"))
    }

    @Test(
        "a request that is no handshake is refused",
        arguments: [
            ("Upgrade", nil), ("Connection", "close"), ("Sec-WebSocket-Version", "8"), ("Sec-WebSocket-Version", nil),
            ("Sec-WebSocket-Key", "short"), ("Sec-WebSocket-Key", nil), ("Sec-WebSocket-Protocol", "mqtt"),
        ] as [(String, String?)])
    func noHandshake(name: String, value: String?) {
        #expect(self.answer(self.request([(name, value)])) == "invalid_request")
        var post = self.request()
        post.method = "POST"
        #expect(self.answer(post) == "invalid_request")
        var old = self.request()
        old.isVersion11 = false
        #expect(self.answer(old) == "invalid_request")
        var twice = self.request()
        twice.headers.append((name: "sec-websocket-key", value: "dGhlIHNhbXBsZSBub25jZQ=="))
        #expect(self.answer(twice) == "invalid_request")
    }

    @Test("pages of the same host may connect, others only if they are allowed")
    func origins() {
        func isTaken(_ origin: String, host: String = "example.com", _ allowed: Set<String> = []) -> Bool {
            self.answer(self.request([("Origin", origin), ("Host", host)]), OriginRules(allowed: allowed))
                .hasPrefix("HTTP/1.1 101")
        }
        #expect(isTaken("https://example.com") && isTaken("http://EXAMPLE.com"))
        #expect(isTaken("http://localhost:8080", host: "localhost:8080"))
        #expect(isTaken("https://example.com", host: "example.com:443"))
        #expect(!isTaken("https://example.com:8443") && !isTaken("https://example.com.evil.org") && !isTaken("null"))
        #expect(!isTaken("http://localhost:8081", host: "localhost:8080") && !isTaken(""))
        #expect(isTaken("https://app.org", ["https://app.org"]) && !isTaken("http://app.org", ["https://app.org"]))
        #expect(isTaken("https://evil.org", ["*"]))
        var twice = self.request([("Origin", "https://example.com")])
        twice.headers.append((name: "origin", value: "https://evil.org"))
        #expect(self.answer(twice) == "forbidden")
    }

    @Test("where nobody logs in, a name that is not this machine's own is not answered")
    func rebinding() {
        var rules = OriginRules()
        rules.isPrivate = true
        for (host, isTaken) in [
            ("localhost:8080", true), ("127.0.0.1:8080", true), ("[::1]:8080", true), ("x.localhost", true),
            ("evil.org:8080", false), ("localhost.evil.org", false), ("", false),
        ] {
            #expect(self.answer(self.request([("Host", host)]), rules).hasPrefix("HTTP/1.1 101") == isTaken, "\(host)")
        }
        #expect(self.answer(self.request([("Host", nil)]), rules).hasPrefix("HTTP/1.1 101"))
    }

    // MARK: Event streams

    private func stream(_ target: String, _ headers: [(name: String, value: String)] = []) -> Result<
        ClientOperation.Subscribe, Problem
    > {
        Result { () throws(Problem) in
            try EventStreamRequest(
                WebRequest(method: "GET", target: target, headers: headers), origins: OriginRules()
            ).wishes[0]
        }
    }

    @Test("a stream names its channel and where it begins; the header of a reconnect counts more")
    func streams() throws {
        let plain = try self.stream("/v1/stream?channel=chat%2Froom+7&from=-10&slow=close").get()
        #expect(plain.channel.description == "chat/room 7" && plain.start == .beforeEnd(10))
        #expect(plain.whenSlow == .close && plain.credit == nil)
        #expect(try self.stream("/v1/stream?channel=a").get().start == .latest)
        let id = ByteBuffer(string: "abc")
        #expect(try self.stream("/v1/stream?channel=a&from=start&last_event_id=abc").get().start == .cursors([id]))
        let header = [(name: "Last-Event-ID", value: "abc")]
        #expect(try self.stream("/v1/stream?channel=a&last_event_id=x", header).get().start == .cursors([id]))
        for target in [
            "/v1/stream", "/v1/stream?channel=a&channel=a", "/v1/stream?channel=a&form=end", "/v1/stream?channel=%G0",
            "/v1/stream?channel=%FF", "/v1/stream?channel=a&from=soon", "/v1/stream?channel=a&slow=no",
            "/v1/stream?channel=a%0Ab",
        ] {
            guard case .failure = self.stream(target) else {
                Issue.record("taken: \(target)")
                continue
            }
        }
        let foreign = [(name: "Origin", value: "https://evil.org"), (name: "Host", value: "a")]
        #expect(throws: Problem.self) { try self.stream("/v1/stream?channel=a", foreign).get() }
    }
}
