import ApusBroker
import ApusCore
import NIOCore
import NIOEmbedded
import Testing
import WebFormats

@testable import EdgeDoor

@Suite("Beginning with the newest record of each key")
struct LastValueTests {
    private func bench(partitions: Int32 = 3) throws -> EdgeBench {
        let bench = try EdgeBench()
        try bench.create("prices", partitions: partitions, ["cleanup.policy": "compact"])
        return bench
    }

    private func subscribe(_ client: BenchClient, _ channel: String = "prices") throws -> String {
        try #require(
            try client.ask(#"{"id":1,"op":"subscribe","channel":"\#(channel)","from":"last_value"}"#).first)
    }

    private func values(_ client: BenchClient) throws -> [String] {
        try client.records().map { String($0.split(separator: "=").last ?? "") }
    }

    @Test("the newest record of each key comes first, deleted keys do not, and then what is new, each once")
    func newest() throws {
        let bench = try self.bench()
        for round in 1...5 {
            for key in ["a", "b", "c", "d"] { try bench.write("prices", ["\(key)\(round)"], key: key) }
        }
        try bench.erase("prices", key: "c")
        let client = try bench.socket()
        #expect(try self.subscribe(client).contains(#""recovered":true"#))
        bench.run()
        #expect(try self.values(client).sorted() == ["a5", "b5", "d5"])
        try bench.write("prices", ["a6"], key: "a")
        #expect(try self.values(client) == ["a6"])
        let stream = try bench.client("/v1/stream?channel=prices&from=last_value")
        #expect(try stream.head().hasPrefix("HTTP/1.1 200"))
        bench.run()
        let text = try stream.text()
        #expect(text.contains("a6") && text.contains("b5") && text.contains("d5"))
        #expect(!text.contains("a5") && !text.contains("c5") && !text.contains("deleted"))
        let key = try bench.socket()
        _ = try self.subscribe(key, "prices/b")
        bench.run()
        #expect(try self.values(key) == ["b5"])
    }

    @Test("what is written while the newest are looked for comes behind them", arguments: 1...20 as ClosedRange<UInt64>)
    func meanwhile(seed: UInt64) throws {
        var random = seed
        func next(_ count: UInt64) -> UInt64 {
            random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return (random >> 33) % count
        }
        let bench = try self.bench(partitions: Int32(1 + next(3)))
        var newest: [String: Int] = [:]
        var count = 0
        func write() throws {
            count += 1
            let key = "k\(next(5))"
            newest[key] = count
            try bench.write("prices", ["\(key):\(count)"], key: key)
        }
        for _ in 0..<(next(30)) { try write() }
        let before = newest
        let client = try bench.socket()
        try client.sendOnly(#"{"id":1,"op":"subscribe","channel":"prices","from":"last value"}"#)
        for _ in 0..<(1 + next(10)) {
            for _ in 0..<next(3) { bench.loops[0].run() }
            try write()
        }
        bench.run()
        let seen = try self.values(client).filter { $0.hasPrefix("k") }.map {
            $0.split(separator: ":").map(String.init)
        }
        var last: [String: Int] = [:]
        var numbers: Set<Int> = []
        for pair in seen {
            let number = try #require(Int(pair[1]))
            #expect(numbers.insert(number).inserted, "twice")
            #expect(number > last[pair[0]] ?? 0, "older behind newer")
            last[pair[0]] = number
            #expect(number >= before[pair[0]] ?? 0, "not the newest")
        }
        #expect(last == newest)
    }

    @Test("a topic that keeps all records is refused in words")
    func refused() throws {
        let bench = try EdgeBench()
        try bench.create("news")
        let client = try bench.socket()
        #expect(try self.subscribe(client, "news").contains("cleanup.policy=compact"))
        let read = #"{"id":2,"op":"read","channel":"news","from":"last value"}"#
        #expect(try client.ask(read).first?.contains("for subscriptions") == true)
        #expect(try bench.client("/v1/stream?channel=news&from=last_value").head().hasPrefix("HTTP/1.1 400"))
    }

    @Test("more keys than are remembered are refused, and less is remembered than the keys' records")
    func tooMany() throws {
        let partition = PartitionIndex(rawValue: 0)
        var scan = LastValueScan([partition: KeptRange(start: .zero, end: Offset(rawValue: 1_000_000))])
        let long = String(repeating: "k", count: 1_000)
        let records = (0..<9_000).map { index in
            EdgeRecord(
                partition: partition, offset: Offset(rawValue: Int64(index)), timestamp: .none,
                key: ByteBuffer(string: "\(long)\(index)"), value: ByteBuffer(), headers: [])
        }
        #expect(throws: LastValueScan.Fault.tooManyKeys) {
            try scan.found(.records(partition, records, next: Offset(rawValue: 9_000)))
        }
    }

    @Test("who has gone or was given all holds nothing, and leaves his turn to others")
    func turns() throws {
        let bench = try self.bench()
        for key in 0..<20 { try bench.write("prices", ["v\(key)"], key: "k\(key)") }
        let clients = try (0..<20).map { _ in try bench.socket() }
        for client in clients {
            try client.sendOnly(#"{"id":1,"op":"subscribe","channel":"prices","from":"last value"}"#)
        }
        for client in clients[..<5] { client.channel.close(promise: nil) }
        bench.run()
        bench.run()
        for client in clients[5...] { #expect(try self.values(client).filter { $0.hasPrefix("v") }.count == 20) }
        let held = BenchBox<Int>()
        bench.door.run(on: 0) { held.put($0.lastValuesHeld) }
        bench.run()
        #expect(held.value == 0)
    }
}

extension EdgeBench {
    /// A record without a value.
    func erase(_ topic: String, key: String) throws {
        let done = BenchBox<[Result<WrittenPlace, BrokerError>]>()
        self.broker.write(
            [AddressedMessage(Message(key: ByteBuffer(string: key), value: nil), partition: nil)], to: .name(topic),
            timeout: .seconds(5), spread: 0, client: .embedded, on: self.loops[0]
        ) { done.put($0) }
        self.run()
        for result in try #require(done.value) { _ = try result.get() }
    }
}

extension BenchClient {
    /// Sends a text, and lets nothing happen yet.
    func sendOnly(_ text: String) throws {
        var frame = ByteBuffer()
        frame.writeInteger(UInt8(0x81))
        frame.writeInteger(UInt8(0x80 | text.utf8.count))
        frame.writeInteger(UInt32(0))
        frame.writeString(text)
        try self.channel.writeInbound(frame)
    }
}
