import ApusClient
import ApusCore
import ApusServer
import Foundation
import NIOCore
import Testing

/// The Swift client's administrative calls against the real broker.
@Suite("Administration through the Swift client", .timeLimit(.minutes(20)))
struct ClientAdminTests {
    private func withClient(_ body: (ApusClient) async throws -> Void) async throws {
        let bench = try ServerBench()
        try await bench.serve(bench.configuration) { server in
            var configuration = ClientConfiguration(servers: ["\(server.kafka)"])
            configuration.callTimeout = .seconds(300)
            configuration.allowsTopicCreation = false
            try await ApusClient(configuration).withConnection(body)
        }
    }

    private func code(_ body: () async throws -> Void) async -> ApusError.Code? {
        do {
            try await body()
            return nil
        } catch let error as ApusError {
            return error.code
        } catch {
            Issue.record("\(error)")
            return nil
        }
    }

    @Test("topics are made, described, listed, grown and deleted")
    func topics() async throws {
        try await self.withClient { client in
            let created = try await client.topics.create("orders", partitions: 2)
            #expect(created.partitions == 2 && created.id != .none)
            #expect(await self.code { try await client.topics.create("orders", partitions: 2) } == .topicExists)
            #expect(await self.code { try await client.topics.create("a/b") } == .invalidArgument)
            try await client.topics.create("later", partitions: 1, validateOnly: true)
            #expect(try await client.topics.list().map(\.name) == ["orders"])
            try await client.topics.grow("orders", toPartitions: 5)
            #expect(await self.code { try await client.topics.grow("orders", toPartitions: 5) } == .invalidArgument)
            let described = try await client.topics.describe("orders")
            #expect(described.partitions.count == 5 && described.id == created.id)
            #expect(described.partitions.allSatisfy { $0.leader != nil })
            try await client.topics.delete("orders")
            #expect(await self.code { try await client.topics.delete("orders") } == .unknownTopic)
            #expect(await self.code { _ = try await client.topics.describe("orders") } == .unknownTopic)
        }
    }

    @Test("several topics are made and deleted each by itself")
    func several() async throws {
        try await self.withClient { client in
            let made = try await client.topics.create([.init("a", partitions: 1), .init(".."), .init("b")])
            #expect(made.map { (try? $0.get())?.name } == ["a", nil, "b"])
            let gone = try await client.topics.delete(["a", "x", "b"])
            #expect(gone.map { (try? $0.get()) != nil } == [true, false, true])
        }
    }

    @Test("a topic's configuration is read, changed and put back")
    func configuration() async throws {
        try await self.withClient { client in
            try await client.topics.create("t", configuration: ["retention.ms": "60000"])
            func value(_ name: String) async throws -> ConfigurationEntry? {
                try await client.topics.configuration(of: "t").first { $0.name == name }
            }
            #expect(try await value("retention.ms")?.value == "60000")
            #expect(try await value("retention.ms")?.source == .topic)
            try await client.topics.configure("t", [.set("retention.ms", "5000"), .set("segment.bytes", "1048576")])
            #expect(try await value("retention.ms")?.value == "5000")
            try await client.topics.configure("t", [.remove("retention.ms")])
            #expect(try await value("retention.ms")?.isDefault == true)
            #expect(try await value("segment.bytes")?.value == "1048576")
            let wrong = await self.code { try await client.topics.configure("t", [.set("retention.ms", "soon")]) }
            #expect(wrong == .invalidConfiguration)
            #expect(await self.code { _ = try await client.topics.configuration(of: "x") } == .unknownTopic)
        }
    }

    @Test("trimmed records are gone, and the oldest offset is told")
    func trim() async throws {
        try await self.withClient { client in
            try await client.topics.create("t", partitions: 1)
            let zero = PartitionIndex(rawValue: 0)
            for number in 0..<10 { try await client.publish("\(number)", to: "t") }
            let oldest = try await client.topics.trim("t", before: [zero: Offset(rawValue: 4)])
            #expect(oldest == [zero: Offset(rawValue: 4)])
            #expect(try await client.topics.offsets(of: "t", at: .start)[zero]?.offset == Offset(rawValue: 4))
            let beyond = await self.code {
                try await client.topics.trim("t", before: [zero: Offset(rawValue: 400)])
            }
            #expect(beyond == .offsetOutOfRange)
            #expect(try await client.topics.trim("t", before: [zero: nil]) == [zero: Offset(rawValue: 10)])
            let lost = await self.code {
                for try await _ in client.read("t", from: .offset(Offset(rawValue: 4)), until: .end) {}
            }
            #expect(lost == nil || lost == .offsetOutOfRange)
        }
    }

    @Test("offsets by time and the largest timestamp")
    func offsets() async throws {
        try await self.withClient { client in
            try await client.topics.create("t", partitions: 1)
            let zero = PartitionIndex(rawValue: 0)
            // Retention removes what is old.
            let start = Int64(Date().timeIntervalSince1970 * 1000) - 100_000
            try await client.withProducer(.init(topic: "t", linger: .zero)) { producer in
                for time in [5, 9, 7] as [Int64] {
                    try await producer.sendAndWait(
                        ProducerRecord(ByteBuffer(string: "x"), timestamp: Timestamp(rawValue: start + time)))
                }
            }
            let found = try await client.topics.offsets(of: "t", at: .time(Timestamp(rawValue: start + 6)))
            #expect(found[zero]?.offset == Offset(rawValue: 1))
            #expect(found[zero]?.timestamp == Timestamp(rawValue: start + 9))
            let late = try await client.topics.offsets(of: "t", at: .time(Timestamp(rawValue: start + 10)))
            #expect(late.isEmpty)
            let largest = try await client.topics.offsets(of: "t", at: .largestTimestamp)
            #expect(largest[zero]?.offset == Offset(rawValue: 1))
        }
    }

    @Test("the cluster and its broker describe themselves")
    func cluster() async throws {
        try await self.withClient { client in
            let cluster = try await client.cluster.describe()
            let broker = try #require(cluster.brokers.first)
            #expect(cluster.brokers.count == 1 && cluster.clusterID?.isEmpty == false)
            #expect(try await !client.cluster.configuration(of: broker.id).isEmpty)
            try await client.topics.create("t", partitions: 1)
            try await client.publish("a record", to: "t")
            let directories = try await client.cluster.logDirectories(of: broker.id, topics: ["t"])
            #expect(directories.flatMap(\.replicas).contains { $0.topic == "t" && $0.byteCount.rawValue > 0 })
        }
    }

    @Test("reading a topic that is not there says so, and does not make it")
    func unknown() async throws {
        try await self.withClient { client in
            let code = await self.code { for try await _ in client.read("nothing") {} }
            #expect(code == .unknownTopic)
            let names = try await client.topics.list().map(\.name)
            #expect(names.isEmpty)
        }
    }

    @Test("a server that is not there is named in the error")
    func unreachable() async throws {
        let bench = try ServerBench()
        let server = try await ApusServer.start(bench.configuration, logger: ServerBench.logger)
        let address = "\(server.kafka)"
        await server.shutdown()
        var configuration = ClientConfiguration(servers: [address])
        configuration.callTimeout = .milliseconds(500)
        do {
            try await ApusClient(configuration).withConnection { _ in }
            Issue.record("somebody answered")
        } catch let error as ApusError {
            #expect(error.code == .unreachable && error.isRetryable)
            #expect(error.description.contains(address))
        }
    }
}
