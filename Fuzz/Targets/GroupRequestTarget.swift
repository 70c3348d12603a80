import ApusCore
import ApusGroups
import KafkaWire
import NIOCore

/// What clients ask of a group coordinator, while time passes and writes fail.
extension FuzzTarget {
    /// One step behind the other, as `kind UInt8, argument UInt8, length UInt16, bytes`: records of the partition until
    /// the first step of another kind, then requests of both protocols in any version, the passing of time, topics that
    /// come and go, and writes that fail. Whatever comes, every request is answered once and a coordinator that is
    /// loaded again takes what this one wrote.
    static let groupRequests = FuzzTarget(
        name: "grouprequests",
        isProportional: false,
        // A member or a position is a few hundred bytes of tables for a dozen on the wire.
        heapBytesMax: { (1 << 20) + $0 * 1024 },
        seeds: { GroupRequestSeeds.all },
        run: { bytes in
            var player = CoordinatorPlayer()
            var steps = ByteBuffer(bytes: bytes)
            while let step = GroupStep(from: &steps) { player.play(step) }
            player.end()
        }
    )
}

/// One step of the target's input.
struct GroupStep {
    enum Kind: UInt8, CaseIterable {
        case record, join, sync, heartbeat, leave, commit, positions, consumerHeartbeat, delete, deletePositions
        case time, topics, fail, restart
    }

    var kind: Kind
    /// The version of a request; how far time moves; which topics there are.
    var argument: UInt8
    var body = ByteBuffer()

    init?(from bytes: inout ByteBuffer) {
        guard let kind = bytes.readInteger(as: UInt8.self), let argument = bytes.readInteger(as: UInt8.self),
            let length = bytes.readInteger(as: UInt16.self),
            let body = bytes.readSlice(length: min(Int(length), bytes.readableBytes))
        else { return nil }
        self.kind = Kind.allCases[Int(kind) % Kind.allCases.count]
        self.argument = argument
        self.body = body
    }

    init(_ kind: Kind, _ argument: UInt8, _ body: ByteBuffer = ByteBuffer()) {
        self.kind = kind
        self.argument = argument
        self.body = body
    }

    init<Request: KafkaRequest>(_ kind: Kind, _ request: Request, version: Int16) {
        var writer = WireWriter()
        request.encode(into: &writer, version: version)
        let number = version - Request.versions.lowerBound
        self.init(kind, UInt8(truncatingIfNeeded: number), writer.finishBody())
    }

    func write(to bytes: inout ByteBuffer) {
        bytes.writeInteger(self.kind.rawValue)
        bytes.writeInteger(self.argument)
        bytes.writeInteger(UInt16(clamping: self.body.readableBytes))
        bytes.writeImmutableBuffer(self.body)
    }

    /// The request that the body is, in the version that the argument chooses.
    func request<Request: KafkaRequest>(_ type: Request.Type) -> (request: Request, version: Int16)? {
        let versions = type.versions
        let version = versions.lowerBound + Int16(self.argument) % Int16(versions.count)
        var reader = WireReader(self.body)
        return (try? type.init(from: &reader, version: version)).map { ($0, version) }
    }
}

/// Topics that come and go.
struct PlayedTopics: SubscribableTopics {
    var version: Int64 = 1
    var all: [SubscribableTopic] = Self.made(3)
    var count: Int { self.all.count }

    static func made(_ bits: UInt8) -> [SubscribableTopic] {
        (0 as UInt8..<4).filter { bits >> $0 & 1 == 1 }.map { number -> SubscribableTopic in
            let id = TopicID(high: 1, low: UInt64(number))
            return SubscribableTopic(id: id, name: "t\(number)", partitionCount: Int32(number) * 3 + 1)
        }
    }

    func topic(named name: String) -> SubscribableTopic? { self.all.first { $0.name == name } }
    func topic(id: TopicID) -> SubscribableTopic? { self.all.first { $0.id == id } }
    func forEachName(_ body: (String) -> Void) { for topic in self.all { body(topic.name) } }

    /// Rights come and go with the topics: every other time nobody is told of t1.
    var rightsVersion: Int64 { self.version }
    func describable(by reader: TopicReader) -> (String) -> Bool {
        let isHidden = self.version % 2 == 0
        return { !isHidden || $0 != "t1" }
    }
}

/// A coordinator, the partition that it writes to, a clock, and those who wait for answers.
struct CoordinatorPlayer {
    private var coordinator = GroupCoordinator()
    private var topics = PlayedTopics()
    private var now = Moment(instant: Instant(nanoseconds: 1), wall: Timestamp(rawValue: 1_800_000_000_000))
    private var isLive = false
    /// The next writes fail.
    private var failures = 0
    private var tokenLast: UInt64 = 0
    private var waiting: Set<RequestToken> = []
    /// What compaction would leave of the partition.
    private var partition: [ByteBuffer: ByteBuffer] = [:]
    private static let client = ClientIdentity(clientID: "c", host: "/h")

    init() {}

    mutating func play(_ step: GroupStep) {
        if step.kind == .record, !self.isLive {
            var rest = step.body
            let key = rest.readSlice(length: min(Int(step.argument), rest.readableBytes)) ?? ByteBuffer()
            let record = GroupRecord(key: key, value: rest.readableBytes > 0 ? rest : nil)
            // What is no record is passed over, as a coordinator does.
            guard (try? self.coordinator.load(record)) != nil else { return }
            return self.partition[record.key] = record.value
        }
        self.comeAlive()
        switch step.kind {
        case .record: break
        case .join, .sync, .heartbeat, .leave: self.playClassic(step)
        case .commit, .positions, .delete, .deletePositions: self.playPositions(step)
        case .consumerHeartbeat: self.playConsumer(step)
        case .time: self.pass(.milliseconds(Int64(1) << Int64(step.argument % 32)))
        case .topics:
            self.topics.all = PlayedTopics.made(step.argument)
            self.topics.version += 1
            self.coordinator.topicsChanged(step.argument % 2 == 0 ? nil : ["t0", "t1", "t2", "t3"])
        case .fail: self.failures = Int(step.argument % 4)
        case .restart: self.startOver()
        }
        self.tick()
    }

    /// Lets time pass until nobody can be waiting for others, and reads again what was written.
    mutating func end() {
        self.comeAlive()
        self.failures = 0
        self.look()
        self.startOver()
        self.look()
        // The longest that a member may ask others to wait is some 24 days, for joining and again for the assignment.
        for _ in 0..<6 { self.pass(.seconds(30 * 24 * 3600)) }
        precondition(self.waiting.isEmpty, "a request without an answer")
        let states = ((try? self.coordinator.list()) ?? []).map(\.state)
        precondition(states.allSatisfy { $0 == "Empty" }, "a member outlived its session")
    }

    private func look() {
        for listing in (try? self.coordinator.list()) ?? [] {
            _ = try? self.coordinator.describe(listing.group)
            _ = try? self.coordinator.describeConsumerGroup(listing.group, topics: self.topics)
        }
    }

    // MARK: Requests

    private mutating func playClassic(_ step: GroupStep) {
        switch step.kind {
        case .join:
            guard let (request, version) = step.request(JoinGroupRequest.self) else { return }
            let session = Duration.milliseconds(request.sessionTimeoutMs)
            let join = JoinRequest(
                member: MemberID(request.memberID), instance: request.groupInstanceID.map { InstanceID($0) },
                client: Self.client, sessionTimeout: session,
                rebalanceTimeout: version >= 1 ? .milliseconds(request.rebalanceTimeoutMs) : session,
                protocolType: request.protocolType,
                protocols: request.protocols.map { GroupProtocol(name: $0.name, metadata: $0.metadata) },
                mustReturn: version >= 4, canSkipAssignment: version >= 9, memberNew: MemberID("m\(self.tokenLast + 1)")
            )
            self.ask { $0.join(GroupID(request.groupID), join, $1, at: $2, into: &$3) }
        case .sync:
            guard let (request, _) = step.request(SyncGroupRequest.self) else { return }
            let sync = SyncRequest(
                member: MemberID(request.memberID), instance: request.groupInstanceID.map { InstanceID($0) },
                generation: Generation(rawValue: request.generationID), protocolType: request.protocolType,
                protocolName: request.protocolName,
                assignments: Dictionary(request.assignments.map { (MemberID($0.memberID), $0.assignment) }) { $1 })
            self.ask { $0.sync(GroupID(request.groupID), sync, $1, at: $2, into: &$3) }
        case .heartbeat:
            guard let (request, _) = step.request(HeartbeatRequest.self) else { return }
            let identity = MemberIdentity(
                member: MemberID(request.memberID), instance: request.groupInstanceID.map { InstanceID($0) })
            try? self.coordinator.heartbeat(
                GroupID(request.groupID), identity, Generation(rawValue: request.generationID), at: self.now)
        default:
            guard let (request, version) = step.request(LeaveGroupRequest.self) else { return }
            let members = request.members.map {
                MemberIdentity(member: MemberID($0.memberID), instance: $0.groupInstanceID.map { InstanceID($0) })
            }
            let identities = version >= 3 ? members : [MemberIdentity(member: MemberID(request.memberID))]
            self.ask { $0.leave(GroupID(request.groupID), identities, $1, at: $2, into: &$3) }
        }
    }

    private mutating func playPositions(_ step: GroupStep) {
        switch step.kind {
        case .commit:
            guard let (request, version) = step.request(OffsetCommitRequest.self) else { return }
            self.commit(request, version)
        case .positions:
            guard let (request, _) = step.request(OffsetFetchRequest.self) else { return }
            for group in request.groups {
                let member = group.memberID.map { MemberID($0) }
                try? self.coordinator.checkFetch(
                    GroupID(group.groupID), member: member, epoch: GroupEpoch(rawValue: group.memberEpoch))
            }
            _ = self.coordinator.positions.all(of: GroupID(request.groupID))
        case .delete:
            guard let (request, _) = step.request(DeleteGroupsRequest.self) else { return }
            for name in request.groupsNames {
                self.ask { $0.delete(GroupID(name), $1, at: $2, into: &$3) }
            }
        default:
            guard let (request, _) = step.request(OffsetDeleteRequest.self) else { return }
            let partitions = request.topics.flatMap { topic in
                topic.partitions.map { (topic: topic.name, partition: PartitionIndex(rawValue: $0.partitionIndex)) }
            }
            self.ask { coordinator, token, now, actions in
                do throws(GroupError) {
                    try coordinator.deletePositions(
                        GroupID(request.groupID), partitions, token, at: now, into: &actions)
                } catch {
                    actions.replies.append((token, .positionsRefused(error)))
                }
            }
        }
    }

    private mutating func commit(_ request: OffsetCommitRequest, _ version: Int16) {
        let commits = request.topics.flatMap { topic in
            topic.partitions.map {
                Positions.Commit(
                    topic: topic.name, topicID: self.topics.topic(named: topic.name)?.id ?? .none,
                    partition: PartitionIndex(rawValue: $0.partitionIndex),
                    offset: Offset(rawValue: $0.committedOffset),
                    leaderEpoch: Epoch(rawValue: $0.committedLeaderEpoch), metadata: $0.committedMetadata)
            }
        }
        let identity = MemberIdentity(
            member: MemberID(request.memberID), instance: request.groupInstanceID.map { InstanceID($0) })
        self.ask {
            $0.commit(
                GroupID(request.groupID), commits, as: identity,
                Generation(rawValue: request.generationIDOrMemberEpoch), version: version,
                retention: request.retentionTimeMs < 0 ? nil : .milliseconds(request.retentionTimeMs), $1, at: $2,
                into: &$3)
        }
    }

    private mutating func playConsumer(_ step: GroupStep) {
        guard let (request, version) = step.request(ConsumerGroupHeartbeatRequest.self) else { return }
        let heartbeat = ConsumerGroupHeartbeat(request, version: version, client: Self.client)
        let topics = self.topics
        self.ask { $0.heartbeats([(heartbeat, $1)], topics: topics, at: $2, into: &$3) }
    }

    // MARK: What the shell of a coordinator does

    private mutating func comeAlive() {
        guard !self.isLive else { return }
        self.isLive = true
        let topics = self.topics
        self.act { $0.loaded(topics: topics, at: $1, into: &$2) }
    }

    private mutating func ask(
        _ verb: (inout GroupCoordinator, RequestToken, Moment, inout GroupActions) -> Void
    ) {
        self.tokenLast += 1
        let token = RequestToken(rawValue: self.tokenLast)
        self.waiting.insert(token)
        self.act { verb(&$0, token, $1, &$2) }
    }

    private mutating func act(_ event: (inout GroupCoordinator, Moment, inout GroupActions) -> Void) {
        var actions = GroupActions()
        event(&self.coordinator, self.now, &actions)
        var isLost = self.take(actions)
        var (writes, work) = (actions.writes, actions.patternWork)
        while !isLost, !writes.isEmpty || !work.isEmpty {
            var more = GroupActions()
            for write in writes where !more.isLost { self.append(write, into: &more) }
            for work in work where !more.isLost {
                let outcome = work.run(over: self.topics)
                self.coordinator.resolved(outcome, topics: self.topics, at: self.now, into: &more)
            }
            isLost = self.take(more)
            (writes, work) = (more.writes, more.patternWork)
        }
        if isLost { self.startOver() }
    }

    private mutating func append(_ write: GroupWrite, into actions: inout GroupActions) {
        if self.failures > 0 {
            self.failures -= 1
            return self.coordinator.failed(write.id, at: self.now, into: &actions)
        }
        for record in write.records { self.partition[record.key] = record.value }
        self.coordinator.written(write.id, at: self.now, into: &actions)
    }

    private mutating func take(_ actions: GroupActions) -> Bool {
        for (token, _) in actions.replies {
            precondition(self.waiting.remove(token) != nil, "an answer that nobody waits for")
        }
        return actions.isLost
    }

    /// Another coordinator reads what this one wrote.
    private mutating func startOver() {
        var actions = GroupActions()
        self.coordinator.resign(into: &actions)
        _ = self.take(actions)
        precondition(self.waiting.isEmpty, "a request without an answer")
        self.coordinator = GroupCoordinator()
        self.isLive = false
        // In an order of its own: what a key was last told may stand anywhere after compaction.
        for (key, value) in self.partition {
            do throws(GroupRecordError) {
                try self.coordinator.load(GroupRecord(key: key, value: value))
            } catch {
                preconditionFailure("a coordinator does not read what one wrote: \(error)")
            }
        }
        self.comeAlive()
    }

    private mutating func pass(_ time: Duration) {
        // No broker runs for a hundred years, and the clock has an end.
        guard self.now.instant.nanoseconds < 1 << 62 else { return }
        self.now.instant = self.now.instant.advanced(by: time)
        self.now.wall = self.now.wall.later(by: time)
        self.tick()
    }

    private mutating func tick() {
        // A deadline may be early, so a few looks may find nothing; but a clock that stands still can not keep it busy.
        var looks = 0
        while let deadline = self.coordinator.deadline, deadline <= self.now.instant {
            looks += 1
            precondition(looks < 10_000, "a deadline that never goes away")
            let topics = self.topics
            self.act { $0.tick(topics: topics, at: $1, into: &$2) }
        }
    }
}

private enum GroupRequestSeeds {
    static var all: [[UInt8]] {
        var join = JoinGroupRequest()
        join.groupID = "g"
        join.sessionTimeoutMs = 10_000
        join.rebalanceTimeoutMs = 60_000
        join.protocolType = "consumer"
        var way = JoinGroupRequest.AssignmentProtocol()
        way.name = "range"
        way.metadata = ByteBuffer(bytes: [0, 0, 0, 0, 0, 1, 0, 2, 0x74, 0x30, 0, 0, 0, 0])
        join.protocols = [way]
        var again = join
        again.memberID = "m1"
        var still = join
        still.groupInstanceID = "i"
        var sync = SyncGroupRequest()
        sync.groupID = "g"
        sync.memberID = "m1"
        sync.generationID = 1
        var given = SyncGroupRequest.Assignment()
        given.memberID = "m1"
        given.assignment = way.metadata
        sync.assignments = [given]
        var beat = HeartbeatRequest()
        beat.groupID = "g"
        beat.memberID = "m1"
        beat.generationID = 1
        var leave = LeaveGroupRequest()
        leave.groupID = "g"
        var leaver = LeaveGroupRequest.Member()
        leaver.memberID = "m1"
        leave.members = [leaver]
        let classic = [
            GroupStep(.join, join, version: 5), GroupStep(.join, again, version: 5), GroupStep(.time, 10),
            GroupStep(.sync, sync, version: 5), GroupStep(.heartbeat, beat, version: 4),
            GroupStep(.commit, Self.commit("g", "m1", 1), version: 8), GroupStep(.join, still, version: 9),
            GroupStep(.leave, leave, version: 5), GroupStep(.restart, 0), GroupStep(.time, 31),
        ]
        return [classic, self.consumers, self.tools].map { steps in
            var bytes = ByteBuffer()
            for step in steps { step.write(to: &bytes) }
            return Array(bytes.readableBytesView)
        }
    }

    private static func commit(_ group: String, _ member: String, _ generation: Int32) -> OffsetCommitRequest {
        var commit = OffsetCommitRequest()
        commit.groupID = group
        commit.memberID = member
        commit.generationIDOrMemberEpoch = generation
        var topic = OffsetCommitRequest.Topic()
        topic.name = "t0"
        var partition = OffsetCommitRequest.Partition()
        partition.committedOffset = 7
        partition.committedMetadata = "m"
        topic.partitions = [partition]
        commit.topics = [topic]
        return commit
    }

    private static var consumers: [GroupStep] {
        var join = ConsumerGroupHeartbeatRequest()
        join.groupID = "c"
        join.memberID = "a"
        join.rebalanceTimeoutMs = 30_000
        join.subscribedTopicNames = ["t0", "t1"]
        join.topicPartitions = []
        var second = join
        second.memberID = "b"
        second.subscribedTopicRegex = "t[0-3]"
        second.serverAssignor = "range"
        var beat = ConsumerGroupHeartbeatRequest()
        beat.groupID = "c"
        beat.memberID = "a"
        beat.memberEpoch = 1
        var leave = beat
        leave.memberEpoch = -1
        var delete = DeleteGroupsRequest()
        delete.groupsNames = ["c"]
        return [
            GroupStep(.consumerHeartbeat, join, version: 1), GroupStep(.consumerHeartbeat, second, version: 1),
            GroupStep(.topics, 15), GroupStep(.time, 12), GroupStep(.consumerHeartbeat, beat, version: 1),
            GroupStep(.commit, Self.commit("c", "a", 1), version: 9), GroupStep(.fail, 1),
            GroupStep(.consumerHeartbeat, leave, version: 1), GroupStep(.restart, 0),
            GroupStep(.delete, delete, version: 2), GroupStep(.time, 31),
        ]
    }

    private static var tools: [GroupStep] {
        var fetch = OffsetFetchRequest()
        fetch.groupID = "tool"
        var group = OffsetFetchRequest.Group()
        group.groupID = "tool"
        fetch.groups = [group]
        var delete = OffsetDeleteRequest()
        delete.groupID = "tool"
        var topic = OffsetDeleteRequest.Topic()
        topic.name = "t0"
        topic.partitions = [OffsetDeleteRequest.Partition()]
        delete.topics = [topic]
        var old = Self.commit("old", "", -1)
        old.retentionTimeMs = 1000
        return [
            GroupStep(.commit, Self.commit("tool", "", -1), version: 8), GroupStep(.commit, old, version: 3),
            GroupStep(.positions, fetch, version: 9), GroupStep(.deletePositions, delete, version: 0),
            GroupStep(.time, 20),
        ]
    }
}
