import ApusAccess
import ApusBroker
import ApusCore
import KafkaWire
import NIOCore
import Testing

@testable import KafkaDoor

@Suite("Subscriptions on the wire")
struct SubscriptionApiTests {
    private static func wish(
        _ name: String, topics: [String] = ["orders"], periodMs: Int64 = 3_600_000, version: Int64 = 0
    ) -> PutSubscriptionRequest {
        var request = PutSubscriptionRequest()
        request.name = name
        request.topics = topics
        request.delivery = "stream"
        request.startKind = 1
        request.periodMs = periodMs
        request.expectedVersion = version
        return request
    }

    private static func bench() throws -> DoorBench {
        let bench = try DoorBench()
        try bench.create("orders")
        return bench
    }

    @Test("our APIs are served, and told to nobody")
    func untold() throws {
        let bench = try Self.bench()
        var request = ApiVersionsRequest()
        request.clientSoftwareName = "t"
        request.clientSoftwareVersion = "1"
        let told = try bench.ask(request, version: 3).apiKeys.map(\.apiKey)
        #expect(told.count > 10)
        #expect(told.allSatisfy { $0 < ApiKey.ownFirst })
        #expect(ApiTable.standard.all.filter(\.key.isOwn).count == 9)
        #expect(ApiTable.standard[.describeHoldings]?.key == .describeHoldings)
        for key in [-1, 31_999, 32_007, Int16.max, Int16.min] as [Int16] {
            #expect(ApiTable.standard[ApiKey(rawValue: key)] == nil)
        }
    }

    @Test("made, described, changed by its version, removed")
    func life() throws {
        let bench = try Self.bench()
        let made = try bench.ask(Self.wish("billing"), version: 0)
        #expect(made.errorCode == .none)
        #expect(made.owner == "User:ANONYMOUS")
        #expect(try bench.ask(Self.wish("billing"), version: 0).errorCode == .duplicateResource)
        var all = DescribeSubscriptionsRequest()
        all.names = nil
        let one = try #require(try bench.ask(all, version: 0).subscriptions.first)
        #expect((one.name, one.topics, one.periodMs, one.expiryMs) == ("billing", ["orders"], 3_600_000, -1))
        #expect(one.version == made.version)
        let longer = try bench.ask(
            Self.wish("billing", periodMs: 7_200_000, version: made.version), version: 0)
        #expect(longer.errorCode == .none)
        #expect(
            try bench.ask(Self.wish("billing", version: made.version), version: 0).errorCode
                == .invalidUpdateVersion)
        var removal = RemoveSubscriptionsRequest()
        removal.names = ["billing", "nobody"]
        #expect(try bench.ask(removal, version: 0).results.map(\.errorCode) == [.none, .resourceNotFound])
        #expect(try bench.ask(all, version: 0).subscriptions.isEmpty)
    }

    @Test(
        "what can not be is refused in words that name the field",
        arguments: [
            (Self.wish("s", periodMs: 0), "period: can not be zero"),
            (Self.wish("s", periodMs: -1), "period: can not be negative"),
            (Self.wish("s", periodMs: .max), "period: must be between"),
            (Self.wish("s", periodMs: 90 * 86_400_000), "period: 90 d is longer than topic 'orders' allows: 30 d"),
            (Self.wish("", periodMs: 1000), "name: a subscription's name can not be empty"),
            (Self.wish("a\u{1b}b"), "name: a subscription's name can not hold the control character U+001B"),
            (Self.wish(String(repeating: "x", count: 300)), "name: a subscription's name has at most 255 B"),
            (Self.wish("s", topics: []), "topics: name at least one topic"),
            (Self.wish("s", topics: ["a/b"]), "topics: "),
        ])
    func refused(request: PutSubscriptionRequest, words: String) throws {
        let bench = try Self.bench()
        let answer = try bench.ask(request, version: 0)
        #expect(answer.errorCode == .invalidRequest)
        #expect(answer.errorMessage?.hasPrefix(words) == true, "\(answer.errorMessage ?? "")")
    }

    @Test("odd words and numbers in a request are refused")
    func odd() throws {
        let bench = try Self.bench()
        for change in [
            { $0.delivery = "multicast" }, { $0.startKind = 7 }, { $0.pattern = "*" }, { $0.filter = "key or" },
            { $0.pushEndpoint = "ftp://example.org" }, { $0.deadLetterTopic = "dead" },
        ] as [(inout PutSubscriptionRequest) -> Void] {
            var request = Self.wish("s")
            change(&request)
            #expect(try bench.ask(request, version: 0).errorCode == .invalidRequest)
        }
        var listing = DescribeSubscriptionsRequest()
        listing.delivery = "multicast"
        #expect(try bench.ask(listing, version: 0).errorCode == .invalidRequest)
    }

    @Test("readers and holdings are told; topics that are not there are said so")
    func readers() throws {
        let bench = try Self.bench()
        _ = try bench.ask(Self.wish("billing"), version: 0)
        _ = try bench.ask(bench.produce(DoorBench.batch(["a", "b"]), to: "orders"), version: 9)
        var request = DescribeReadersRequest()
        request.topic = "orders"
        request.offset = 1
        let count = try bench.ask(request, version: 0)
        #expect(count.errorCode == .none)
        #expect(count.text == "0 of 1 has read it; waiting for billing")
        #expect(count.waitingFor == ["billing"])
        for offset in [2, -1, Int64.max, .min] as [Int64] {
            request.offset = offset
            #expect(try bench.ask(request, version: 0).errorCode == .offsetOutOfRange)
        }
        request.partitionIndex = -1
        #expect(try bench.ask(request, version: 0).errorCode == .unknownTopicOrPartition)
        var holdings = DescribeHoldingsRequest()
        holdings.topics = ["orders", "nothing"]
        let answer = try bench.ask(holdings, version: 0).topics
        #expect(answer.map(\.errorCode) == [.none, .unknownTopicOrPartition])
        #expect(answer[0].holders.map(\.subscription) == ["billing"])
        #expect(answer[0].totalBytes > 0)
        holdings.topics = [String](repeating: "orders", count: 1000)
        #expect(try bench.ask(holdings, version: 0).topics.count == Limits.holdingsTopicsMax)
    }

    @Test("who made a topic is told; over a cap the wire says which, and who grows it")
    func ownersAndCaps() throws {
        let bench = try DoorBench(configuration: ["apus.principal.partitions.max": "4"]) {
            $0.isAuthorizing = true
            $0.isAuditing = false
            $0.superUsers = [DoorBench.root]
        }
        try bench.become(DoorBench.alice)
        try bench.allow(.create, .cluster, "kafka-cluster")
        for operation in [.alter, .read] as [AccessOperation] { try bench.allow(operation, .topic, "*") }
        try bench.asRoot { try bench.create("roots") }
        func make(_ name: String, _ partitions: Int32) throws -> CreateTopicsResponse.Topic {
            var topic = CreateTopicsRequest.Topic()
            (topic.name, topic.numPartitions, topic.replicationFactor) = (name, partitions, 1)
            var request = CreateTopicsRequest()
            request.topics = [topic]
            return try #require(bench.ask(request, version: 7).topics.first)
        }
        #expect(try make("orders", 3).errorCode == .none)
        let refused = try make("bills", 2)
        #expect(refused.errorCode == .policyViolation)
        #expect(refused.errorMessage?.contains("at most 4 are allowed (apus.principal.partitions.max)") == true)
        var growth = CreatePartitionsRequest.Topic()
        (growth.name, growth.count, growth.assignments) = ("orders", 5, nil)
        var growing = CreatePartitionsRequest()
        growing.topics = [growth]
        #expect(try bench.ask(growing, version: 3).results.map(\.errorCode) == [.policyViolation])
        var metadata = MetadataRequest()
        var wanted = MetadataRequest.Topic()
        (wanted.name, metadata.allowAutoTopicCreation) = ("auto1", true)
        metadata.topics = [wanted]
        #expect(try bench.ask(metadata, version: 9).topics.map(\.errorCode) == [.none])
        metadata.topics?[0].name = "auto2"
        #expect(try bench.ask(metadata, version: 9).topics.map(\.errorCode) == [.policyViolation])
        var holdings = DescribeHoldingsRequest()
        holdings.topics = ["orders", "roots", "auto1"]
        let owners = try bench.ask(holdings, version: 0).topics.map(\.topicOwner)
        #expect(owners == ["User:alice", "User:root", "User:alice"])
    }

    @Test("who has no right to a subscription or its topics neither makes, sees nor removes it")
    func rights() throws {
        let bench = try DoorBench.authorizing()
        try bench.asRoot {
            try bench.create("orders")
            _ = try bench.ask(Self.wish("roots"), version: 0)
        }
        try bench.become(DoorBench.alice)
        var all = DescribeSubscriptionsRequest()
        all.names = nil
        #expect(try bench.ask(all, version: 0).subscriptions.isEmpty)
        #expect(try bench.ask(Self.wish("billing"), version: 0).errorCode == .groupAuthorizationFailed)
        try bench.allow(.create, .subscription, "billing")
        #expect(try bench.ask(Self.wish("billing"), version: 0).errorCode == .topicAuthorizationFailed)
        try bench.allow(.read, .topic, "orders")
        #expect(try bench.ask(Self.wish("billing"), version: 0).errorCode == .none)
        var other = Self.wish("billing2")
        other.owner = "User:root"
        try bench.allow(.create, .subscription, "billing2")
        #expect(try bench.ask(other, version: 0).errorCode == .clusterAuthorizationFailed)
        var removal = RemoveSubscriptionsRequest()
        removal.names = ["billing", "roots"]
        let codes = try bench.ask(removal, version: 0).results.map(\.errorCode)
        #expect(codes == [.groupAuthorizationFailed, .groupAuthorizationFailed])
        // What it may not see is counted without its name.
        _ = try bench.asRoot { try bench.ask(bench.produce(DoorBench.batch(["a"]), to: "orders"), version: 9) }
        try bench.become(DoorBench.alice)
        var request = DescribeReadersRequest()
        request.topic = "orders"
        #expect(try bench.ask(request, version: 0).waitingFor.contains("(hidden)"))
        request.topic = "elsewhere"
        #expect(try bench.ask(request, version: 0).errorCode == .topicAuthorizationFailed)
    }
}
