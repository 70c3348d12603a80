import ApusCore
import NIOCore
import Testing

@testable import ApusBroker

@Suite("The settings of __consumer_offsets")
struct OffsetsTopicTests {
    private let world: GroupWorld

    init() throws { self.world = try GroupWorld() }

    private func alter(_ resource: ConfigurationResource, _ change: ConfigurationChange) -> String {
        let answer = Once<[BrokerError?]>()
        self.world.broker.alterConfigurations(
            [(resource, .change([change]))], client: .embedded, on: self.world.bench.loop
        ) { answer.put($0) }
        self.world.bench.settle()
        switch answer.value?.first {
        case .some(nil): return "taken"
        case .some(.invalidConfiguration(let words)): return words
        default: return "\(String(describing: answer.value))"
        }
    }

    private var overrides: [String: String] {
        self.world.broker.topics.topic(named: OffsetsTopic.name)?.configuration.overrides ?? [:]
    }

    /// What would lose positions or end them, and the least that is taken in its place.
    static let forbidden = [
        ("cleanup.policy", "delete", "compact"), ("cleanup.policy", "compact,delete", "compact"),
        ("max.message.bytes", "16777215", "16777216"),
        ("message.timestamp.before.max.ms", "86399999", "86400000"), ("min.insync.replicas", "2", "1"),
    ]

    @Test("what would lose positions, or end them, is refused", arguments: forbidden)
    func refused(name: String, value: String, least: String) {
        let before = self.overrides
        let words = self.alter(.topic(OffsetsTopic.name), .set(name: name, value: value))
        #expect(words.hasPrefix("'\(name)' of __consumer_offsets must be ") && words.contains(least), "\(words)")
        #expect(self.overrides == before)
        #expect(self.alter(.topic(OffsetsTopic.name), .set(name: name, value: least)) == "taken")
        #expect(self.alter(.topic("t"), .set(name: name, value: value)) == "taken")
        #expect(self.world.commit(7, partition: 0, group: "g") == nil)
    }

    @Test("no default of the broker counts for it", arguments: forbidden)
    func defaults(name: String, value: String, least: String) throws {
        let option = try #require(TopicOption(rawValue: name))
        #expect(self.alter(.broker(nil), .set(name: option.brokerName, value: value)) == "taken")
        let configuration = try #require(self.world.broker.topics.topic(named: OffsetsTopic.name)?.configuration)
        #expect(OffsetsTopic.rules.allSatisfy { $0.holds(configuration) })
        // Nor can it be made to.
        let words = self.alter(.topic(OffsetsTopic.name), .delete(name: name))
        #expect(words.hasPrefix("'\(name)' of __consumer_offsets must be "), "\(words)")
        #expect(self.world.commit(7, partition: 0, group: "g") == nil)
    }
}
