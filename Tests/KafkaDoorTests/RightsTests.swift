import ApusAccess
import ApusBroker
import ApusCore
import ApusFakes
import KafkaWire
import NIOCore
import NIOEmbedded
import Testing

@testable import KafkaDoor

@Suite("Rights on the wire")
struct RightsTests {
    private static func metadata(_ names: [String]?, create: Bool = false, operations: Bool = false) -> MetadataRequest
    {
        var request = MetadataRequest()
        request.topics = names?.map {
            var topic = MetadataRequest.Topic()
            topic.name = $0
            return topic
        }
        request.allowAutoTopicCreation = create
        request.includeTopicAuthorizedOperations = operations
        request.includeClusterAuthorizedOperations = operations
        return request
    }

    private static func code(_ bench: DoorBench, produceTo topic: String) throws -> KafkaErrorCode? {
        let answer = try bench.ask(bench.produce(DoorBench.batch(["a"]), to: topic), version: 9)
        return answer.responses.first?.partitionResponses.first?.errorCode
    }

    private static func code(_ bench: DoorBench, fetch topic: String, version: Int16 = 11) throws -> KafkaErrorCode? {
        let answer = try bench.ask(bench.fetch(topic, version: version), version: version)
        return answer.responses.first?.partitions.first?.errorCode
    }

    private static var newProducer: InitProducerIdRequest {
        var request = InitProducerIdRequest()
        request.transactionalID = nil
        return request
    }

    /// A bench with topics, and alice on the line.
    private static func bench(_ topics: String...) throws -> DoorBench {
        let bench = try DoorBench.authorizing()
        try bench.asRoot { for topic in topics { try bench.create(topic) } }
        try bench.become(DoorBench.alice)
        return bench
    }

    @Test("a topic that is not there and one that is hidden are told alike")
    func alike() throws {
        let bench = try Self.bench("secret")
        for version in [1, 8, 12, 13] as [Int16] {
            let answer = try bench.ask(Self.metadata(["secret", "nothing"], create: true), version: version)
            #expect(answer.topics.map(\.errorCode) == [.topicAuthorizationFailed, .topicAuthorizationFailed])
            #expect(answer.topics.allSatisfy { $0.topicID == .zero && $0.partitions.isEmpty && !$0.isInternal })
            #expect(try bench.ask(Self.metadata(nil), version: version).topics.isEmpty)
        }
        for topic in ["secret", "nothing"] {
            #expect(try Self.code(bench, produceTo: topic) == .topicAuthorizationFailed)
            #expect(try Self.code(bench, fetch: topic) == .topicAuthorizationFailed)
        }
    }

    @Test("of all topics a client is told those it may describe")
    func listed() throws {
        let bench = try Self.bench("a1", "a2", "b")
        try bench.allow(.describe, .topic, "a", prefixed: true)
        #expect(try Set(bench.ask(Self.metadata(nil), version: 9).topics.map(\.name)) == ["a1", "a2"])
        let described = try bench.ask(DescribeTopicPartitionsRequest(), version: 0)
        #expect(described.topics.map(\.name) == ["a1", "a2"])
    }

    @Test("what a client may do is told as it is")
    func operations() throws {
        let bench = try Self.bench("t")
        try bench.allow(.write, .topic, "t")
        let answer = try bench.ask(Self.metadata(["t"], operations: true), version: 9)
        #expect(answer.topics.first?.topicAuthorizedOperations == 1 << 4 | 1 << 8)
        #expect(answer.clusterAuthorizedOperations == 0)
        try bench.allow(.describe, .cluster, "kafka-cluster")
        try bench.allow(.alterConfigs, .cluster, "kafka-cluster")
        var cluster = DescribeClusterRequest()
        cluster.includeClusterAuthorizedOperations = true
        #expect(try bench.ask(cluster, version: 1).clusterAuthorizedOperations == 1 << 8 | 1 << 10 | 1 << 11)
    }

    @Test("a pattern stands for the topics that its member may describe, as the rules are now")
    func patterns() throws {
        let bench = try Self.bench("t1", "t2", "secret")
        let ids = try ["t1", "t2", "secret"].map { try #require(bench.broker.topics.topic(named: $0)).id }
        try bench.allow(.read, .group, "g")
        try bench.allow(.describe, .topic, "t", prefixed: true)
        var find = FindCoordinatorRequest()
        find.coordinatorKeys = ["g"]
        try #require(bench.ask(find, version: 4).coordinators.map(\.errorCode) == [.none])
        var request = ConsumerGroupHeartbeatRequest()
        (request.groupID, request.memberID, request.memberEpoch) = ("g", "m", 0)
        request.rebalanceTimeoutMs = 10_000
        request.topicPartitions = []
        request.subscribedTopicRegex = ".*"
        func told() throws -> Set<String>? {
            // Assignments are not made at the same instant.
            bench.clock.advance(by: .seconds(1))
            let answer = try bench.ask(request, version: 1)
            #expect(answer.errorCode == KafkaErrorCode.none)
            request.memberEpoch = answer.memberEpoch
            return answer.assignment.map { Set($0.topicPartitions.map { "\(TopicID($0.topicID))" }) }
        }
        #expect(try told() == Set(ids[..<2].map { "\($0)" }))
        request = ConsumerGroupHeartbeatRequest()
        (request.groupID, request.memberID, request.memberEpoch) = ("g", "m", request.memberEpoch)
        request.memberEpoch = 1
        #expect(try told() == nil)
        let denial = try DoorBench.rule(.describe, .topic, "t2", .deny)
        try bench.change([denial])
        #expect(try told() == ["\(ids[0])"])
        // Whoever looks into the group is told of topics by his own rights (KAFKA-18813).
        try bench.allow(.describe, .group, "g")
        var describe = ConsumerGroupDescribeRequest()
        describe.groupIDs = ["g"]
        #expect(try bench.ask(describe, version: 1).groups.map(\.errorCode) == [.none])
        try bench.change([DoorBench.rule(.describe, .topic, "t1", .deny)])
        #expect(try bench.ask(describe, version: 1).groups.map(\.errorCode) == [.topicAuthorizationFailed])
    }

    @Test("a right that is taken away is missed at the next request of a live connection")
    func revoked() throws {
        let bench = try Self.bench("t")
        let rule = try DoorBench.rule(.write, .topic, "t")
        try bench.change([rule])
        #expect(try Self.code(bench, produceTo: "t") == KafkaErrorCode.none)
        try bench.change([rule], remove: true)
        #expect(try Self.code(bench, produceTo: "t") == .topicAuthorizationFailed)
    }

    @Test("a fetch that waits is told at once that it may no longer read, and no record written since gets out")
    func revokedWhileParked() throws {
        let bench = try Self.bench("t")
        let rule = try DoorBench.rule(.read, .topic, "t")
        try bench.change([rule])
        try bench.send(bench.fetch("t", waitMs: 30_000), version: 11)
        #expect(try bench.replies().isEmpty)
        // A rule that takes nothing from it lets it wait.
        try bench.allow(.describe, .topic, "other")
        #expect(try bench.replies().isEmpty)
        try bench.change([rule], remove: true)
        let replies = try bench.replies()
        let answer = try bench.decode(try #require(replies.first), FetchResponse.self, version: 11)
        #expect(answer.responses.first?.partitions.first?.errorCode == .topicAuthorizationFailed)
    }

    @Test("a fetch session loses the partitions that may no longer be read, and keeps the others")
    func revokedInSession() throws {
        let bench = try Self.bench("t", "u")
        let rules = try ["t", "u"].map { try DoorBench.rule(.read, .topic, $0) }
        try bench.change(rules)
        var request = try bench.fetch("t")
        request.topics += try bench.fetch("u").topics
        request.sessionEpoch = 0
        let begun = try bench.ask(request, version: 11)
        #expect(begun.sessionID != 0)
        try bench.change([rules[0]], remove: true)
        request.sessionID = begun.sessionID
        request.sessionEpoch = 1
        request.topics = []
        let next = try bench.ask(request, version: 11)
        #expect(next.responses.map(\.topic) == ["t"])
        #expect(next.responses.first?.partitions.map(\.errorCode) == [.topicAuthorizationFailed])
    }

    @Test("denial wins, a host counts, a prefix covers what begins with it")
    func rules() throws {
        let bench = try Self.bench("orders-eu", "orders-us", "other")
        try bench.allow(.write, .topic, "orders-", prefixed: true)
        try bench.change([try DoorBench.rule(.write, .topic, "orders-us", .deny)])
        #expect(try Self.code(bench, produceTo: "orders-eu") == KafkaErrorCode.none)
        #expect(try Self.code(bench, produceTo: "orders-us") == .topicAuthorizationFailed)
        #expect(try Self.code(bench, produceTo: "other") == .topicAuthorizationFailed)
        let host = try #require(AclHost("10.0.0.7"))
        try bench.change([try DoorBench.rule(.write, .topic, "other", from: host)])
        #expect(try Self.code(bench, produceTo: "other") == .topicAuthorizationFailed)
        try bench.become(DoorBench.alice, at: "::ffff:10.0.0.7")
        #expect(try Self.code(bench, produceTo: "other") == KafkaErrorCode.none)
    }

    @Test("a topic is made for who may make it, on the cluster or by its name; asking for it is not enough")
    func autoCreate() throws {
        let bench = try Self.bench()
        try bench.allow(.describe, .topic, "*")
        let refused = try bench.ask(Self.metadata(["new"], create: true), version: 9)
        #expect(refused.topics.map(\.errorCode) == [.topicAuthorizationFailed])
        #expect(bench.broker.topics.topic(named: "new") == nil)
        try bench.allow(.create, .topic, "new")
        #expect(try bench.ask(Self.metadata(["new"], create: true), version: 9).topics.map(\.errorCode) == [.none])
    }

    @Test("whoever may make a topic and not see its configuration is told so")
    func createdUnseen() throws {
        let bench = try Self.bench()
        try bench.allow(.create, .topic, "new")
        var topic = CreateTopicsRequest.Topic()
        topic.name = "new"
        topic.numPartitions = 2
        topic.replicationFactor = 1
        var request = CreateTopicsRequest()
        request.topics = [topic]
        let made = try #require(try bench.ask(request, version: 7).topics.first)
        #expect(made.errorCode == .none)
        #expect(made.topicConfigErrorCode == .topicAuthorizationFailed)
        #expect(made.configs == nil && made.numPartitions == -1)
    }

    @Test("an idempotent producer needs a right to write somewhere, or its own")
    func idempotent() throws {
        let bench = try Self.bench()
        #expect(try bench.ask(Self.newProducer, version: 4).errorCode == .clusterAuthorizationFailed)
        let rule = try DoorBench.rule(.idempotentWrite, .cluster, "kafka-cluster")
        try bench.change([rule])
        #expect(try bench.ask(Self.newProducer, version: 4).errorCode == .none)
        try bench.change([rule], remove: true)
        try bench.allow(.write, .topic, "some-", prefixed: true)
        #expect(try bench.ask(Self.newProducer, version: 4).errorCode == .none)
    }

    /// Alice may write to as many topics, `t-0` and so on, each by a rule of its own.
    private static func manyRules(_ count: Int) -> CreateAclsRequest {
        var request = CreateAclsRequest()
        request.creations = (0..<count).map { number in
            var creation = CreateAclsRequest.Creation()
            creation.resourceType = ResourceType.topic.rawValue
            creation.resourceName = "t-\(number)"
            creation.principal = "User:alice"
            creation.host = "*"
            creation.operation = AccessOperation.write.rawValue
            creation.permissionType = AccessPermission.allow.rawValue
            return creation
        }
        return request
    }

    /// All of alice's rules about topics of this name, or any.
    private static func removal(of name: String? = nil) -> DeleteAclsRequest {
        var filter = DeleteAclsRequest.Filter()
        filter.resourceTypeFilter = ResourceType.topic.rawValue
        filter.resourceNameFilter = name
        filter.patternTypeFilter = 1
        filter.principalFilter = "User:alice"
        filter.hostFilter = nil
        filter.operation = 1
        filter.permissionType = 1
        var removal = DeleteAclsRequest()
        removal.filters = [filter]
        return removal
    }

    @Test("ten thousand rules made by one request decide each for itself, and go with one filter")
    func manyRules() throws {
        let bench = try Self.bench("t-9999", "u")
        let made = try bench.asRoot { try bench.ask(Self.manyRules(10_000), version: 3) }
        #expect(made.results.count == 10_000 && made.results.allSatisfy { $0.errorCode == .none })
        #expect(bench.broker.access.acls.acls.count == 10_000)
        #expect(try Self.code(bench, produceTo: "t-9999") == KafkaErrorCode.none)
        #expect(try Self.code(bench, produceTo: "u") == .topicAuthorizationFailed)
        let removed = try bench.asRoot { try bench.ask(Self.removal(), version: 3) }
        #expect(removed.filterResults.map(\.matchingAcls.count) == [10_000])
        #expect(bench.broker.access.acls.acls.isEmpty)
        #expect(try Self.code(bench, produceTo: "t-9999") == .topicAuthorizationFailed)
    }

    @Test("more filters than are held against all rules at once are refused, and nothing is removed")
    func tooManyFilters() throws {
        let bench = try Self.bench("t")
        try bench.allow(.write, .topic, "t")
        let before = bench.broker.access.acls.acls.count
        var filter = DeleteAclsRequest.Filter()
        filter.resourceTypeFilter = 1
        filter.patternTypeFilter = 1
        filter.operation = 1
        filter.permissionType = 1
        var removal = DeleteAclsRequest()
        removal.filters = Array(repeating: filter, count: Limits.aclFiltersPerRequestMax + 1)
        let refused = try bench.asRoot { try bench.ask(removal, version: 3) }
        #expect(refused.filterResults.allSatisfy { $0.errorCode == .invalidRequest && $0.matchingAcls.isEmpty })
        #expect(before > 0 && bench.broker.access.acls.acls.count == before)
    }

    @Test("rules are compiled aside: until they are, requests are served by those before, and then by the new ones")
    func aside() throws {
        let bench = try DoorBench.authorizing(aside: EmbeddedEventLoop())
        try bench.asRoot { for topic in ["t-7", "t-8"] { try bench.create(topic) } }
        try bench.become(DoorBench.alice)
        func change<Request: KafkaRequest>(_ request: Request, _ before: KafkaErrorCode, _ after: KafkaErrorCode) throws
            -> Request.Response
        {
            // Who changes has a connection of its own, which waits for its answer.
            try bench.asRoot { try bench.send(request, version: 3) }
            #expect(try bench.replies().isEmpty, "the loop that serves does nothing of it")
            let working = try bench.connection.client
            bench.runAside()
            let answer = try #require(try bench.replies().first)
            #expect(working.allows(.write, onTopic: "t-7") == (before == .none), "a view is of one moment")
            #expect(try Self.code(bench, produceTo: "t-7") == after)
            return try bench.decode(answer, Request.Response.self, version: 3)
        }
        _ = try change(Self.manyRules(100), .topicAuthorizationFailed, .none)
        _ = try change(Self.removal(of: "t-7"), .none, .topicAuthorizationFailed)
        #expect(try Self.code(bench, produceTo: "t-8") == KafkaErrorCode.none)
        #expect(bench.broker.access.acls.acls.count == 99)
    }

    @Test("rules that can not be are refused one by one, and the others are made")
    func oddRules() throws {
        let bench = try Self.bench()
        func creation(_ type: Int8, _ name: String, _ principal: String, _ host: String = "*", _ operation: Int8 = 3)
            -> CreateAclsRequest.Creation
        {
            var creation = CreateAclsRequest.Creation()
            creation.resourceType = type
            creation.resourceName = name
            creation.principal = principal
            creation.host = host
            creation.operation = operation
            creation.permissionType = 3
            return creation
        }
        var request = CreateAclsRequest()
        request.creations = [
            creation(2, "t", "User:bob"), creation(2, "", "User:bob"), creation(1, "t", "User:bob"),
            creation(2, "t", "bob"), creation(2, "t", "User:bob", "example.com"), creation(2, "t", "User:bob", "*", 1),
            creation(4, "my-cluster", "User:bob"), creation(2, String(repeating: "x", count: 5000), "User:bob"),
        ]
        let made = try bench.asRoot { try bench.ask(request, version: 2) }
        #expect(made.results.map { $0.errorCode == .none } == [true] + [Bool](repeating: false, count: 7))
        #expect(made.results.dropFirst().allSatisfy { $0.errorCode == .invalidRequest && $0.errorMessage != nil })
        #expect(bench.broker.access.acls.acls.count == 1)
        // Who may not change rules learns nothing of what was wrong with them.
        let refused = try bench.ask(request, version: 2)
        #expect(refused.results.allSatisfy { $0.errorCode == .clusterAuthorizationFailed })
    }

    @Test("nobody but the system itself makes, writes or removes its own topics", arguments: [false, true])
    func internalTopics(isAuthorizing: Bool) throws {
        let bench = isAuthorizing ? try DoorBench.authorizing() : try DoorBench()
        if isAuthorizing { try bench.become(DoorBench.root) }
        var topic = CreateTopicsRequest.Topic()
        topic.name = "__apus_audit"
        topic.numPartitions = 1
        topic.replicationFactor = 1
        var request = CreateTopicsRequest()
        request.topics = [topic]
        #expect(try bench.ask(request, version: 7).topics.map(\.errorCode) == [.invalidTopicException])
        bench.broker.create([TopicSpecification(name: "__apus_audit")], client: .embedded, on: bench.loop) { _ in }
        bench.loop.run()
        #expect(try Self.code(bench, produceTo: "__apus_audit") == .invalidTopicException)
        #expect(try Self.code(bench, fetch: "__apus_audit") == KafkaErrorCode.none)
        var removal = DeleteTopicsRequest()
        removal.topicNames = ["__apus_audit"]
        #expect(try bench.ask(removal, version: 5).responses.map(\.errorCode) == [.invalidTopicException])
        // A name that only looks so is anybody's.
        try bench.create("__debezium-heartbeat")
        #expect(try Self.code(bench, produceTo: "__debezium-heartbeat") == KafkaErrorCode.none)
    }
}
