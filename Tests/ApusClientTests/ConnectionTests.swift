import ApusCore
import ApusFakes
import KafkaWire
import NIOCore
import NIOEmbedded
import Testing

@testable import ApusClient

@Suite("Frames out of pieces")
struct FrameAssemblerTests {
    private func frames(_ sizes: [Int]) -> ByteBuffer {
        var bytes = ByteBuffer()
        for (index, size) in sizes.enumerated() {
            bytes.writeInteger(Int32(size))
            bytes.writeRepeatingByte(UInt8(truncatingIfNeeded: index), count: size)
        }
        return bytes
    }

    @Test("frames come out whole however they are cut", arguments: 0..<100 as Range<UInt64>)
    func cuts(seed: UInt64) throws {
        var chance = SplitMix(seed: seed)
        let sizes = (0..<20).map { _ in chance.next(below: 50) }
        var bytes = self.frames(sizes)
        var assembler = FrameAssembler(bytesMax: 100)
        var seen: [Int] = []
        while bytes.readableBytes > 0 {
            let count = min(bytes.readableBytes, 1 + chance.next(below: 40))
            guard let piece = bytes.readSlice(length: count) else { break }
            assembler.append(piece)
            while let frame = try assembler.next() {
                #expect(frame.readableBytesView.allSatisfy { $0 == UInt8(truncatingIfNeeded: seen.count) })
                seen.append(frame.readableBytes)
            }
        }
        #expect(seen == sizes)
        #expect(assembler.missing == 0)
    }

    @Test("what a frame lacks is known once its length is")
    func missing() throws {
        let bytes = self.frames([100])
        var assembler = FrameAssembler(bytesMax: 100)
        assembler.append(try #require(bytes.getSlice(at: 0, length: 10)))
        let frame = try assembler.next()
        #expect(frame == nil)
        #expect(assembler.missing == 94)
    }

    @Test(
        "a length that is negative or too large is refused before any room is made",
        arguments: [-1, 101, .max] as [Int32])
    func refused(length: Int32) {
        var assembler = FrameAssembler(bytesMax: 100)
        assembler.append(ByteBuffer(integer: length))
        #expect(throws: WireError.self) { try assembler.next() }
    }
}

@Suite("One connection to a broker")
struct BrokerConnectionTests {
    /// A connection and what it told.
    private final class Peer {
        let loop = EmbeddedEventLoop()
        let channel: EmbeddedChannel
        let connection: BrokerConnection
        private(set) var ready: [Result<Void, ApusError>] = []
        private(set) var closed: [ApusError] = []

        init(
            responseBytesMax: Int = 1 << 20, login: BrokerLogin? = nil, at address: SocketAddress? = nil
        ) throws {
            var report: (Result<Void, ApusError>) -> Void = { _ in }
            var reportClosed: (ApusError) -> Void = { _ in }
            let box = Box()
            self.connection = BrokerConnection(
                to: BrokerPeer(id: nil, address: ServerAddress(host: "b", port: 1)), clientID: "test",
                responseBytesMax: .bytes(responseBytesMax), on: self.loop,
                readyBy: Instant(self.loop.now).advanced(by: .seconds(10)), login: login,
                onReady: { box.onReady($0) }, onClosed: { box.onClosed($0) })
            self.channel = EmbeddedChannel(handler: self.connection, loop: self.loop)
            report = { [unowned self] in self.ready.append($0) }
            reportClosed = { [unowned self] in self.closed.append($0) }
            box.onReady = report
            box.onClosed = reportClosed
            try self.channel.connect(to: address ?? SocketAddress(unixDomainSocketPath: "x")).wait()
        }

        private final class Box {
            var onReady: (Result<Void, ApusError>) -> Void = { _ in }
            var onClosed: (ApusError) -> Void = { _ in }
        }

        /// The header of the next request.
        func request() throws -> RequestHeader? {
            var bytes = ByteBuffer()
            while let piece = try self.channel.readOutbound(as: ByteBuffer.self) { bytes.writeImmutableBuffer(piece) }
            guard let frame = try Frame.next(from: &bytes) else { return nil }
            var reader = WireReader(frame)
            return try RequestHeader(from: &reader)
        }

        func answer(_ pieces: [ByteBuffer]) throws {
            for piece in pieces { try self.channel.writeInbound(piece) }
        }

        func negotiate(_ apis: [(ApiKey, ClosedRange<Int16>)]) throws {
            let header = try #require(try self.request())
            var response = ApiVersionsResponse()
            response.apiKeys = apis.map { key, range in
                var api = ApiVersionsResponse.Api()
                api.apiKey = key.rawValue
                api.minVersion = range.lowerBound
                api.maxVersion = range.upperBound
                return api
            }
            try self.answer(
                Frame.encode(response, version: header.version, correlationID: header.correlationID))
        }

        func ask() -> Answer {
            let answer = Answer()
            self.connection.send(
                MetadataRequest(), deadline: Instant(self.loop.now).advanced(by: .seconds(5))
            ) { answer.result = $0 }
            self.connection.flush()
            return answer
        }
    }

    private final class Answer {
        var result: Result<MetadataResponse, ApusError>?

        var error: ApusError? {
            guard case .failure(let error)? = self.result else { return nil }
            return error
        }
    }

    @Test("it asks in its highest version, and uses the highest that both know")
    func negotiates() throws {
        let peer = try Peer()
        try peer.negotiate([(.metadata, 0...5), (.produce, 99...100)])
        #expect(peer.ready.count == 1)
        #expect(peer.connection.version(of: .metadata) == 5)
        #expect(peer.connection.version(of: .metadata, upTo: 3) == 3)
        #expect(peer.connection.version(of: .produce) == nil)
        #expect(peer.connection.version(of: .fetch) == nil)
    }

    @Test("a broker that does not know the version is asked again in one that it knows")
    func fallsBack() throws {
        let peer = try Peer()
        let first = try #require(try peer.request())
        #expect(first.version == ApiVersionsRequest.versions.upperBound)
        try peer.answer(Frame.apiVersionsFallback(correlationID: first.correlationID, served: 0...2))
        try peer.negotiate([(.metadata, 0...1)])
        #expect(peer.connection.version(of: .metadata) == 1)
    }

    @Test("a broker that refuses every version is given up")
    func refusesAll() throws {
        let peer = try Peer()
        for _ in 0..<4 {
            guard let header = try peer.request() else { break }
            try peer.answer(Frame.apiVersionsFallback(correlationID: header.correlationID, served: 0...0))
        }
        #expect(peer.ready.count == 1)
        #expect(throws: ApusError.self) { try peer.ready.first?.get() }
    }

    @Test("answers go to those who asked, in order")
    func answers() throws {
        let peer = try Peer()
        try peer.negotiate([(.metadata, 0...5)])
        let first = peer.ask()
        let header = try #require(try peer.request())
        let second = peer.ask()
        let next = try #require(try peer.request())
        for (header, name) in [(header, "one"), (next, "two")] {
            var response = MetadataResponse()
            response.clusterID = name
            try peer.answer(Frame.encode(response, version: 5, correlationID: header.correlationID))
        }
        #expect(try first.result?.get().clusterID == "one")
        #expect(try second.result?.get().clusterID == "two")
    }

    @Test("an answer with another number ends the connection and all who wait hear of it")
    func wrongNumber() throws {
        let peer = try Peer()
        try peer.negotiate([(.metadata, 0...5)])
        let answers = [peer.ask(), peer.ask()]
        let header = try #require(try peer.request())
        try peer.answer(
            Frame.encode(MetadataResponse(), version: 5, correlationID: header.correlationID &+ 7))
        #expect(answers.map(\.error?.code) == [.corrupt, .corrupt])
        #expect(peer.closed.count == 1 && !peer.channel.isActive)
    }

    @Test("an answer that is not one ends the connection, and the error names the broker")
    func unreadable() throws {
        let peer = try Peer(responseBytesMax: 100)
        try peer.negotiate([(.metadata, 0...5)])
        let answer = peer.ask()
        try peer.answer([ByteBuffer(integer: Int32(101))])
        #expect(answer.error?.code == .corrupt && answer.error?.broker == "b:1")
        #expect(answer.error?.isIndefinite == true)
    }

    @Test("an answer that does not come in time ends the connection")
    func late() throws {
        let peer = try Peer()
        try peer.negotiate([(.metadata, 0...5)])
        let answer = peer.ask()
        peer.loop.advanceTime(by: .seconds(4))
        #expect(answer.result == nil)
        peer.loop.advanceTime(by: .seconds(2))
        #expect(answer.error?.code == .timedOut && answer.error?.isIndefinite == true)
    }

    @Test("a connection that goes away leaves its requests in doubt, and later ones unsent")
    func goesAway() throws {
        let peer = try Peer()
        try peer.negotiate([(.metadata, 0...5)])
        let answer = peer.ask()
        peer.channel.close(promise: nil)
        peer.loop.run()
        #expect(answer.error?.code == .connectionLost && answer.error?.isIndefinite == true)
        let later = peer.ask()
        #expect(later.error?.isIndefinite == false && later.error?.isRetryable == true)
        #expect(peer.closed.count == 1)
    }

    private static let bare: [ClientConfiguration.Login] = [
        .plain(user: "alice", password: "secret"), .token { "token" },
    ]

    /// What the broker hears after the versions were told; nil: nothing.
    private static func firstWords(
        _ login: ClientConfiguration.Login, at address: String, tls: Bool = false
    ) throws -> (heard: ApiKey?, refusal: ApusError?) {
        var configuration = ClientConfiguration(servers: ["b:1"])
        configuration.login = login
        if tls { configuration.tls = ClientConfiguration.TLS() }
        let environment = ClientEnvironment(
            wallTime: { Timestamp(rawValue: 0) }, randomness: SeededRandomness(seed: 1), loop: EmbeddedEventLoop(),
            connect: { _, handler in handler.loop.makeFailedFuture(ChannelError.ioOnClosedChannel) })
        let peer = try Peer(
            login: BrokerLogin(configuration, environment), at: SocketAddress(ipAddress: address, port: 9092))
        try peer.negotiate([(.saslHandshake, 0...1), (.saslAuthenticate, 0...2)])
        let heard = try peer.request()?.apiKey
        guard case .failure(let error)? = peer.ready.first else { return (heard, nil) }
        return (heard, error)
    }

    @Test("a password or token that others could read is not sent over a network without TLS")
    func inClear() throws {
        for login in Self.bare {
            for address in ["10.0.0.7", "2001:db8::1", "::ffff:10.0.0.7"] {
                let (heard, refusal) = try Self.firstWords(login, at: address)
                #expect(heard == nil)
                #expect(refusal?.code == .loginInClear && refusal?.isRetryable == false)
                #expect(try Self.firstWords(login, at: address, tls: true).heard == .saslHandshake)
            }
            for address in ["127.0.0.1", "::1", "127.8.9.1", "::ffff:127.0.0.1"] {
                #expect(try Self.firstWords(login, at: address).heard == .saslHandshake)
            }
        }
        let scram = try Self.firstWords(.scramSHA512(user: "alice", password: "secret"), at: "10.0.0.7")
        #expect(scram.heard == .saslHandshake)
    }

    @Test("an API that the broker does not serve is refused without asking it")
    func unsupported() throws {
        let peer = try Peer()
        try peer.negotiate([(.produce, 3...5)])
        #expect(peer.ask().error?.code == .unsupported)
        #expect(peer.channel.isActive)
    }
}
