import ApusCore
import NIOCore
import NIOEmbedded
import NIOHTTP1
import NIOHTTPTypes
import Testing

@testable import HTTPDoor

@Suite("How long a client may take")
struct PaceTests {
    private final class World {
        let channel = EmbeddedChannel()
        var now = NIODeadline.uptimeNanoseconds(1_000_000_000)

        init() throws {
            let kind = self.channel.eventLoop.makePromise(of: ConnectionGuard.Kind.self)
            let encoder = HTTPResponseEncoder()
            let decoder = ByteToMessageHandler(HTTPRequestDecoder(leftOverBytesStrategy: .forwardBytes))
            let guardian = ConnectionGuard(
                kind, edge: nil, isSecure: false, encoder: encoder, decoder: decoder,
                now: { [unowned self] in self.now })
            try self.channel.pipeline.syncOperations.addHandlers(ByteGauge(guardian), encoder, decoder, guardian)
            try self.channel.connect(to: SocketAddress(unixDomainSocketPath: "/x")).wait()
        }

        func send(_ text: String) throws { try self.channel.writeInbound(ByteBuffer(string: text)) }

        func pass(_ duration: Duration) {
            for _ in 0..<duration.components.seconds {
                self.now = self.now + .seconds(1)
                self.channel.embeddedEventLoop.advanceTime(by: .seconds(1))
            }
        }

        /// What was answered without any route.
        func written() throws -> String {
            var text = ""
            while let bytes = try self.channel.readOutbound(as: ByteBuffer.self) { text += String(buffer: bytes) }
            return text
        }
    }

    @Test("a head that comes a byte at a time is refused after ten seconds, and closed a little later")
    func slowHead() throws {
        let world = try World()
        for byte in "GET /li" {
            try world.send(String(byte))
            world.pass(.seconds(1))
        }
        #expect(try world.written() == "")
        world.pass(.seconds(5))
        #expect(try world.written().hasPrefix("HTTP/1.1 408 "))
        world.pass(.seconds(3))
        #expect(!world.channel.isActive)
    }

    @Test("a connection on which nothing is asked is closed without a word")
    func silent() throws {
        let world = try World()
        world.pass(.seconds(12))
        #expect(try world.written() == "" && !world.channel.isActive)
    }

    @Test("a body may take its time as long as it comes at a fair rate")
    func slowBody() throws {
        let rate = Limits.webBodyBytesPerSecondMin.rawValue
        var fair = BodyPace(isStream: false, at: .uptimeNanoseconds(0))
        var dribble = fair
        var paused = fair
        for second in Int64(1)...600 {
            let now = NIODeadline.uptimeNanoseconds(UInt64(second) * 1_000_000_000)
            fair.arrived(rate, at: now)
            #expect(!fair.isTooSlow(at: now))
            fair.asked(at: now)
            dribble.arrived(1, at: now)
            #expect(dribble.isTooSlow(at: now) == (second > 20))
            dribble.asked(at: now)
            // We do not read: then it waits for us.
            if second == 1 { paused.arrived(1, at: now) }
            #expect(!paused.isTooSlow(at: now))
        }
    }

    @Test("a stream of lines may wait for its lines, but not for ever")
    func stream() {
        var stream = BodyPace(isStream: true, at: .uptimeNanoseconds(0))
        for minute in UInt64(1)...10 {
            let now = NIODeadline.uptimeNanoseconds(minute * 59_000_000_000)
            #expect(!stream.isTooSlow(at: now))
            stream.arrived(1, at: now)
            stream.asked(at: now)
        }
        #expect(stream.isTooSlow(at: .uptimeNanoseconds(700_000_000_000)))
    }
}
