import ApusCore
import ApusFakes
import NIOCore
import Testing

@testable import ApusBroker

@Suite("Configuration")
struct ConfigurationTests {
    private func alter(
        _ world: TestBroker, _ resource: ConfigurationResource, _ alteration: ConfigurationAlteration,
        validateOnly: Bool = false
    ) -> BrokerError? {
        let answer = Once<[BrokerError?]>()
        world.broker.alterConfigurations(
            [(resource, alteration)], validateOnly: validateOnly, client: .embedded, on: world.loop
        ) { answer.put($0) }
        world.settle()
        return answer.value?.first ?? .timedOut
    }

    private func entry(
        _ world: TestBroker, _ resource: ConfigurationResource, _ name: String
    ) throws -> ConfigurationEntry {
        let entries = try world.broker.describeConfiguration(resource, client: .embedded).get()
        return try #require(entries.first { $0.name == name })
    }

    @Test("every option has a definition, whose default its own rule allows, and text that says what it does")
    func table() {
        for option in TopicOption.allCases {
            #expect(option.definition.rule.refusal(of: option.definition.value) == nil, "\(option)")
            #expect(option.definition.documentation.count > 20)
        }
        for option in BrokerOption.allCases {
            #expect(option.definition.rule.refusal(of: option.definition.value) == nil, "\(option)")
        }
        #expect(TopicOption.byBrokerName.count == TopicOption.allCases.count)
    }

    @Test("everything is described, with where each value comes from")
    func described() throws {
        let world = try TestBroker(configuration: ["log.retention.ms": "5000"])
        try world.create("t", ["segment.bytes": "20000"])
        let entries = try world.broker.describeConfiguration(.topic("t"), client: .embedded).get()
        #expect(entries.count == TopicOption.allCases.count)
        #expect(entries.map(\.name) == entries.map(\.name).sorted())
        let segment = try self.entry(world, .topic("t"), "segment.bytes")
        #expect(segment.value == "20000")
        #expect(segment.source == .topic)
        #expect(segment.synonyms.map(\.source) == [.topic, .default])
        let retention = try self.entry(world, .topic("t"), "retention.ms")
        #expect(retention.value == "5000")
        #expect(retention.source == .staticBroker)
        #expect(try self.entry(world, .topic("t"), "durability").isDefault)
        #expect(try self.entry(world, .broker(BrokerID(rawValue: 7)), "broker.id").value == "7")
        #expect(try self.entry(world, .broker(BrokerID(rawValue: 7)), "log.retention.ms").value == "5000")
        guard case .failure = world.broker.describeConfiguration(.topic("nowhere"), client: .embedded),
            case .failure = world.broker.describeConfiguration(.broker(BrokerID(rawValue: 8)), client: .embedded)
        else { return #expect(Bool(false)) }
    }

    @Test(
        "values that are not allowed are refused, with what would be",
        arguments: [
            ("retention.ms", "-2", "-1"), ("retention.ms", "soon", "whole number"), ("segment.bytes", "100", "16384"),
            ("cleanup.policy", "keep", "compact"), ("cleanup.policy", "delete,keep", "compact"),
            ("cleanup.policy", "", "delete"), ("durability", "maybe", "page-cache"), ("min.insync.replicas", "0", "1"),
            ("message.timestamp.type", "Never", "LogAppendTime"), ("compression.type", "brotli", "zstd"),
            ("unclean.leader.election.enable", "true", "false"), ("retention.sm", "5", "unknown"),
            ("min.cleanable.dirty.ratio", "1.5", "0 to 1"), ("max.message.bytes", "99999999999999999999", "whole"),
        ])
    func refused(_ name: String, _ value: String, _ hint: String) throws {
        let world = try TestBroker()
        let created = world.createAll([TopicSpecification(name: "t", configuration: [name: value])])[0]
        guard case .failure(.invalidConfiguration(let message)) = created else {
            return #expect(Bool(false), "\(created)")
        }
        #expect(message.contains(hint), "\(message)")
        try world.create("t")
        let altered = self.alter(world, .topic("t"), .change([.set(name: name, value: value)]))
        guard case .invalidConfiguration = altered else { return #expect(Bool(false)) }
    }

    @Test("a topic's configuration is changed, replaced and put back, and holds from the next request on")
    func altered() throws {
        let disk = SimulatedDisk()
        let store = FakeCoordinatorStore()
        let world = try TestBroker(disk: disk, store: store)
        try world.create("t", ["retention.ms": "1", "max.message.bytes": "1000"])
        #expect(try world.produce("t", Batch.of(["a"])).error == nil)
        let topic = ConfigurationResource.topic("t")
        #expect(self.alter(world, topic, .change([.set(name: "max.message.bytes", value: "10")])) == nil)
        guard case .batchTooLarge = try world.produce("t", Batch.of(["b"])).error else { return #expect(Bool(false)) }
        #expect(self.alter(world, topic, .change([.delete(name: "max.message.bytes")])) == nil)
        #expect(try world.produce("t", Batch.of(["b"])).error == nil)
        #expect(try self.entry(world, topic, "retention.ms").value == "1")
        #expect(self.alter(world, topic, .replace(["segment.bytes": "20000"]), validateOnly: true) == nil)
        #expect(try self.entry(world, topic, "retention.ms").value == "1")
        #expect(self.alter(world, topic, .replace(["segment.bytes": "20000"])) == nil)
        #expect(try self.entry(world, topic, "retention.ms").isDefault)
        #expect(self.alter(world, topic, .change([.append(name: "cleanup.policy", value: "delete")])) == nil)
        guard
            case .invalidConfiguration = self.alter(world, topic, .change([.append(name: "retention.ms", value: "1")]))
        else { return #expect(Bool(false)) }
        let after = try TestBroker(disk: disk, store: store, incarnation: 2, wasClean: false)
        #expect(try self.entry(after, topic, "segment.bytes").value == "20000")
    }

    @Test("a broker's default holds for every topic that says nothing itself, and survives")
    func brokerDefault() throws {
        let store = FakeCoordinatorStore()
        let world = try TestBroker(store: store)
        try world.create("plain")
        try world.create("own", ["retention.ms": "7"])
        #expect(self.alter(world, .broker(nil), .change([.set(name: "log.retention.ms", value: "9000")])) == nil)
        #expect(world.broker.topics.topic(named: "plain")?.configuration.retentionAge == .milliseconds(9000))
        #expect(world.broker.topics.topic(named: "own")?.configuration.retentionAge == .milliseconds(7))
        let own = ConfigurationResource.broker(BrokerID(rawValue: 7))
        #expect(self.alter(world, own, .change([.set(name: "log.retention.ms", value: "8000")])) == nil)
        let after = try TestBroker(store: store, incarnation: 2)
        let entry = try self.entry(after, .topic("plain"), "retention.ms")
        #expect(entry.value == "8000")
        #expect(entry.synonyms.map(\.source) == [.dynamicBroker, .dynamicDefaultBroker, .default])
        guard case .invalidConfiguration = self.alter(world, own, .change([.set(name: "broker.id", value: "9")])) else {
            return #expect(Bool(false))
        }
    }

    @Test("a broker does not start with a configuration it does not know")
    func unknown() throws {
        #expect(throws: BrokerError.self) { try TestBroker(configuration: ["log.retention.sm": "1"]) }
    }
}
