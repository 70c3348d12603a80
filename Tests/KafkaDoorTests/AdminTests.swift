import ApusBroker
import ApusCore
import KafkaWire
import NIOCore
import Testing

@testable import KafkaDoor

@Suite("Cluster and configuration on the wire")
struct AdminTests {
    // MARK: ApiVersions

    @Test("what is advertised is what is served, and Produce from 0", arguments: 0...4 as ClosedRange<Int16>)
    func apiVersions(version: Int16) throws {
        let bench = try DoorBench()
        var request = ApiVersionsRequest()
        request.clientSoftwareName = "lib-x.y"
        request.clientSoftwareVersion = "1.0"
        let response = try bench.ask(request, version: version)
        #expect(response.errorCode == KafkaErrorCode.none)
        let told = Dictionary(uniqueKeysWithValues: response.apiKeys.map { ($0.apiKey, $0.minVersion...$0.maxVersion) })
        let best: [Int16: ClosedRange<Int16>] = [
            0: 0...13, 1: 4...17, 2: 1...8, 3: 0...13, 8: 2...10, 9: 1...10, 10: 0...5, 11: 0...9, 12: 0...4,
            13: 0...5, 14: 0...5, 15: 0...6, 16: 0...5, 42: 0...2, 47: 0...0, 68: 0...1, 69: 0...1, 18: 0...4,
            19: 2...7, 20: 1...6, 21: 0...2, 22: 0...5,
            23: 2...4, 29: 1...3, 30: 1...3, 31: 1...3, 48: 0...1, 49: 0...1, 32: 1...4, 33: 0...2, 35: 1...4,
            37: 0...3, 44: 0...1, 60: 0...2, 61: 0...0, 75: 0...0,
            17: 0...1, 36: 0...2, 50: 0...0, 51: 0...0,
        ]
        #expect(told == best)
    }

    @Test(
        "a client's name must be printable and plain from version 3 on",
        arguments: ["", "a b", "-a", "a-", "ü", "a\r\nb", "a/b"]
    )
    func softwareName(name: String) throws {
        let bench = try DoorBench()
        var request = ApiVersionsRequest()
        request.clientSoftwareName = name
        request.clientSoftwareVersion = "1"
        for version in [3, 4] as [Int16] {
            let response = try bench.ask(request, version: version)
            #expect(response.errorCode == .invalidRequest)
            #expect(response.apiKeys.isEmpty)
        }
        #expect(try bench.ask(request, version: 2).errorCode == KafkaErrorCode.none)
    }

    // MARK: Cluster

    @Test("the cluster is this broker", arguments: [0, 1, 2] as [Int16])
    func describeCluster(version: Int16) throws {
        let bench = try DoorBench()
        var request = DescribeClusterRequest()
        request.includeClusterAuthorizedOperations = true
        let response = try bench.ask(request, version: version)
        #expect(response.errorCode == KafkaErrorCode.none)
        #expect((response.clusterID, response.controllerID) == ("bench", 3))
        #expect(response.brokers.map(\.brokerID) == [3])
        #expect(response.brokers.map(\.host) == ["10.1.2.3"])
        #expect(response.clusterAuthorizedOperations > 0)
        guard version >= 1 else { return }
        request.endpointType = 2
        #expect(try bench.ask(request, version: version).errorCode == .mismatchedEndpointType)
        request.endpointType = 9
        #expect(try bench.ask(request, version: version).errorCode == .unsupportedEndpointType)
    }

    @Test("the data directory tells what partitions take", arguments: [1, 2, 3, 4] as [Int16])
    func logDirs(version: Int16) throws {
        let bench = try DoorBench()
        try bench.create("t")
        try bench.create("unwritten", partitions: 2)
        _ = try bench.ask(bench.produce(DoorBench.batch(["a"]), to: "t"), version: 9)
        let all = try bench.ask(describing(nil), version: version)
        #expect(all.results.map(\.logDir) == ["/data"])
        #expect(all.results.first?.topics.map(\.name) == ["t", "unwritten"])
        #expect(all.results.first?.topics.last?.partitions.map(\.partitionSize) == [0, 0])
        #expect((all.results.first?.topics.first?.partitions.first?.partitionSize ?? 0) > 0)
        let none = try bench.ask(describing([]), version: version)
        #expect(none.results.first?.topics.isEmpty == true)
        let one = try bench.ask(describing(["t"]), version: version)
        #expect(one.results.first?.topics.map(\.name) == ["t"])
    }

    private func describing(_ topics: [String]?) -> DescribeLogDirsRequest {
        var request = DescribeLogDirsRequest()
        request.topics = topics?.map {
            var topic = DescribeLogDirsRequest.Topic()
            topic.topic = $0
            topic.partitions = [0]
            return topic
        }
        return request
    }

    // MARK: Configuration

    private func describe(
        _ bench: DoorBench, _ type: Int8, _ name: String, keys: [String]? = nil, version: Int16 = 4
    ) throws -> DescribeConfigsResponse.Result {
        var resource = DescribeConfigsRequest.Resource()
        resource.resourceType = type
        resource.resourceName = name
        resource.configurationKeys = keys
        var request = DescribeConfigsRequest()
        request.resources = [resource]
        request.includeSynonyms = true
        request.includeDocumentation = true
        return try #require(try bench.ask(request, version: version).results.first)
    }

    @Test("a topic's options are told with source, type, synonyms and documentation", arguments: [1, 3, 4] as [Int16])
    func describeTopic(version: Int16) throws {
        let bench = try DoorBench()
        try bench.create("t", configuration: ["retention.ms": "1234"])
        let all = try describe(bench, 2, "t", version: version)
        #expect(all.errorCode == KafkaErrorCode.none)
        #expect(all.configs.count > 10)
        let retention = try #require(all.configs.first { $0.name == "retention.ms" })
        #expect((retention.value, retention.configSource, retention.readOnly) == ("1234", 1, false))
        #expect(retention.synonyms.first?.name == "retention.ms")
        if version >= 3 {
            #expect(retention.configType == 5)
            #expect(retention.documentation?.isEmpty == false)
        }
        let one = try describe(bench, 2, "t", keys: ["segment.bytes"], version: version)
        #expect(one.configs.map(\.name) == ["segment.bytes"])
        #expect(one.configs.first?.configSource == 5)
    }

    @Test("the broker's options are told; other brokers, topics that are not there and odd resources are refused")
    func describeOthers() throws {
        let bench = try DoorBench()
        let broker = try describe(bench, 4, "3")
        #expect(broker.errorCode == KafkaErrorCode.none)
        #expect(broker.configs.contains { $0.name == "num.partitions" })
        #expect(try describe(bench, 4, "").errorCode == KafkaErrorCode.none)
        #expect(try describe(bench, 4, "9").errorCode == .invalidRequest)
        #expect(try describe(bench, 4, "x").errorCode == .invalidRequest)
        #expect(try describe(bench, 2, "nobody").errorCode == .unknownTopicOrPartition)
        #expect(try describe(bench, 7, "t").errorCode == .invalidRequest)
    }

    @Test("altering replaces: what is not named goes back to its default", arguments: [0, 2] as [Int16])
    func alter(version: Int16) throws {
        let bench = try DoorBench()
        try bench.create("t", configuration: ["retention.ms": "1234", "segment.ms": "5678"])
        var config = AlterConfigsRequest.Config()
        config.name = "retention.ms"
        config.value = "4321"
        var resource = AlterConfigsRequest.Resource()
        resource.resourceType = 2
        resource.resourceName = "t"
        resource.configs = [config]
        var request = AlterConfigsRequest()
        request.resources = [resource]
        request.validateOnly = true
        #expect(try bench.ask(request, version: version).responses.first?.errorCode == KafkaErrorCode.none)
        #expect(bench.broker.topics.topic(named: "t")?.configuration.overrides.count == 2)
        request.validateOnly = false
        #expect(try bench.ask(request, version: version).responses.first?.errorCode == KafkaErrorCode.none)
        #expect(bench.broker.topics.topic(named: "t")?.configuration.overrides == ["retention.ms": "4321"])
        request.resources = [resource, resource]
        let twice = try bench.ask(request, version: version)
        #expect(twice.responses.map(\.errorCode) == [.invalidRequest, .invalidRequest])
        request.resources[0].resourceName = "nobody"
        request.resources[1].configs[0].value = "soon"
        let refused = try bench.ask(request, version: version)
        #expect(refused.responses.map(\.errorCode) == [.unknownTopicOrPartition, .invalidConfig])
    }

    private func change(_ name: String, _ operation: Int8, _ value: String?) -> IncrementalAlterConfigsRequest.Config {
        var config = IncrementalAlterConfigsRequest.Config()
        config.name = name
        config.configOperation = operation
        config.value = value
        return config
    }

    @Test("single values are set, deleted, appended and subtracted", arguments: [0, 1] as [Int16])
    func incremental(version: Int16) throws {
        let bench = try DoorBench()
        try bench.create("t", configuration: ["retention.ms": "1234", "segment.ms": "5678"])
        func alter(_ configs: [IncrementalAlterConfigsRequest.Config]) throws -> KafkaErrorCode? {
            var resource = IncrementalAlterConfigsRequest.Resource()
            resource.resourceType = 2
            resource.resourceName = "t"
            resource.configs = configs
            var request = IncrementalAlterConfigsRequest()
            request.resources = [resource]
            return try bench.ask(request, version: version).responses.first?.errorCode
        }
        #expect(
            try alter([change("retention.ms", 1, nil), change("segment.bytes", 0, "1048576")]) == KafkaErrorCode.none
        )
        #expect(
            bench.broker.topics.topic(named: "t")?.configuration.overrides
                == ["segment.ms": "5678", "segment.bytes": "1048576"]
        )
        #expect(try alter([change("cleanup.policy", 2, "delete")]) == KafkaErrorCode.none)
        #expect(try alter([change("retention.ms", 2, "1")]) == .invalidConfig)
        #expect(try alter([change("retention.ms", 0, nil)]) == .invalidRequest)
        #expect(try alter([change("retention.ms", 9, "1")]) == .invalidRequest)
        #expect(try alter([change("retention.ms", 0, "1"), change("retention.ms", 0, "2")]) == .invalidRequest)
        #expect(try alter([change("no.such.option", 0, "1")]) == .invalidConfig)
    }
}
