import ApusAccess
import ApusBroker
import ApusCore
import KafkaWire
import NIOCore
import NIOEmbedded
import Testing

@testable import KafkaDoor

@Suite("Quotas on the wire")
struct QuotaTests {
    /// Sets a quota of alice, as an administrator would.
    private static func set(_ key: String, _ value: Double?, _ bench: DoorBench) throws {
        var entity = AlterClientQuotasRequest.Entity()
        entity.entityType = "user"
        entity.entityName = "alice"
        var operation = AlterClientQuotasRequest.Operation()
        operation.key = key
        operation.value = value ?? 0
        operation.remove = value == nil
        var entry = AlterClientQuotasRequest.Entry()
        entry.entity = [entity]
        entry.ops = [operation]
        var request = AlterClientQuotasRequest()
        request.entries = [entry]
        let answer = try bench.asRoot { try bench.ask(request, version: 1) }
        try #require(answer.entries.map(\.errorCode) == [.none])
    }

    private static func bench() throws -> DoorBench {
        let bench = try DoorBench.authorizing()
        try bench.asRoot { try bench.create("t") }
        try bench.allow(.all, .topic, "*")
        try bench.become(DoorBench.alice)
        return bench
    }

    private static let kilobyte = DoorBench.batch([String(repeating: "x", count: 1000)])

    @Test("who sends more than he may is answered at once, told how long to wait, and not heard for as long")
    func produced() throws {
        let bench = try Self.bench()
        try Self.set("producer_byte_rate", 1000, bench)
        var waits: [Int32] = []
        // Two seconds' worth may be sent at once.
        for _ in 0..<3 where waits.last ?? 0 == 0 {
            let answer = try bench.ask(bench.produce(Self.kilobyte, to: "t"), version: 9)
            #expect(answer.responses.first?.partitionResponses.first?.errorCode == KafkaErrorCode.none)
            waits.append(answer.throttleTimeMs)
        }
        let wait = try #require(waits.last)
        #expect((1...3000).contains(wait))
        try bench.send(ApiVersionsRequest(), version: 0)
        #expect(try bench.replies().isEmpty)
        bench.advance(seconds: Int(wait) / 1000 + 1)
        #expect(try bench.replies().count == 1)
    }

    @Test("what is fetched counts by itself, and a quota that is removed is none from then on")
    func fetched() throws {
        let bench = try Self.bench()
        for _ in 0..<5 { _ = try bench.ask(bench.produce(Self.kilobyte, to: "t"), version: 9) }
        try Self.set("consumer_byte_rate", 1000, bench)
        let first = try bench.ask(bench.fetch("t"), version: 11)
        #expect(first.throttleTimeMs > 0)
        #expect(try #require(first.responses.first?.partitions.first?.records).joined.readableBytes > 5000)
        bench.advance(seconds: 40)
        try Self.set("consumer_byte_rate", nil, bench)
        for _ in 0..<5 { #expect(try bench.ask(bench.fetch("t"), version: 11).throttleTimeMs == 0) }
    }

    @Test("two connections of a user share his quota")
    func shared() throws {
        let bench = try Self.bench()
        try Self.set("producer_byte_rate", 2000, bench)
        for _ in 0..<3 { _ = try bench.ask(bench.produce(Self.kilobyte, to: "t"), version: 9) }
        try bench.connect()
        try bench.become(DoorBench.alice)
        // 4,000 bytes may be sent at once, three of more than 1,000 went over the first connection.
        #expect(try bench.ask(bench.produce(Self.kilobyte, to: "t"), version: 9).throttleTimeMs > 0)
    }

    @Test("who makes more partitions than he may is refused before anything is made, and told when to come back")
    func mutations() throws {
        let bench = try Self.bench()
        try Self.set("controller_mutation_rate", 1, bench)
        func make(_ name: String) throws -> CreateTopicsResponse {
            var topic = CreateTopicsRequest.Topic()
            topic.name = name
            topic.numPartitions = 10
            topic.replicationFactor = 1
            var request = CreateTopicsRequest()
            request.topics = [topic]
            return try bench.ask(request, version: 7)
        }
        #expect(try make("first").topics.map(\.errorCode) == [.none])
        let refused = try make("second")
        #expect(refused.topics.map(\.errorCode) == [.throttlingQuotaExceeded])
        #expect((1...9000).contains(refused.throttleTimeMs))
        #expect(bench.broker.topics.topic(named: "second") == nil)
        bench.advance(seconds: 10)
        #expect(try make("second").topics.map(\.errorCode) == [.none])
    }

    @Test("without a login there is no quota unless somebody made one")
    func open() throws {
        let bench = try DoorBench()
        #expect(bench.broker.access.quotas.limit(.producedBytes, for: QuotaSubject(.anonymous, clientID: "a")) == nil)
        let closed = try DoorBench.authorizing()
        let limit = closed.broker.access.quotas.limit(.producedBytes, for: QuotaSubject(DoorBench.alice, clientID: "a"))
        #expect(limit?.rate == Limits.quotaBytesDefault)
    }

    @Test("quotas are described as they were set, by what is asked for")
    func described() throws {
        let bench = try Self.bench()
        try Self.set("producer_byte_rate", 1000, bench)
        try Self.set("consumer_byte_rate", 2000, bench)
        var component = DescribeClientQuotasRequest.Component()
        component.entityType = "user"
        component.matchType = 2
        var request = DescribeClientQuotasRequest()
        request.components = [component]
        let found = try bench.asRoot { try bench.ask(request, version: 1) }
        let entry = try #require(found.entries?.first)
        #expect(entry.entity.map(\.entityName) == ["alice"])
        #expect(entry.values.map(\.key) == ["consumer_byte_rate", "producer_byte_rate"])
        #expect(entry.values.map(\.value) == [2000, 1000])
        request.components[0].entityType = "client-id"
        #expect(try bench.asRoot { try bench.ask(request, version: 1) }.entries?.isEmpty == true)
    }
}
