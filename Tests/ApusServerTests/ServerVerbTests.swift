import ApusBroker
import ApusCore
import ApusServer
import NIOCore
import Testing

/// The broker's verbs for Swift code in its own process.
@Suite struct ServerVerbTests {
    private let bench: ServerBench

    init() throws {
        self.bench = try ServerBench()
    }

    private func code(_ body: () async throws -> Void) async -> ServerError.Code? {
        do {
            try await body()
            return nil
        } catch {
            return (error as? ServerError)?.code
        }
    }

    @Test("a record is read as it was written, by the topic's name and by its id, also after a restart")
    func roundTrip() async throws {
        let id = TopicID(high: 0x6ba7_b810_9dad_41d1, low: 0x80b4_00c0_4fd4_30c8)
        let record = ServerRecord(
            value: ByteBuffer(bytes: [0, 1, 255]), key: ByteBuffer(string: "key"),
            headers: [.init("a", ByteBuffer(string: "1")), .init("b", nil)],
            timestamp: Timestamp(rawValue: 1_750_000_000_000))
        try await self.bench.serve(self.bench.configuration) { server in
            // One of its records is old, and must not go while the test runs.
            let made = try await server.create(
                "orders", id: id, partitions: 2, configuration: ["retention.ms": "-1"])
            #expect(made == id)
            let second = PartitionIndex(rawValue: 1)
            let first = try await server.write(record, to: "orders", partition: second)
            #expect(first == .zero)
            let next = try await server.write(ServerRecord("two"), to: .id(id), partition: second)
            #expect(next.rawValue == 1)
            let other = try await server.read("orders", from: .zero)
            #expect(other.isEmpty)
        }
        try await self.bench.serve(self.bench.configuration) { server in
            let stored = try await server.read(.id(id), from: .zero, partition: PartitionIndex(rawValue: 1))
            #expect(stored.map(\.offset.rawValue) == [0, 1])
            #expect(stored.first?.record == record)
            #expect(stored.first?.timestamp == record.timestamp)
            #expect(stored.last?.record.value == ByteBuffer(string: "two"))
            #expect(stored.last?.record.key == nil)
        }
    }

    @Test("a reader at the end is given the record that is written while it waits")
    func waits() async throws {
        try await self.bench.serve(self.bench.configuration) { server in
            try await server.create("t")
            async let read = server.read("t", from: .zero, wait: .seconds(60))
            try await server.write(ServerRecord("late"), to: "t")
            let found = try await read
            #expect(found.map(\.record.value) == [ByteBuffer(string: "late")])
        }
    }

    @Test("a thousand topics made at once each keep their record")
    func manyAtOnce() async throws {
        let count = 1000
        try await self.bench.serve(self.bench.configuration) { server in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<count {
                    group.addTask {
                        try await server.create("topic-\(number)")
                        try await server.write(ServerRecord("\(number)"), to: .name("topic-\(number)"))
                    }
                }
                try await group.waitForAll()
            }
        }
        try await self.bench.serve(self.bench.configuration) { server in
            #expect(server.recovery.topics == count)
            for number in stride(from: .zero, to: count, by: 97) {
                let stored = try await server.read(.name("topic-\(number)"), from: .zero)
                #expect(stored.map(\.record.value) == [ByteBuffer(string: "\(number)")])
            }
        }
    }

    @Test("what can not be done is refused by name")
    func refusals() async throws {
        try await self.bench.serve(self.bench.configuration) { server in
            let id = try await server.create("t")
            #expect(await self.code { try await server.create("t") } == .topicExists)
            #expect(await self.code { try await server.create("other", id: id) } == .topicExists)
            #expect(await self.code { try await server.create("..") } == .invalid)
            #expect(await self.code { try await server.create("u", partitions: 0) } == .invalid)
            #expect(await self.code { try await server.create("u", partitions: .max) } == .invalid)
            #expect(await self.code { try await server.create("u", configuration: ["no": "1"]) } == .invalid)
            #expect(await self.code { try await server.write(ServerRecord("x"), to: "none") } == .unknownTopic)
            let ninth = PartitionIndex(rawValue: 9)
            #expect(
                await self.code { try await server.write(ServerRecord("x"), to: "t", partition: ninth) }
                    == .unknownTopic)
            let large = ServerRecord(value: ByteBuffer(repeating: 1, count: 2_000_000))
            #expect(await self.code { try await server.write(large, to: "t") } == .tooLarge)
            #expect(await self.code { _ = try await server.read("t", from: Offset(rawValue: 7)) } == .offsetOutOfRange)
            try await server.deleteTopic("t")
            #expect(await self.code { _ = try await server.read(.id(id), from: .zero) } == .unknownTopic)
            #expect(await self.code { try await server.deleteTopic("t") } == .unknownTopic)
            let again = try await server.create("t")
            #expect(again != id)
        }
    }

    @Test("a verb after the end is refused, and a read that waits does not hold it up")
    func stopped() async throws {
        let server = try await ApusServer.start(self.bench.configuration, logger: ServerBench.logger)
        try await server.create("t")
        await withTaskGroup(of: ServerError.Code?.self) { group in
            group.addTask { await self.code { _ = try await server.read("t", from: .zero, wait: .seconds(60)) } }
            // Until it is parked it may be refused before it waits, which would show less.
            while await server.broker.parkedFetchCount() == 0 { await Task.yield() }
            await server.shutdown()
            for await code in group { #expect(code == nil || code == .shuttingDown) }
        }
        #expect(await self.code { try await server.create("u") } == .shuttingDown)
    }
}
