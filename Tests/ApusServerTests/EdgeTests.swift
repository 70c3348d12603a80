import ApusClient
import ApusCore
import ApusServer
import Foundation
import NIOCore
import Testing

/// The whole way: records come in over the Kafka protocol and leave over WebSocket and as server-sent events, with one
/// offset, through cut connections and restarts.
@Suite("The edge of a server", .timeLimit(.minutes(10)))
struct EdgeTests {
    private let bench: ServerBench

    init() throws {
        self.bench = try ServerBench()
    }

    private var configuration: ServerConfiguration {
        var configuration = self.bench.configuration
        configuration.http = ServerAddress(host: "127.0.0.1", port: 0)
        configuration.loops = 2
        return configuration
    }

    /// Sends numbers over the Kafka protocol, each with its own text, spread over keys.
    private func produce(_ numbers: Range<Int>, to topic: String, on server: ApusServer) async throws {
        var configuration = ClientConfiguration(servers: ["\(server.kafka)"])
        configuration.callTimeout = .seconds(60)
        let pad = String(repeating: "x", count: 400)
        try await ApusClient(configuration).withConnection { client in
            try await client.withProducer(.init(topic: topic, linger: .milliseconds(1))) { producer in
                for number in numbers {
                    try await producer.send(
                        ProducerRecord(
                            ByteBuffer(string: "{\"n\":\(number),\"pad\":\"\(pad)\"}"),
                            key: ByteBuffer(string: "key \(number % 10)")))
                }
            }
        }
    }

    /// What a client that keeps its last cursor has seen.
    private struct Seen: Sendable {
        var cursor = ""
        /// Offset and number, in the order in which they came, by partition.
        var records: [Int: [(offset: Int, number: Int)]] = [:]
        var missed = 0
        var events: [String] = []

        var count: Int { self.records.values.reduce(0) { $0 + $1.count } }

        mutating func take(_ texts: [String]) throws {
            for text in texts {
                let object = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
                if let cursor = object["cursor"] as? String { self.cursor = cursor }
                if let event = object["event"] as? String { self.events.append(event) }
                for range in object["missing"] as? [[String: Int]] ?? [] {
                    self.missed += (range["to"] ?? 0) - (range["from"] ?? 0)
                }
                for record in object["records"] as? [[String: Any]] ?? [] {
                    let partition = try #require(record["partition"] as? Int)
                    let offset = try #require(record["offset"] as? Int)
                    // Where only lengths matter the value is no object.
                    let number = (record["value"] as? [String: Any])?["n"] as? Int ?? -1
                    self.records[partition, default: []].append((offset, number))
                }
            }
        }

        /// Each number once, and the offsets of a partition one behind the other.
        func expectAll(_ numbers: Range<Int>) {
            #expect(self.records.values.flatMap { $0.map(\.number) }.sorted() == Array(numbers))
            for records in self.records.values {
                let offsets = records.map(\.offset)
                #expect(offsets == Array((offsets.first ?? 0)..<(offsets.first ?? 0) + offsets.count))
            }
        }
    }

    private func subscribed(_ server: ApusServer, _ topic: String, _ more: String = "") async throws -> EdgeClient {
        let client = try await EdgeClient.socket(try #require(server.http))
        _ = try await client.ask(1, #""op":"connect""#)
        let answer = try await client.ask(2, #""op":"subscribe","channel":"\#(topic)"\#(more)"#)
        #expect(answer.contains(#""ok""#), "\(answer)")
        return client
    }

    /// Takes from a client until it has seen so many records.
    /// - Parameter mayClose: the broker may close it for being slow: what it saw by then is taken.
    private func follow(
        _ client: EdgeClient, _ seen: inout Seen, until count: Int, mayClose: Bool = false
    ) async throws {
        while seen.count < count {
            await client.wait { texts, _ in !texts.isEmpty }
            let texts = client.take()
            if texts.isEmpty, mayClose, client.codes.allSatisfy({ $0 == 4500 }) { return }
            if texts.isEmpty {
                throw EdgeClient.Failure(words: "closed after \(seen.count) of \(count): \(client.codes)")
            }
            try seen.take(texts)
        }
    }

    @Test("what Kafka clients send reaches a WebSocket and an event stream, with the same offsets")
    func kafka() async throws {
        try await self.bench.serve(self.configuration) { server in
            _ = try await server.createTopic("news", partitions: 3)
            let socket = try await self.subscribed(server, "news")
            let stream = try await EdgeClient.stream(try #require(server.http), "channel=news")
            await stream.wait { texts, _ in !texts.isEmpty }
            // Less than what a socket may be owed: on a busy machine these clients are slow.
            try await self.produce(0..<1000, to: "news", on: server)
            var (first, second) = (Seen(), Seen())
            try await self.follow(socket, &first, until: 1000)
            try await self.follow(stream, &second, until: 1000)
            first.expectAll(0..<1000)
            second.expectAll(0..<1000)
            for partition in 0..<3 {
                let read = try await server.read(
                    "news", from: .zero, partition: PartitionIndex(rawValue: Int32(partition)))
                #expect(read.first?.offset.rawValue == first.records[partition]?.first.map { Int64($0.offset) })
            }
            try await socket.close()
            try await stream.close()
        }
    }

    @Test("clients whose connections are cut while records flow are given each record once, in order")
    func cuts() async throws {
        try await self.bench.serve(self.configuration) { server in
            _ = try await server.createTopic("news", partitions: 4)
            try await self.produce(0..<500, to: "news", on: server)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await self.produce(500..<12_000, to: "news", on: server) }
                for number in 0..<6 {
                    group.addTask { try await self.reconnecting(number, server, until: 12_000) }
                }
                try await group.waitForAll()
            }
        }
    }

    private func reconnecting(_ number: Int, _ server: ApusServer, until count: Int) async throws {
        var seen = Seen()
        let isStream = number % 3 == 2
        var round = 0
        while seen.count < count {
            round += 1
            let client: EdgeClient
            if isStream {
                let start = seen.cursor.isEmpty ? "&from=earliest" : ""
                let header = seen.cursor.isEmpty ? "" : "Last-Event-ID: \(seen.cursor)\r\n"
                client = try await EdgeClient.stream(
                    try #require(server.http), "channel=news&slow=close\(start)", header)
            } else {
                let start = seen.cursor.isEmpty ? #","from":"earliest""# : #","cursor":"\#(seen.cursor)""#
                client = try await self.subscribed(server, "news", start + #","slow":"close""#)
            }
            // Cut off somewhere in between, at another place every time.
            let goal = min(count, seen.count + 200 + (number * 37 + round * 101) % 1500)
            try await self.follow(client, &seen, until: goal, mayClose: true)
            try await client.close()
            try seen.take(client.take())
        }
        seen.expectAll(0..<count)
        #expect(seen.missed == 0 && round > 3)
    }

    @Test("a cursor outlives the broker that gave it")
    func restart() async throws {
        var seen = Seen()
        try await self.bench.serve(self.configuration) { server in
            _ = try await server.createTopic("news", partitions: 2)
            let client = try await self.subscribed(server, "news", #","from":"earliest""#)
            try await self.produce(0..<200, to: "news", on: server)
            try await self.follow(client, &seen, until: 200)
            try await self.produce(200..<300, to: "news", on: server)
        }
        // What the broker still pushed when it stopped is not kept: the client was away.
        let kept = seen
        try await self.bench.serve(self.configuration) { server in
            try await self.produce(300..<400, to: "news", on: server)
            let client = try await self.subscribed(server, "news", #","cursor":"\#(kept.cursor)""#)
            try await self.follow(client, &seen, until: 400)
            try await client.close()
        }
        seen.expectAll(0..<400)
    }

    @Test("a client that stops reading is told what it missed, and slows nobody")
    func slow() async throws {
        try await self.bench.serve(self.configuration) { server in
            _ = try await server.createTopic("news", partitions: 1)
            let (fast, lazy) = (try await self.subscribed(server, "news"), try await self.subscribed(server, "news"))
            try await lazy.stopReading()
            var all = Seen()
            for _ in 0..<60 {
                let value = String(repeating: "x", count: 200_000)
                _ = try await server.write(ServerRecord(value), to: "news")
                try await self.follow(fast, &all, until: all.count + 1)
            }
            #expect(all.count == 60 && all.events.isEmpty)
            try await lazy.goOnReading()
            var some = Seen()
            while some.count + some.missed < 60 {
                await lazy.wait { texts, _ in !texts.isEmpty }
                let texts = lazy.take()
                try #require(!texts.isEmpty)
                try some.take(texts)
            }
            #expect(some.events == ["lagging"] && some.count + some.missed == 60 && some.missed > 5)
            _ = try await server.write(ServerRecord("last"), to: "news")
            try await self.follow(lazy, &some, until: some.count + 1)
            #expect(some.records[0]?.last?.offset == 60)
        }
    }
}
