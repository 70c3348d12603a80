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

    private static func isRefused(_ error: BrokerError?, naming options: [String]) -> Bool {
        guard case .invalidConfiguration(let text) = error else { return false }
        return options.allSatisfy { text.contains("'\($0)") }
    }

    @Test(
        "what comes to nothing is refused with the names of both settings, when a topic is made and when it is changed",
        arguments: [
            (
                ["apus.retention.mode": "consumed", "cleanup.policy": "compact"],
                ["apus.retention.mode", "cleanup.policy"]
            ),
            (
                ["apus.retention.mode": "consumed", "cleanup.policy": "compact,delete"],
                ["apus.retention.mode", "cleanup.policy"]
            ),
            (["apus.retention.mode": "consumed", "retention.ms": "-1"], ["apus.retention.mode", "retention.ms"]),
            (
                ["apus.retention.ceiling.ms": "1000", "retention.ms": "1001"],
                ["apus.retention.ceiling.ms", "retention.ms"]
            ),
            (["apus.retention.ceiling.ms": "1000"], ["apus.retention.ceiling.ms", "retention.ms"]),
            (
                ["apus.retention.ceiling.ms": "1000", "retention.ms": "-1"],
                ["apus.retention.ceiling.ms", "retention.ms"]
            ),
            (
                ["cleanup.policy": "compact", "min.compaction.lag.ms": "2", "max.compaction.lag.ms": "1"],
                ["min.compaction.lag.ms", "max.compaction.lag.ms"]
            ),
        ])
    func contradictions(_ wish: [String: String], _ names: [String]) throws {
        let world = try TestBroker()
        let configuration = wish.mapValues { Optional($0) }
        let made = world.createAll([TopicSpecification(name: "t", configuration: configuration)])
        guard case .failure(let error) = made.first else { return #expect(Bool(false), "\(wish) was taken") }
        #expect(Self.isRefused(error, naming: names), "\(error)")
        try world.create("u")
        let changes = wish.sorted { $0.key < $1.key }.map { ConfigurationChange.set(name: $0.key, value: $0.value) }
        #expect(Self.isRefused(self.alter(world, .topic("u"), .change(changes)), naming: names))
        #expect(Self.isRefused(self.alter(world, .topic("u"), .replace(configuration)), naming: names))
        #expect(world.broker.topics.topic(named: "u")?.configuration.overrides.isEmpty == true)
    }

    @Test("what makes sense is taken: a floor above the default ceiling, both without end, and both at once")
    func sense() throws {
        let world = try TestBroker()
        let year = "31536000000"
        try world.create("long", ["retention.ms": year])
        try world.create("forever", ["retention.ms": "-1"])
        try world.create("endless", ["retention.ms": "-1", "apus.retention.ceiling.ms": "-1"])
        try world.create("same", ["retention.ms": "1000", "apus.retention.ceiling.ms": "1000"])
        try world.create("read", ["retention.ms": "0", "apus.retention.mode": "consumed"])
        // One after the other it is refused, together it is taken.
        let alone = ConfigurationAlteration.change([.set(name: "retention.ms", value: year)])
        #expect(Self.isRefused(self.alter(world, .topic("same"), alone), naming: ["retention.ms"]))
        let both = ConfigurationAlteration.change([
            .set(name: "retention.ms", value: year), .set(name: "apus.retention.ceiling.ms", value: year),
        ])
        #expect(self.alter(world, .topic("same"), both) == nil)
    }

    @Test("a broker's defaults are held to the same, at its start and while it runs, by the broker's names")
    func brokerContradictions() throws {
        func refusal(_ configuration: [String: String]) -> BrokerError? {
            do {
                _ = try TestBroker(configuration: configuration)
                return nil
            } catch {
                return error as? BrokerError
            }
        }
        let contradictions: [([String: String], [String])] = [
            (
                ["apus.retention.mode": "consumed", "log.cleanup.policy": "compact"],
                ["apus.retention.mode", "log.cleanup.policy"]
            ),
            (["apus.retention.ceiling.ms": "1000"], ["apus.retention.ceiling.ms", "log.retention.ms"]),
            (
                ["group.min.session.timeout.ms": "20000", "group.max.session.timeout.ms": "10000"],
                ["group.min.session.timeout.ms", "group.max.session.timeout.ms"]
            ),
            (
                ["group.consumer.heartbeat.interval.ms": "46000"],
                ["group.consumer.heartbeat.interval.ms", "group.consumer.session.timeout.ms"]
            ),
        ]
        for (configuration, names) in contradictions {
            #expect(Self.isRefused(refusal(configuration), naming: names), "\(configuration)")
            let world = try TestBroker()
            let changes = configuration.sorted { $0.key < $1.key }
                .map { ConfigurationChange.set(name: $0.key, value: $0.value) }
            for broker in [nil, BrokerID(rawValue: 7)] {
                #expect(Self.isRefused(self.alter(world, .broker(broker), .change(changes)), naming: names))
            }
        }
    }

    @Test("what an older version took is read and kept, and refused when it is changed")
    func olderContradiction() throws {
        let store = FakeCoordinatorStore()
        let id = TopicID(high: 1, low: 1)
        let record = TopicRecord(
            name: "t", partitionCount: 1, bornIn: .zero,
            configuration: ["apus.retention.mode": "consumed", "cleanup.policy": "compact"])
        store.commit(
            StoreTransaction(changes: [
                .put(key: StoreKey.topic(id), value: record.encoded()),
                .put(key: StoreKey.name("t"), value: Array(id.description.utf8)),
            ])
        ) { _ in }
        let world = try TestBroker(store: store)
        #expect(world.broker.topics.topic(named: "t")?.configuration.compaction != nil)
        let change = ConfigurationAlteration.change([.set(name: "segment.bytes", value: "20000")])
        #expect(Self.isRefused(self.alter(world, .topic("t"), change), naming: ["apus.retention.mode"]))
        let repair = ConfigurationAlteration.change([.delete(name: "apus.retention.mode")])
        #expect(self.alter(world, .topic("t"), repair) == nil)
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
