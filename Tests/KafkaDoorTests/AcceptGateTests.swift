import ApusAccess
import ApusCore
import ApusFakes
import NIOCore
import NIOEmbedded
import Testing

@testable import KafkaDoor

/// A listener's gate on an embedded channel, with time moved by hand.
@Suite("The gate of a listener")
struct AcceptGateTests {
    private final class Stage {
        let loop = EmbeddedEventLoop()
        let clock = SimulatedClock()
        let server: EmbeddedChannel
        let passed = Passed()
        var rules = QuotaRules(fallback: [:])

        init() {
            self.server = EmbeddedChannel(loop: self.loop)
        }

        func open(_ caps: ConnectionCaps.Rules = ConnectionCaps.Rules(), mustLogIn: Bool = false) throws {
            let gate = AcceptGate(
                caps: caps, mustLogIn: mustLogIn, logger: LogLines().logger,
                quota: { [unowned self] in self.rules.acceptQuota(of: $0) }, now: { [clock] in clock.now })
            try self.server.pipeline.syncOperations.addHandlers([gate, self.passed])
        }

        /// Somebody connects.
        func connect(from address: String) throws -> EmbeddedChannel {
            let child = EmbeddedChannel(loop: self.loop)
            child.remoteAddress = try SocketAddress(ipAddress: address, port: 50_000)
            self.server.pipeline.syncOperations.fireChannelRead(NIOAny(child as any Channel))
            return child
        }

        func pass(_ time: Duration) {
            self.clock.advance(by: time)
            self.loop.advanceTime(by: .nanoseconds(time.wholeNanoseconds))
        }
    }

    /// What the gate let through.
    private final class Passed: ChannelInboundHandler {
        typealias InboundIn = any Channel
        private(set) var channels: [ObjectIdentifier] = []

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            self.channels.append(ObjectIdentifier(Self.unwrapInboundIn(data)))
        }
    }

    @Test("over its quota an address is served later, in the order in which it came; others at once")
    func waits() throws {
        let stage = Stage()
        try stage.open()
        try stage.rules.set(.accepts, of: QuotaEntity(address: .named("10.0.0.1")), to: 1)
        let loud = try (0..<6).map { _ in try stage.connect(from: "10.0.0.1") }
        #expect(stage.passed.channels == loud[..<3].map { ObjectIdentifier($0) })
        let other = try stage.connect(from: "10.0.0.2")
        #expect(stage.passed.channels.last == ObjectIdentifier(other))
        stage.pass(.milliseconds(999))
        #expect(stage.passed.channels.count == 4)
        for (index, late) in loud[3...].enumerated() {
            stage.pass(index == 0 ? .milliseconds(1) : .seconds(1))
            #expect(stage.passed.channels.last == ObjectIdentifier(late))
            #expect(stage.passed.channels.count == 5 + index)
        }
    }

    @Test("who does not log in makes room for the next, the oldest first, after a moment of peace")
    func makesRoom() throws {
        let stage = Stage()
        var caps = ConnectionCaps.Rules()
        caps.unauthenticated = 3
        try stage.open(caps, mustLogIn: true)
        func closed(_ channels: [EmbeddedChannel]) -> [Bool] { channels.map { $0.closeFuture.isFulfilled } }
        let silent = try (0..<3).map { _ in try stage.connect(from: "10.0.0.1") }
        // They have come just now: whoever comes next is turned away.
        let early = try stage.connect(from: "10.0.0.2")
        stage.loop.run()
        #expect(closed(silent + [early]) == [false, false, false, true])
        // The first one logs in, and stays.
        stage.server.pipeline.fireUserInboundEventTriggered(AcceptGate.LoggedIn(channel: ObjectIdentifier(silent[0])))
        let second = try stage.connect(from: "10.0.0.2")
        stage.pass(.seconds(2))
        let third = try stage.connect(from: "10.0.0.2")
        stage.loop.run()
        #expect(closed(silent + [second, third]) == [false, true, false, false, false])
        let fourth = try stage.connect(from: "10.0.0.2")
        stage.loop.run()
        #expect(closed(silent + [second, third, fourth]) == [false, true, true, false, false, false])
        // A close makes room once.
        second.close(promise: nil)
        stage.loop.run()
        let others = try (0..<2).map { _ in try stage.connect(from: "10.0.0.3") }
        stage.loop.run()
        #expect(closed(others) == [false, true])
    }

    @Test("who would wait too long is turned away")
    func turnedAway() throws {
        let stage = Stage()
        try stage.open()
        try stage.rules.set(.accepts, of: QuotaEntity(address: .others), to: 0.5)
        let channels = try (0..<5).map { _ in try stage.connect(from: "10.0.0.1") }
        stage.loop.run()
        #expect(channels.map { $0.closeFuture.isFulfilled } == [false, false, false, false, true])
        stage.pass(.seconds(10))
        #expect(stage.passed.channels == channels[..<4].map { ObjectIdentifier($0) })
    }

    @Test("a quota that is made, changed or taken away holds for the next connection")
    func live() throws {
        let stage = Stage()
        try stage.open()
        let entity = try QuotaEntity(address: .named("10.0.0.1"))
        func isServed() throws -> Bool {
            let child = try stage.connect(from: "10.0.0.1")
            return stage.passed.channels.last == ObjectIdentifier(child)
        }
        for _ in 0..<20 { #expect(try isServed()) }
        try stage.rules.set(.accepts, of: entity, to: 0.5)
        #expect(try [isServed(), isServed(), isServed()] == [true, false, false])
        try stage.rules.set(.accepts, of: entity, to: nil)
        #expect(try isServed())
        stage.pass(.seconds(10))
        #expect(stage.passed.channels.count == 24)
        try stage.rules.set(.accepts, of: entity, to: 100)
        for _ in 0..<100 { #expect(try isServed()) }
    }

    @Test("those that wait count as connections, and go when the listener does")
    func closing() throws {
        let stage = Stage()
        try stage.open()
        try stage.rules.set(.accepts, of: QuotaEntity(address: .others), to: 0.5)
        let channels = try (0..<3).map { _ in try stage.connect(from: "10.0.0.1") }
        _ = try stage.server.finish(acceptAlreadyClosed: true)
        stage.loop.run()
        #expect(channels.map { $0.closeFuture.isFulfilled } == [false, true, true])
        stage.pass(.seconds(10))
        #expect(stage.passed.channels.count == 1)
    }
}

extension EventLoopFuture {
    /// Whether it is, by now. For futures of an embedded loop.
    fileprivate var isFulfilled: Bool {
        let flag = Held<Bool>()
        self.whenComplete { _ in flag.put(true) }
        (self.eventLoop as? EmbeddedEventLoop)?.run()
        return flag.value == true
    }
}
