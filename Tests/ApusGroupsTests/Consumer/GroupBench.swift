import ApusCore
import KafkaWire
import Testing

@testable import ApusGroups

/// A coordinator that writes every record at once, and members that say what a test makes them say. Answers are text:
/// `A@3 [orders/0 orders/1]`, without brackets where the assignment was not told, or the name of the error.
struct GroupBench {
    var groups: ConsumerGroups
    var topics: FakeTopics
    var now = Instant(nanoseconds: 1_000_000_000_000)
    var wall = Timestamp(rawValue: 1_790_000_000_000)
    var classic: [GroupID: ConsumerGroups.ClassicGroup] = [:]
    /// Everything that was written, as bytes.
    private(set) var log: [GroupRecord] = []
    private(set) var lastDecision = ConsumerGroups.Decision()
    private let settings: ConsumerGroupSettings

    init(
        _ topics: KeyValuePairs<String, Int32> = ["orders": 4],
        settings change: (inout ConsumerGroupSettings) -> Void = { _ in }
    ) {
        var settings = ConsumerGroupSettings()
        settings.assignmentPausePerMember = .zero
        change(&settings)
        self.settings = settings
        self.groups = ConsumerGroups(settings)
        self.topics = FakeTopics(topics)
    }

    static let name = GroupID("g")

    var group: ConsumerGroup { self.groups[Self.name] ?? ConsumerGroup(id: Self.name) }

    static func request(
        _ member: String, _ epoch: Int32, _ change: (inout ConsumerGroupHeartbeat) -> Void = { _ in }
    ) -> ConsumerGroupHeartbeat {
        var request = ConsumerGroupHeartbeat(
            group: Self.name, member: MemberID(member), epoch: GroupEpoch(rawValue: epoch),
            client: ClientIdentity(clientID: "c", host: "/h")
        )
        change(&request)
        return request
    }

    // MARK: What members say

    @discardableResult
    mutating func join(
        _ member: String, _ names: [String]? = ["orders"], pattern: String? = nil, instance: String? = nil,
        assignor: String? = nil
    ) -> String {
        self.send(Self.joining(member, names, pattern: pattern, instance: instance, assignor: assignor))
    }

    static func joining(
        _ member: String, _ names: [String]? = ["orders"], pattern: String? = nil, instance: String? = nil,
        assignor: String? = nil
    ) -> ConsumerGroupHeartbeat {
        self.request(member, 0) {
            $0.topicNames = names
            $0.topicPattern = pattern
            $0.instance = instance.map(InstanceID.init(rawValue:))
            $0.assignor = assignor
            $0.rebalanceTimeout = .seconds(60)
            $0.owned = .empty
        }
    }

    /// - Parameter owned: `orders/0 orders/1`; nil to say nothing of it.
    @discardableResult
    mutating func beat(_ member: String, _ epoch: Int32, owned: String? = nil) -> String {
        let owned = owned.map { self.topics.partitions($0) }
        return self.send(Self.request(member, epoch) { $0.owned = owned })
    }

    @discardableResult
    mutating func leave(_ member: String, instance: String? = nil, comesBack: Bool = false) -> String {
        self.send(Self.request(member, comesBack ? -2 : -1) { $0.instance = instance.map(InstanceID.init(rawValue:)) })
    }

    @discardableResult
    mutating func send(_ request: ConsumerGroupHeartbeat) -> String { self.send([request]).first ?? "" }

    @discardableResult
    mutating func send(_ requests: [ConsumerGroupHeartbeat]) -> [String] {
        let classic = self.classic
        let decision = self.groups.heartbeats(
            requests, now: self.now, wall: self.wall, topics: self.topics, classic: { classic[$0] ?? .none }
        )
        self.write(decision)
        return decision.replies.map { self.text($0) }
    }

    private func text(_ reply: Result<ConsumerGroupHeartbeatReply, GroupError>) -> String {
        switch reply {
        case .failure(let error): return error.code.description
        case .success(let reply):
            let told = reply.assignment.map { " [\(self.topics.text($0))]" } ?? ""
            return "\(reply.member)@\(reply.epoch)\(told)"
        }
    }

    // MARK: What happens besides

    /// Time goes by; members whose time is over are out.
    mutating func pass(_ time: Duration) {
        self.now = self.now.advanced(by: time)
        let expired = self.groups.expire(now: self.now, wall: self.wall, topics: self.topics)
        self.write(expired)
    }

    mutating func change(_ topic: String, _ partitions: Int32?) {
        if let partitions { self.topics.set(topic, partitions) } else { self.topics.remove(topic) }
        self.groups.topicsChanged([topic])
    }

    mutating func finishPatternWork() {
        for work in self.lastDecision.patternWork {
            let outcome = work.run(over: self.topics)
            let resolved = self.groups.resolved(outcome, now: self.now, wall: self.wall, topics: self.topics)
            self.write(resolved)
        }
    }

    mutating func delete() throws {
        let records = try self.groups.delete(Self.name)
        self.write(.init(records: records))
    }

    private mutating func write(_ decision: ConsumerGroups.Decision) {
        self.lastDecision = decision
        for record in decision.records {
            let encoded = record.encoded
            #expect(encoded.byteCount <= record.byteCountMax, "what is written together is counted before it is made")
            self.log.append(encoded)
        }
    }

    /// The coordinator starts again and reads what was written.
    mutating func restart() throws {
        self.groups = try self.recovered()
        let loaded = self.groups.loaded(now: self.now, wall: self.wall, topics: self.topics)
        self.write(loaded)
    }

    /// - Parameter lost: so many of the last records are not there.
    func recovered(lost: Int = 0) throws -> ConsumerGroups {
        var groups = ConsumerGroups(self.settings)
        for record in self.log.dropLast(lost) {
            if let record = try ConsumerGroupRecord(record) { groups.apply(record) }
        }
        return groups
    }

    /// What is written says the same as what is in memory.
    func checkRecovery() throws {
        #expect(try DurableGroup(self.recovered()[Self.name]) == DurableGroup(self.groups[Self.name]))
    }

    /// Members by id: `A@3 [orders/0] ← [orders/1]`, the last part what it must give up.
    var standing: [String] {
        self.group.members.values.sorted { $0.id < $1.id }.map { member in
            let revoking = member.current.revoking
            return "\(member.id)@\(member.current.epoch) [\(self.topics.text(member.current.assigned))]"
                + (revoking.isEmpty ? "" : " ← [\(self.topics.text(revoking))]")
        }
    }
}

/// All of a group that records hold, and what follows from it.
struct DurableGroup: Equatable {
    struct Member: Equatable {
        let profile: ConsumerMember.Profile
        let current: ConsumerMember.Current
    }

    let epoch: GroupEpoch?
    let metadataHash: Int64
    let assignmentEpoch: GroupEpoch
    let members: [MemberID: Member]
    let targets: [MemberID: PartitionSet]
    let patterns: [String: ConsumerGroupRecord.ResolvedPattern]
    let instances: [InstanceID: MemberID]
    let owners: [TopicPartition: MemberID]
    let topicNames: Set<String>
    let bytesHeld: Int

    init?(_ group: ConsumerGroup?) {
        guard let group else { return nil }
        self.epoch = group.epoch
        self.metadataHash = group.metadataHash
        self.assignmentEpoch = group.assignmentEpoch
        self.members = group.members.mapValues { Member(profile: $0.profile, current: $0.current) }
        self.targets = group.targets
        self.patterns = group.patterns
        self.instances = group.instances
        self.owners = group.owners
        self.topicNames = group.topicNames
        self.bytesHeld = group.bytesHeld
    }
}
