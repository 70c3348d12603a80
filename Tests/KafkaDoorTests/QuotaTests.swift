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

    /// Less than what is charged at a time.
    private static let small = DoorBench.batch([String(repeating: "x", count: 700)])

    @Test("who calls himself by another name with each request is charged for all of them")
    func names() throws {
        let bench = try Self.bench()
        try Self.set("producer_byte_rate", 100_000, bench)
        var served = 0
        while served < 400 {
            let request = bench.encode(
                try bench.produce(Self.small, to: "t"), version: 9, clientID: served % 2 == 0 ? "a" : "b")
            try bench.send(request)
            if try bench.replies().isEmpty { break }
            served += 1
        }
        // 200,000 bytes may be sent at once.
        #expect((200..<300).contains(served))
    }

    @Test("who makes a new connection for each request is charged for all of them")
    func connections() throws {
        let bench = try Self.bench()
        try Self.set("producer_byte_rate", 100_000, bench)
        var wait: Int32 = 0
        var served = 0
        while served < 400, wait == 0 {
            // What it does not get to say at the end counts as well.
            if served % 2 == 0 { bench.channel.close(promise: nil) } else { try bench.connection.close() }
            bench.loop.run()
            try bench.connect()
            try bench.become(DoorBench.alice)
            _ = try bench.ask(bench.produce(Self.small, to: "t"), version: 9)
            // More than is charged at a time, so that the answer tells of the debt.
            if served % 10 == 9 {
                wait = try bench.ask(bench.produce(Self.kilobyte, to: "t"), version: 9).throttleTimeMs
            }
            served += 1
        }
        #expect((200..<300).contains(served))
    }

    @Test("what is forbidden is not counted: no quota tells whether a topic is there, or how large it is")
    func forbiddenMutations() throws {
        let bench = try DoorBench.authorizing()
        try bench.asRoot { try bench.create("secret", partitions: 50) }
        try bench.become(DoorBench.alice)
        try Self.set("controller_mutation_rate", 1, bench)
        let id = try bench.topicID("secret")
        for _ in 0..<3 {
            var removal = DeleteTopicsRequest()
            removal.topicNames = ["secret"]
            let removed = try bench.ask(removal, version: 5)
            #expect(removed.responses.map(\.errorCode) == [.topicAuthorizationFailed] && removed.throttleTimeMs == 0)
            var state = DeleteTopicsRequest.Topic()
            state.name = nil
            state.topicID = id
            var byID = DeleteTopicsRequest()
            byID.topics = [state]
            let removedByID = try bench.ask(byID, version: 6)
            #expect(removedByID.responses.map(\.errorCode) == [.topicAuthorizationFailed])
            #expect(removedByID.throttleTimeMs == 0)
            var topic = CreatePartitionsRequest.Topic()
            topic.name = "secret"
            topic.count = 90
            var growth = CreatePartitionsRequest()
            growth.topics = [topic]
            let grown = try bench.ask(growth, version: 3)
            #expect(grown.results.map(\.errorCode) == [.topicAuthorizationFailed] && grown.throttleTimeMs == 0)
            var wish = CreateTopicsRequest.Topic()
            wish.name = "mine"
            wish.numPartitions = 50
            wish.replicationFactor = 1
            var creation = CreateTopicsRequest()
            creation.topics = [wish]
            let created = try bench.ask(creation, version: 7)
            #expect(created.topics.map(\.errorCode) == [.topicAuthorizationFailed] && created.throttleTimeMs == 0)
        }
        // None of that was counted.
        try bench.allow(.create, .topic, "mine")
        try bench.create("mine")
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
