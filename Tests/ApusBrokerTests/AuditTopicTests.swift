import ApusAccess
import ApusCore
import NIOCore
import Testing

@testable import ApusBroker

@Suite("The settings of the audit log's topic")
struct AuditTopicTests {
    private let bench: TestBroker
    private let root: ClientContext

    init() throws {
        let root = try #require(Principal(user: "root"))
        self.bench = try TestBroker {
            $0.isAuthorizing = true
            $0.isAuditing = true
            $0.superUsers = [root]
        }
        self.root = self.bench.broker.access.client(root, address: "10.0.0.1")
        self.bench.broker.audit.note(.login, "first", by: self.root)
        self.bench.settle()
    }

    /// As somebody with every right.
    private func alter(
        _ resource: ConfigurationResource, _ alteration: ConfigurationAlteration
    ) -> BrokerError? {
        Self.alter(self.bench, resource, alteration, as: self.root)
    }

    private static func alter(
        _ bench: TestBroker, _ resource: ConfigurationResource, _ alteration: ConfigurationAlteration,
        as client: ClientContext = .embedded
    ) -> BrokerError? {
        let answer = Once<[BrokerError?]>()
        bench.broker.alterConfigurations([(resource, alteration)], client: client, on: bench.loop) { answer.put($0) }
        bench.settle()
        return answer.value?.first ?? .shuttingDown
    }

    private func set(_ name: String, _ value: String, on topic: String = InternalTopic.audit) -> BrokerError? {
        self.alter(.topic(topic), .change([.set(name: name, value: value)]))
    }

    private func setDefault(_ name: String, _ value: String) -> BrokerError? {
        self.alter(.broker(nil), .change([.set(name: name, value: value)]))
    }

    private func refusal(_ error: BrokerError?) -> String {
        guard case .invalidConfiguration(let words)? = error else { return "not refused: \(String(describing: error))" }
        return words
    }

    private var configuration: TopicConfiguration? {
        self.bench.broker.topics.topic(named: InternalTopic.audit)?.configuration
    }

    /// Settings that would erase the log or end it, and the least that is taken in their place.
    static let forbidden = [
        ("cleanup.policy", "compact", "delete"), ("cleanup.policy", "compact,delete", "delete"),
        ("retention.ms", "604799999", "604800000"), ("retention.ms", "0", "-1"),
        ("retention.bytes", "1073741823", "1073741824"), ("retention.bytes", "0", "-1"),
        ("max.message.bytes", "65535", "65536"), ("segment.bytes", "1048575", "1048576"),
        ("message.timestamp.before.max.ms", "604799999", "604800000"), ("min.insync.replicas", "2", "1"),
    ]

    @Test(
        "what would erase it or end it is refused to everybody, with words that say what is taken", arguments: forbidden
    )
    func refused(name: String, value: String, least: String) throws {
        let before = try #require(self.configuration?.overrides)
        let words = self.refusal(self.set(name, value))
        #expect(words.hasPrefix("'\(name)' of __apus_audit must be ") && words.contains(least), "\(words)")
        // The older way to say it, which takes away all that it does not name.
        let replaced = self.refusal(self.alter(.topic(InternalTopic.audit), .replace([name: value])))
        #expect(replaced == words)
        #expect(self.configuration?.overrides == before)
        #expect(self.set(name, least) == nil)
        #expect(self.configuration?.overrides[name] == least)

        try self.bench.create("t")
        #expect(self.set(name, value, on: "t") == nil)
    }

    @Test("no default of the broker counts for it", arguments: forbidden)
    func defaults(name: String, value: String, least: String) throws {
        let option = try #require(TopicOption(rawValue: name))
        #expect(self.setDefault(option.brokerName, value) == nil)
        try self.bench.create("t")
        let other = try #require(self.bench.broker.topics.topic(named: "t")?.configuration)
        #expect(AuditTopic.rules.contains { $0.option == option && !$0.holds(other) }, "it counts for others")
        let audit = try #require(self.configuration)
        #expect(AuditTopic.rules.allSatisfy { $0.holds(audit) })
        // Nor can it be made to.
        let words = self.refusal(self.alter(.topic(InternalTopic.audit), .change([.delete(name: name)])))
        #expect(words.hasPrefix("'\(name)' of __apus_audit must be "), "\(words)")
    }

    @Test("where it sets nothing itself, defaults of the broker that would erase it are refused", arguments: forbidden)
    func inherited(name: String, value: String, least: String) throws {
        // As it was made by an older version, or changed by a tool that replaces all there is.
        #expect(self.alter(.topic(InternalTopic.audit), .replace([:])) == nil)
        let option = try #require(TopicOption(rawValue: name))
        let words = self.refusal(self.setDefault(option.brokerName, value))
        #expect(words.hasPrefix("'\(option.brokerName)' counts for __apus_audit"), "\(words)")
        #expect(words.hasSuffix("Set '\(name)' on __apus_audit first"), "\(words)")
        #expect(self.setDefault("auto.create.topics.enable", "false") == nil)
        #expect(self.set(name, least) == nil)
        #expect(self.setDefault(option.brokerName, value) == nil)
    }

    @Test("what an older version took, or the broker was started with, keeps nobody from other changes")
    func old() throws {
        let bench = try TestBroker(configuration: ["log.retention.bytes": "1000"])
        try bench.create(InternalTopic.audit, ["retention.ms": "1000"])
        func alter(_ resource: ConfigurationResource, _ name: String, _ value: String) -> BrokerError? {
            Self.alter(bench, resource, .change([.set(name: name, value: value)]))
        }
        #expect(alter(.broker(nil), "auto.create.topics.enable", "false") == nil)
        #expect(self.refusal(alter(.broker(nil), "log.retention.bytes", "900")).contains("'log.retention.bytes'"))
        // But the topic is put right as a whole.
        let audit = ConfigurationResource.topic(InternalTopic.audit)
        #expect(self.refusal(alter(audit, "retention.ms", "900")).contains("'retention.ms'"))
        #expect(self.refusal(alter(audit, "retention.ms", "-1")).contains("'retention.bytes'"))
        let both: [ConfigurationChange] = [
            .set(name: "retention.ms", value: "-1"), .set(name: "retention.bytes", value: "-1"),
        ]
        #expect(Self.alter(bench, audit, .change(both)) == nil)
    }

    @Test("neither the topic nor records of it are deleted, nor is it grown, by whoever has every right")
    func deleted() throws {
        let topic = Once<[Result<Topic, BrokerError>]>()
        self.bench.broker.deleteTopics([.name(InternalTopic.audit)], client: self.root, on: self.bench.loop) {
            topic.put($0)
        }
        let records = Once<[Result<Offset, BrokerError>]>()
        let deletion = RecordDeletion(
            topic: .name(InternalTopic.audit), partition: PartitionIndex(rawValue: 0), before: nil)
        self.bench.broker.deleteRecords([deletion], timeout: .seconds(10), client: self.root, on: self.bench.loop) {
            records.put($0)
        }
        self.bench.settle()
        for error in [topic.value?.first?.refusal, records.value?.first?.refusal] {
            guard case .internalTopic(InternalTopic.audit)? = error else {
                Issue.record("\(String(describing: error))")
                continue
            }
        }
        #expect(try self.bench.values(InternalTopic.audit).count == 1)
    }
}

extension Result {
    fileprivate var refusal: Failure? {
        if case .failure(let error) = self { error } else { nil }
    }
}
