import ApusCore
import NIOCore
import Testing

@testable import ApusGroups

/// A coordinator with a clock in hand and a log beside it: a test's script says who does what, and sees each answer.
final class GroupStage {
    var coordinator: GroupCoordinator
    var now = Moment(instant: Instant(nanoseconds: 1_000_000_000), wall: Timestamp(rawValue: 1_700_000_000_000))
    /// Records in the order in which they became durable.
    private(set) var log: [GroupRecord] = []
    private(set) var replies: [RequestToken: GroupReply] = [:]
    /// Writes under way, while they are held.
    private(set) var held: [GroupWrite] = []
    var holdsWrites = false
    private(set) var asked: Set<RequestToken> = []
    private var tokenNext: UInt64 = 1
    private var nameNext = 1

    static let group = GroupID("g")

    init(delay: Duration = .zero, _ change: (inout GroupSettings) -> Void = { _ in }) {
        var settings = GroupSettings()
        settings.initialDelay = delay
        change(&settings)
        self.coordinator = GroupCoordinator(settings: settings)
        var actions = GroupActions()
        self.coordinator.loaded(topics: FakeTopics(), at: self.now, into: &actions)
    }

    // MARK: What is asked

    func token() -> RequestToken {
        let token = RequestToken(rawValue: self.tokenNext)
        self.tokenNext += 1
        self.asked.insert(token)
        return token
    }

    static func protocols(_ names: [String], _ metadata: String = "m") -> [GroupProtocol] {
        names.map { GroupProtocol(name: $0, metadata: ByteBuffer(string: metadata)) }
    }

    func request(
        _ member: MemberID = .none, instance: String? = nil, session: Duration = .seconds(10),
        rebalance: Duration = .seconds(60), type: String = "consumer", protocols: [GroupProtocol]? = nil,
        mustReturn: Bool = false, canSkip: Bool = false
    ) -> JoinRequest {
        let client = ClientIdentity(clientID: "c", host: "/1.2.3.4")
        let instance = instance.map { InstanceID($0) }
        let unique = MemberID(of: client, instance: instance, unique: "\(self.nameNext)")
        self.nameNext += 1
        return JoinRequest(
            member: member, instance: instance, client: client, sessionTimeout: session, rebalanceTimeout: rebalance,
            protocolType: type, protocols: protocols ?? Self.protocols(["range"]), mustReturn: mustReturn,
            canSkipAssignment: canSkip, memberNew: unique
        )
    }

    func join(_ request: JoinRequest, _ group: GroupID = GroupStage.group) -> RequestToken {
        let token = self.token()
        self.act { $0.join(group, request, token, at: $1, into: &$2) }
        return token
    }

    func sync(
        _ member: MemberID, _ generation: Int32, _ assignments: [MemberID: String] = [:], instance: String? = nil,
        type: String? = nil, name: String? = nil
    ) -> RequestToken {
        let token = self.token()
        let request = SyncRequest(
            member: member, instance: instance.map { InstanceID($0) }, generation: Generation(rawValue: generation),
            protocolType: type, protocolName: name, assignments: assignments.mapValues { ByteBuffer(string: $0) }
        )
        self.act { $0.sync(Self.group, request, token, at: $1, into: &$2) }
        return token
    }

    /// nil: all is well.
    func heartbeat(_ member: MemberID, _ generation: Int32, instance: String? = nil) -> GroupError? {
        let identity = MemberIdentity(member: member, instance: instance.map { InstanceID($0) })
        do throws(GroupError) {
            try self.coordinator.heartbeat(
                Self.group, identity, Generation(rawValue: generation), at: self.now
            )
            return nil
        } catch { return error }
    }

    func leave(_ identities: MemberIdentity...) -> RequestToken {
        let token = self.token()
        self.act { $0.leave(Self.group, identities, token, at: $1, into: &$2) }
        return token
    }

    func commit(
        _ offset: Int64, _ member: MemberID = .none, _ generation: Int32 = -1, instance: String? = nil,
        topic: String = "t", partition: Int32 = 0, metadata: String? = nil, retention: Duration? = nil,
        group: GroupID = GroupStage.group
    ) -> RequestToken {
        let commit = Positions.Commit(
            topic: topic, topicID: TopicID(high: 1, low: 1), partition: PartitionIndex(rawValue: partition),
            offset: Offset(rawValue: offset), leaderEpoch: Epoch(rawValue: 3), metadata: metadata
        )
        return self.commit([commit], member, generation, instance: instance, retention: retention, group: group)
    }

    func commit(
        _ commits: [Positions.Commit], _ member: MemberID = .none, _ generation: Int32 = -1, instance: String? = nil,
        retention: Duration? = nil, group: GroupID = GroupStage.group
    ) -> RequestToken {
        let token = self.token()
        let identity = MemberIdentity(member: member, instance: instance.map { InstanceID($0) })
        self.act {
            $0.commit(
                group, commits, as: identity, Generation(rawValue: generation), retention: retention, token, at: $1,
                into: &$2
            )
        }
        return token
    }

    func delete(_ group: GroupID = GroupStage.group) -> RequestToken {
        let token = self.token()
        self.act { $0.delete(group, token, at: $1, into: &$2) }
        return token
    }

    func position(_ partition: Int32 = 0, topic: String = "t", group: GroupID = GroupStage.group) -> Position? {
        self.coordinator.positions.position(
            PositionKey(group: group, topic: topic, partition: PartitionIndex(rawValue: partition)), topic: .none
        )
    }

    var state: String? { (try? self.coordinator.describe(Self.group))?.state }

    // MARK: The world

    func act(_ body: (inout GroupCoordinator, Moment, inout GroupActions) -> Void) {
        var actions = GroupActions()
        body(&self.coordinator, self.now, &actions)
        self.take(actions)
    }

    private func take(_ actions: GroupActions) {
        for (token, reply) in actions.replies {
            #expect(self.asked.contains(token), "an answer to nobody")
            #expect(self.replies.updateValue(reply, forKey: token) == nil, "answered twice: \(token)")
        }
        self.held += actions.writes
        if !self.holdsWrites { self.release() }
    }

    /// The disk has what is held, one write after the other.
    func release(_ count: Int = .max) {
        var left = count
        while left > 0, !self.held.isEmpty {
            let write = self.held.removeFirst()
            self.log += write.records.map { GroupRecord(key: $0.key, value: $0.value, writtenAt: self.now.wall) }
            self.act { $0.written(write.id, at: $1, into: &$2) }
            left -= 1
        }
    }

    /// The disk refuses the oldest write that is held.
    func failOne() {
        guard !self.held.isEmpty else { return }
        let write = self.held.removeFirst()
        self.act { $0.failed(write.id, at: $1, into: &$2) }
    }

    /// Time passes, and what falls due is done when it does.
    func wait(_ duration: Duration) {
        let end = self.now.instant.advanced(by: duration)
        while let due = self.coordinator.deadline, due <= end {
            self.move(to: max(due, self.now.instant))
            self.act { $0.tick(topics: FakeTopics(), at: $1, into: &$2) }
        }
        self.move(to: end)
    }

    private func move(to instant: Instant) {
        self.now.wall.rawValue += instant.since(self.now.instant).wholeMilliseconds
        self.now.instant = instant
    }

    /// The log is one whose records do not say when they were written.
    func forgetTimes() { for index in self.log.indices { self.log[index].writtenAt = .none } }

    /// The coordinator is gone, with whoever waited for it and what was not written; the next one reads the log.
    func restart() throws {
        self.held = []
        for token in self.asked where self.replies[token] == nil { self.asked.remove(token) }
        self.coordinator = try Self.recovered(self.log, self.coordinator.settings, at: self.now)
    }

    static func recovered(
        _ log: [GroupRecord], _ settings: GroupSettings, at now: Moment
    ) throws -> GroupCoordinator {
        var coordinator = GroupCoordinator(settings: settings)
        for record in log { try coordinator.load(record) }
        var actions = GroupActions()
        coordinator.loaded(topics: FakeTopics(), at: now, into: &actions)
        return coordinator
    }

    // MARK: What was answered

    func joined(_ token: RequestToken) throws -> JoinedGroup {
        guard case .classic(.join(let result)) = try #require(self.replies[token], "no answer yet") else {
            throw Wrong(reply: self.replies[token])
        }
        return try result.get()
    }

    func joinError(_ token: RequestToken) -> GroupError? {
        guard case .classic(.join(.failure(let refusal))) = self.replies[token] else { return nil }
        return refusal.error
    }

    func synced(_ token: RequestToken) throws -> String {
        guard case .classic(.sync(let result)) = try #require(self.replies[token], "no answer yet") else {
            throw Wrong(reply: self.replies[token])
        }
        return String(buffer: try result.get().assignment)
    }

    func syncError(_ token: RequestToken) -> GroupError? {
        guard case .classic(.sync(.failure(let error))) = self.replies[token] else { return nil }
        return error
    }

    func left(_ token: RequestToken) -> [GroupError?] {
        guard case .classic(.left(let results)) = self.replies[token] else { return [] }
        return results.map(\.error)
    }

    func committed(_ token: RequestToken) -> [GroupError?]? {
        guard case .committed(let errors) = self.replies[token] else { return nil }
        return errors
    }

    func isOpen(_ token: RequestToken) -> Bool { self.replies[token] == nil }

    struct Wrong: Error {
        var reply: GroupReply?
    }

    // MARK: Scenes

    /// A stable group: one join each, and an assignment that names its member.
    func settle(_ requests: [JoinRequest]) throws -> [JoinedGroup] {
        var tokens = requests.map { self.join($0) }
        // Without a delay the first member has a generation of its own; it comes again for the one with all.
        if requests.count > 1, let first = tokens.first, !self.isOpen(first) {
            var again = requests[0]
            again.member = try self.joined(first).member
            tokens[0] = self.join(again)
        }
        let joined = try tokens.map { try self.joined($0) }
        let assignments = Dictionary(uniqueKeysWithValues: joined.map { ($0.member, "for \($0.member)") })
        var syncs: [RequestToken] = []
        for one in joined {
            let given = one.leader == one.member ? assignments : [:]
            syncs.append(self.sync(one.member, one.generation.rawValue, given))
        }
        for (one, sync) in zip(joined, syncs) { #expect(try self.synced(sync) == "for \(one.member)") }
        #expect(self.state == "Stable")
        return joined
    }
}
