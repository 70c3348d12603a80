import ApusAccess
import ApusBroker
import ApusCore
import ApusFakes
import NIOCore
import NIOEmbedded
import Synchronization
import Testing

@testable import EdgeDoor

@Suite("The quotas of the Kafka port, at the edge")
struct EndpointQuotaTests {
    private static let value = String(repeating: "x", count: 5000)

    private func client(_ bench: EdgeBench, _ name: String, _ channel: String? = "news") throws -> BenchClient {
        let client = try bench.webSocket()
        #expect(try client.ask(#"{"id":1,"op":"connect","client":"\#(name)"}"#).count == 1)
        if let channel { #expect(try client.ask(#"{"id":2,"op":"subscribe","channel":"\#(channel)"}"#).count == 1) }
        return client
    }

    @Test("a client over its quota of bytes waits for its pushes, and another does not")
    func pushed() throws {
        let bench = try EdgeBench()
        try bench.create("news")
        try bench.limit(clientID: "greedy", [.fetchedBytes: 1000])
        let (greedy, modest) = (try self.client(bench, "greedy"), try self.client(bench, "modest"))
        var given = 0
        for number in 0..<6 {
            try bench.write("news", ["\(number)\(Self.value)"])
            #expect(try modest.records().count == 1)
            given += try greedy.records().count
        }
        #expect(given < 6 && greedy.isOpen)
        // Its wait ends, and it is given the rest: the socket was never full.
        bench.advance(.seconds(40))
        given += try greedy.records().count { $0.hasPrefix("0:") }
        #expect(given == 6 && greedy.isOpen)
    }

    @Test("connections of one client have one quota, and whoever is muted for long is not taken for dead")
    func together() throws {
        let bench = try EdgeBench()
        try bench.create("news")
        let clients = try (0..<2).map { _ in try self.client(bench, "greedy") }
        try bench.limit(clientID: "greedy", [.fetchedBytes: 100])
        var given = [0, 0]
        for number in 0..<8 { try bench.write("news", ["\(number)\(Self.value)"]) }
        for round in 0..<12 {
            bench.advance(.seconds(20))
            for (index, client) in clients.enumerated() {
                for frame in try client.frames() {
                    if frame.hasPrefix(#"{"channel""#) { given[index] += 1 }
                    if frame.hasPrefix("frame 9") { try client.send(10, []) }
                }
                #expect(client.isOpen, "round \(round)")
            }
        }
        // Bounded debts: each wait is half a minute at most, and ends.
        #expect(given.allSatisfy { $0 > 0 })
    }

    @Test("an event stream has the quota of its user")
    func streamed() throws {
        let bench = try EdgeBench()
        try bench.create("news")
        try bench.limit(user: .others, [.fetchedBytes: 1000])
        let stream = try bench.client("/v1/stream?channel=news")
        _ = try stream.text()
        var given = ""
        for number in 0..<6 {
            try bench.write("news", ["\(number)\(Self.value)"])
            given += try stream.text()
        }
        func pushes() -> Int { given.split(separator: "\n").count { $0.hasPrefix("data: {\"channel\"") } }
        #expect(pushes() < 6 && stream.isOpen)
        bench.advance(.seconds(60))
        given += try stream.text()
        #expect(pushes() == 6 && stream.isOpen)
    }

    @Test("what is read of the past counts")
    func past() throws {
        let bench = try EdgeBench()
        try bench.create("news")
        try bench.write("news", (0..<40).map { "\($0)\(Self.value)" })
        try bench.limit(clientID: "greedy", [.fetchedBytes: 20_000])
        for operation in ["subscribe", "read"] {
            let greedy = try self.client(bench, "greedy", nil)
            _ = try greedy.ask(#"{"id":2,"op":"\#(operation)","channel":"news","from":"earliest"}"#)
            bench.run()
            _ = try greedy.frames()
            // It took 200 KB, and is not heard for some seconds.
            #expect(try greedy.ask(#"{"id":3,"op":"ping"}"#).isEmpty)
            bench.advance(.seconds(40))
            #expect(try greedy.frames().contains(#"{"id":3,"ok":{}}"#))
        }
    }

    @Test("a client over its quota of written bytes is not heard until it has waited")
    func written() throws {
        let bench = try EdgeBench()
        try bench.create("news")
        try bench.limit(clientID: "greedy", [.producedBytes: 1000])
        let (greedy, modest) = (try self.client(bench, "greedy", nil), try self.client(bench, "modest", nil))
        func write(_ client: BenchClient) throws -> Int {
            try client.ask(#"{"id":7,"op":"write","topic":"news","text":"\#(Self.value)"}"#).count
        }
        #expect(try write(modest) == 1)
        // What it wrote is there, and it is told so when it has waited.
        let reader = try self.client(bench, "reader")
        #expect(try write(greedy) == 0)
        #expect(try reader.records().count == 1)
        let connection = try greedy.channel.pipeline.syncOperations.handler(type: EndpointConnection.self)
        #expect(connection.mutedUntil != nil)
        #expect(try write(modest) == 1)
        bench.advance(.seconds(40))
        #expect(try greedy.frames().count { $0.contains(#""offset""#) } == 1)
        #expect(connection.mutedUntil == nil)
    }

    @Test("a client over its quota of time is not heard until it has waited")
    func worked() throws {
        // Every look at the clock takes a while.
        let clock = SlowClock()
        let bench = try EdgeBench(doorClock: clock)
        clock.begin(with: bench.clock)
        try bench.create("news")
        let busy = try self.client(bench, "busy", nil)
        let ping = #"{"id":3,"op":"ping"}"#
        for _ in 0..<20 { #expect(try busy.ask(ping).count == 1) }
        try bench.limit(clientID: "busy", [.requestTime: 1])
        var answers = 0
        for _ in 0..<20 { answers += try busy.ask(ping).count }
        #expect(answers < 20)
        bench.advance(.seconds(40))
        #expect(try busy.frames().contains(#"{"id":3,"ok":{}}"#) && busy.isOpen)
    }
}

/// Two milliseconds pass whenever somebody looks.
private final class SlowClock: Clock {
    private let state = Mutex<(clock: SimulatedClock, looks: Int64)>((SimulatedClock(), 0))

    /// From now on it goes with this one.
    func begin(with clock: SimulatedClock) { self.state.withLock { $0.clock = clock } }

    var now: Instant {
        self.state.withLock { state in
            state.looks += 1
            return state.clock.now.advanced(by: .milliseconds(2 * state.looks))
        }
    }

    var wallTime: Timestamp { self.state.withLock { $0.clock.wallTime } }
}

extension EdgeBench {
    /// Rates for whoever calls himself so, or is so.
    fileprivate func limit(
        clientID: String? = nil, user: QuotaEntity.Who? = nil, _ rates: [QuotaKind: Double?]
    ) throws {
        let done = BenchBox<Bool>()
        let entity = try QuotaEntity(user: user, clientID: clientID.map { .named(ExactText($0)) })
        self.broker.alterQuotas([QuotaAlteration(entity, rates)], client: .embedded, on: self.loops[0]) {
            done.put($0 == nil)
        }
        self.run()
        #expect(done.value == true)
    }
}
