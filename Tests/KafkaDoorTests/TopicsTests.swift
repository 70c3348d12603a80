import ApusBroker
import ApusCore
import KafkaWire
import NIOCore
import NIOEmbedded
import Testing

@testable import KafkaDoor

@Suite("Metadata and topics on the wire")
struct TopicsTests {
    private static func metadata(_ names: [String]?, create: Bool = false) -> MetadataRequest {
        var request = MetadataRequest()
        request.topics = names?.map {
            var topic = MetadataRequest.Topic()
            topic.name = $0
            return topic
        }
        request.allowAutoTopicCreation = create
        return request
    }

    private static func creation(_ names: [String], partitions: Int32 = 1) -> CreateTopicsRequest {
        var request = CreateTopicsRequest()
        request.topics = names.map {
            var topic = CreateTopicsRequest.Topic()
            topic.name = $0
            topic.numPartitions = partitions
            topic.replicationFactor = 1
            return topic
        }
        return request
    }

    // MARK: Metadata

    @Test("all topics are an empty list in version 0, null later; an empty list later is none")
    func allTopics() throws {
        let bench = try DoorBench()
        try bench.create("a")
        try bench.create("b")
        #expect(try bench.ask(Self.metadata([]), version: 0).topics.count == 2)
        for version in 1...13 as ClosedRange<Int16> {
            #expect(try bench.ask(Self.metadata(nil), version: version).topics.count == 2)
            let none = try bench.ask(Self.metadata([]), version: version)
            #expect(none.topics.isEmpty)
            #expect(none.brokers.count == 1)
        }
    }

    @Test("a topic that is asked for twice is told once", arguments: [0, 8, 13] as [Int16])
    func twice(version: Int16) throws {
        let bench = try DoorBench()
        try bench.create("a")
        let told = try bench.ask(Self.metadata(["a", "none", "a", "none", "a"]), version: version).topics
        #expect(told.map(\.name) == ["a", "none"])
    }

    @Test("a broker is where its client came to, or where its listener says", arguments: [0, 13] as [Int16])
    func endpoint(version: Int16) throws {
        let bench = try DoorBench()
        let near = try #require(try bench.ask(Self.metadata([]), version: version).brokers.first)
        #expect((near.host, near.port, near.nodeID) == ("10.1.2.3", 9092, 3))
        bench.broker.advertise(Endpoint(host: "apus.example", port: 19092), for: "kafka")
        let told = try #require(try bench.ask(Self.metadata([]), version: version).brokers.first)
        #expect((told.host, told.port) == ("apus.example", 19092))
    }

    @Test("a topic tells its id, leader, epoch and replicas")
    func topic() throws {
        let bench = try DoorBench()
        try bench.create("t", partitions: 2)
        let response = try bench.ask(Self.metadata(["t"]), version: 12)
        let topic = try #require(response.topics.first)
        #expect(topic.topicID != .zero)
        #expect(topic.partitions.map(\.partitionIndex) == [0, 1])
        #expect(topic.partitions.allSatisfy { $0.leaderID == 3 && $0.replicaNodes == [3] && $0.isrNodes == [3] })
        #expect(topic.partitions.allSatisfy { $0.leaderEpoch == 1 })
        #expect(topic.topicAuthorizedOperations == Int32.min)
        #expect(response.clusterID == "bench")
        #expect(response.controllerID == 3)
    }

    @Test("what a client may do is told when it asks")
    func operations() throws {
        let bench = try DoorBench()
        try bench.create("t")
        var request = Self.metadata(["t"])
        request.includeTopicAuthorizedOperations = true
        request.includeClusterAuthorizedOperations = true
        let response = try bench.ask(request, version: 9)
        #expect(response.topics.first?.topicAuthorizedOperations == 3576)
        #expect(response.clusterAuthorizedOperations > 0)
    }

    @Test("a topic that is missing is made when the client allows it", arguments: [3, 4, 13] as [Int16])
    func autoCreate(version: Int16) throws {
        let bench = try DoorBench()
        let asked = Self.metadata(["new", "new2", "new"], create: true)
        try bench.send(asked, version: version)
        bench.loop.run()
        let replies = try bench.replies()
        let response = try bench.decode(try #require(replies.first), MetadataResponse.self, version: version)
        #expect(response.topics.map(\.errorCode) == [.none, .none])
        #expect(response.topics.allSatisfy { !$0.partitions.isEmpty })
        #expect(bench.broker.topics.count == 2)
    }

    @Test("a topic that is missing is not made when client or broker do not allow it, nor for all topics")
    func noAutoCreate() throws {
        let bench = try DoorBench()
        let refused = try bench.ask(Self.metadata(["new"]), version: 4)
        #expect(refused.topics.map(\.errorCode) == [.unknownTopicOrPartition])
        _ = try bench.ask(Self.metadata(nil, create: true), version: 4)
        #expect(bench.broker.topics.count == 0)
        let strict = try DoorBench(configuration: ["auto.create.topics.enable": "false"])
        let response = try strict.ask(Self.metadata(["new"], create: true), version: 4)
        #expect(response.topics.map(\.errorCode) == [.unknownTopicOrPartition])
        #expect(strict.broker.topics.count == 0)
    }

    @Test(
        "a name that no topic may have is not made", arguments: ["", ".", "..", "a/b", "a\u{0}b", "ü", "../../etc"]
    )
    func badNames(name: String) throws {
        let bench = try DoorBench()
        let response = try bench.ask(Self.metadata([name], create: true), version: 9)
        #expect(response.topics.map(\.errorCode) == [.invalidTopicException])
        let created = try bench.ask(Self.creation([name]), version: 5)
        #expect(created.topics.map(\.errorCode) == [.invalidTopicException])
        #expect(bench.broker.topics.count == 0)
    }

    @Test("topics are asked for by id from version 12 on")
    func byID() throws {
        let bench = try DoorBench()
        try bench.create("t")
        var known = MetadataRequest.Topic()
        known.name = nil
        known.topicID = try bench.topicID("t")
        var unknown = known
        unknown.topicID = WireUUID(high: 1, low: 1)
        var request = MetadataRequest()
        request.topics = [known, unknown]
        for version in [12, 13] as [Int16] {
            let response = try bench.ask(request, version: version)
            #expect(response.topics.map(\.errorCode) == [.none, .unknownTopicID])
            #expect(response.topics.map(\.name) == ["t", nil])
        }
        for version in [10, 11] as [Int16] {
            let response = try bench.ask(request, version: version)
            #expect(response.topics.map(\.errorCode) == [.invalidRequest, .invalidRequest])
        }
    }

    // MARK: Making and deleting

    @Test("a topic is made with what was asked for, and told from version 5 on", arguments: [2, 4, 5, 7] as [Int16])
    func create(version: Int16) throws {
        let bench = try DoorBench()
        let response = try bench.ask(Self.creation(["t"], partitions: 3), version: version)
        let topic = try #require(response.topics.first)
        #expect(topic.errorCode == KafkaErrorCode.none)
        #expect(bench.broker.topics.topic(named: "t")?.partitionCount == 3)
        guard version >= 5 else { return }
        #expect(topic.numPartitions == 3)
        #expect(topic.replicationFactor == 1)
        #expect(topic.configs?.contains { $0.name == "retention.ms" } == true)
        #expect(version < 7 || topic.topicID != .zero)
    }

    @Test("what can not be made is refused by name", arguments: [2, 7] as [Int16])
    func createRefused(version: Int16) throws {
        let bench = try DoorBench()
        try bench.create("there")
        func code(_ change: (inout CreateTopicsRequest.Topic) -> Void) throws -> KafkaErrorCode? {
            var request = Self.creation(["t"])
            change(&request.topics[0])
            return try bench.ask(request, version: version).topics.first?.errorCode
        }
        var odd = CreateTopicsRequest.Config()
        odd.name = "no.such.option"
        odd.value = "1"
        var wrong = CreateTopicsRequest.Config()
        wrong.name = "retention.ms"
        wrong.value = "soon"
        var assignment = CreateTopicsRequest.Assignment()
        assignment.brokerIDs = [3]
        #expect(try code { $0.name = "there" } == .topicAlreadyExists)
        #expect(try code { $0.numPartitions = 0 } == .invalidPartitions)
        #expect(try code { $0.replicationFactor = 3 } == .invalidReplicationFactor)
        #expect(try code { $0.configs = [odd] } == .invalidConfig)
        #expect(try code { $0.configs = [wrong] } == .invalidConfig)
        #expect(try code { $0.assignments = [assignment] } == .invalidRequest)
        #expect(
            try code {
                $0.assignments = [assignment, assignment]
                $0.numPartitions = -1
                $0.replicationFactor = -1
            } == .invalidReplicaAssignment
        )
        #expect(bench.broker.topics.count == 1)
    }

    @Test("a name given twice is refused once, and the others are made", arguments: [2, 7] as [Int16])
    func createTwice(version: Int16) throws {
        let bench = try DoorBench()
        let response = try bench.ask(Self.creation(["a", "b", "a"]), version: version)
        #expect(response.topics.map(\.name) == ["a", "b"])
        #expect(response.topics.map(\.errorCode) == [.invalidRequest, .none])
    }

    @Test("only asking whether it could be made makes nothing", arguments: [2, 7] as [Int16])
    func validateOnly(version: Int16) throws {
        let bench = try DoorBench()
        var request = Self.creation(["t"], partitions: 2)
        request.validateOnly = true
        let topic = try #require(try bench.ask(request, version: version).topics.first)
        #expect(topic.errorCode == KafkaErrorCode.none)
        #expect(version < 5 || topic.numPartitions == 2)
        #expect(bench.broker.topics.count == 0)
    }

    @Test("topics are deleted by name, and from version 6 on by id", arguments: [1, 5, 6] as [Int16])
    func delete(version: Int16) throws {
        let bench = try DoorBench()
        try bench.create("a")
        try bench.create("b")
        let id = try bench.topicID("b")
        var request = DeleteTopicsRequest()
        request.topicNames = ["a", "nobody", "a"]
        func named(_ name: String?, _ id: WireUUID = .zero) -> DeleteTopicsRequest.Topic {
            var topic = DeleteTopicsRequest.Topic()
            topic.name = name
            topic.topicID = id
            return topic
        }
        request.topics = [named("a"), named("nobody"), named("a")]
        let response = try bench.ask(request, version: version)
        #expect(response.responses.map(\.errorCode) == [.none, .unknownTopicOrPartition, .invalidRequest])
        #expect(bench.broker.topics.count == 1)
        guard version == 6 else { return }
        request.topics = [named(nil, id), named(nil, WireUUID(high: 5, low: 5)), named(nil), named("b", id)]
        let byID = try bench.ask(request, version: version)
        #expect(byID.responses.map(\.errorCode) == [.none, .unknownTopicID, .invalidRequest, .invalidRequest])
        #expect(byID.responses.first?.name == "b")
        #expect(bench.broker.topics.count == 0)
    }

    @Test("partitions are added; every topic asked for is in the answer", arguments: [0, 3] as [Int16])
    func createPartitions(version: Int16) throws {
        let bench = try DoorBench()
        try bench.create("a", partitions: 2)
        func growth(_ name: String, _ count: Int32) -> CreatePartitionsRequest.Topic {
            var topic = CreatePartitionsRequest.Topic()
            topic.name = name
            topic.count = count
            topic.assignments = nil
            return topic
        }
        var request = CreatePartitionsRequest()
        request.topics = [growth("a", 5), growth("nobody", 3), growth("twice", 2), growth("twice", 3)]
        request.validateOnly = true
        #expect(try bench.ask(request, version: version).results.first?.errorCode == KafkaErrorCode.none)
        #expect(bench.broker.topics.topic(named: "a")?.partitionCount == 2)
        request.validateOnly = false
        let response = try bench.ask(request, version: version)
        #expect(response.results.map(\.name) == ["a", "nobody", "twice"])
        #expect(response.results.map(\.errorCode) == [.none, .unknownTopicOrPartition, .invalidRequest])
        #expect(bench.broker.topics.topic(named: "a")?.partitionCount == 5)
        request.topics = [growth("a", 4)]
        #expect(try bench.ask(request, version: version).results.first?.errorCode == .invalidPartitions)
    }

    @Test("partitions of many topics come page by page")
    func pages() throws {
        let bench = try DoorBench()
        for name in ["a", "b", "c"] { try bench.create(name, partitions: 5) }
        var request = DescribeTopicPartitionsRequest()
        request.responsePartitionLimit = 4
        var seen: [String: [Int32]] = [:]
        var pages = 0
        repeat {
            let response = try bench.ask(request, version: 0)
            for topic in response.topics {
                seen[topic.name ?? "", default: []] += topic.partitions.map(\.partitionIndex)
            }
            request.cursor = response.nextCursor.map {
                var cursor = DescribeTopicPartitionsRequest.Cursor()
                cursor.topicName = $0.topicName
                cursor.partitionIndex = $0.partitionIndex
                return cursor
            }
            pages += 1
            try #require(pages < 20)
        } while request.cursor != nil
        #expect(seen == ["a": [0, 1, 2, 3, 4], "b": [0, 1, 2, 3, 4], "c": [0, 1, 2, 3, 4]])
        #expect(pages == 4)
    }

    @Test("a topic that is asked for by name and not there says so")
    func unknownTopicPartitions() throws {
        let bench = try DoorBench()
        try bench.create("a")
        var request = DescribeTopicPartitionsRequest()
        request.topics = ["zz", "a"].map {
            var topic = DescribeTopicPartitionsRequest.Topic()
            topic.name = $0
            return topic
        }
        let response = try bench.ask(request, version: 0)
        #expect(response.topics.map(\.name) == ["a", "zz"])
        #expect(response.topics.map(\.errorCode) == [.none, .unknownTopicOrPartition])
        #expect(response.nextCursor == nil)
    }
}
