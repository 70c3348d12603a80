import ApusAccess
import ApusCore
import ApusFakes
import ApusGroups
import KafkaWire
import NIOCore
import Testing

@testable import ApusBroker

/// Groups through the broker's verbs, over a disk and a clock that the test moves, and through restarts.
final class GroupWorld {
    let disk = SimulatedDisk()
    let store = FakeCoordinatorStore()
    let clock = SimulatedClock()
    private let seed: UInt64
    private let configuration: [String: String]
    private let isAuditing: Bool
    private var incarnation: Int32 = 1
    private(set) var bench: TestBroker
    /// What all brokers of this world logged.
    let logbook = Logbook()

    /// - Parameters:
    ///   - delay: milliseconds that an empty group waits after its first member.
    ///   - options: more of the broker's.
    init(
        seed: UInt64 = 1, delay: Int = 0, topic partitions: Int32 = 6, options: [String: String] = [:],
        isAuditing: Bool = false
    ) throws {
        self.seed = seed
        self.isAuditing = isAuditing
        self.configuration = options.merging(["group.initial.rebalance.delay.ms": String(delay)]) { _, delay in delay }
        self.bench = try TestBroker(
            disk: self.disk, store: self.store, clock: self.clock, seed: seed, configuration: self.configuration,
            logger: self.logbook.logger
        ) { $0.isAuditing = isAuditing }
        try self.bench.create("t", partitions: partitions)
        #expect(self.find(["g"]) == [nil])
    }

    var broker: Broker { self.bench.broker }

    /// The broker dies where it stands, and another begins on what the disk has.
    ///
    /// - Parameter between: what happens to the disk while no broker runs.
    func crash(_ salt: UInt64 = 0, _ between: () throws -> Void = {}) throws {
        self.bench.queue.dropAll()
        self.disk.crash(seed: self.seed &+ salt)
        try between()
        try self.begin(wasClean: false)
    }

    /// - Parameter between: as for ``crash(_:_:)``.
    func restart(_ between: () throws -> Void = {}) throws {
        #expect(try self.bench.close())
        try between()
        try self.begin(wasClean: true)
    }

    private func begin(wasClean: Bool) throws {
        self.incarnation += 1
        self.bench = try TestBroker(
            disk: self.disk, store: self.store, clock: self.clock, seed: self.seed &+ UInt64(self.incarnation),
            incarnation: self.incarnation, wasClean: wasClean, configuration: self.configuration,
            logger: self.logbook.logger
        ) { $0.isAuditing = self.isAuditing }
        self.bench.settle()
    }

    // MARK: Verbs

    func find(_ groups: [String]) -> [GroupError?] {
        let answer = Once<[GroupError?]>()
        self.broker.findCoordinators(of: groups.map { GroupID($0) }, client: .embedded, on: self.bench.loop) {
            answer.put($0)
        }
        self.bench.settle()
        return answer.value ?? []
    }

    static func request(
        _ member: MemberID = .none, instance: String? = nil, topics: [String] = ["t"], session: Duration = .seconds(10),
        mustReturn: Bool = false
    ) -> JoinRequest {
        var subscription = ConsumerSubscription()
        subscription.topics = topics
        let metadata = subscription.encoded(version: 1)
        return JoinRequest(
            member: member, instance: instance.map { InstanceID($0) },
            client: ClientIdentity(clientID: "c", host: "/10.0.0.1"), sessionTimeout: session,
            rebalanceTimeout: .seconds(30), protocolType: "consumer",
            protocols: [GroupProtocol(name: "range", metadata: metadata)], mustReturn: mustReturn,
            canSkipAssignment: false, memberNew: .none
        )
    }

    /// Answered when the generation is made.
    func beginJoin(_ request: JoinRequest, _ group: String = "g") -> Once<Result<JoinedGroup, JoinRefusal>> {
        let answer = Once<Result<JoinedGroup, JoinRefusal>>()
        self.broker.joinGroup(GroupID(group), request, client: .embedded, on: self.bench.loop) { answer.put($0) }
        self.bench.tick()
        return answer
    }

    func beginSync(
        _ joined: JoinedGroup, _ assignments: [MemberID: String] = [:], _ group: String = "g"
    ) -> Once<Result<SyncedGroup, GroupError>> {
        let answer = Once<Result<SyncedGroup, GroupError>>()
        let request = SyncRequest(
            member: joined.member, generation: joined.generation, protocolType: "consumer", protocolName: "range",
            assignments: assignments.mapValues { ByteBuffer(string: $0) }
        )
        self.broker.syncGroup(GroupID(group), request, client: .embedded, on: self.bench.loop) { answer.put($0) }
        self.bench.tick()
        return answer
    }

    func heartbeat(_ joined: JoinedGroup, _ group: String = "g") -> GroupError? {
        let answer = Once<GroupError?>()
        self.broker.heartbeat(
            GroupID(group), MemberIdentity(member: joined.member), joined.generation, client: .embedded,
            on: self.bench.loop
        ) { answer.put($0) }
        self.bench.settle()
        return answer.value ?? .unavailable
    }

    func leave(_ member: MemberID, _ group: String = "g") -> [GroupError?] {
        let answer = Once<[LeaveResult]>()
        self.broker.leaveGroup(
            GroupID(group), [MemberIdentity(member: member)], client: .embedded, on: self.bench.loop
        ) { answer.put($0) }
        self.bench.settle()
        return answer.value?.map(\.error) ?? []
    }

    /// Answered when it is on the disk.
    func beginCommit(
        _ offset: Int64, by joined: JoinedGroup? = nil, partition: Int32 = 0, group: String = "g", topic: String = "t",
        metadata: String? = nil, version: Int16 = 9
    ) -> Once<[GroupError?]> {
        let answer = Once<[GroupError?]>()
        let commit = PositionCommit(
            group: GroupID(group), identity: MemberIdentity(member: joined?.member ?? .none),
            generation: joined?.generation ?? .none, version: version,
            parts: [
                PositionCommit.Part(
                    topic: .name(topic), partition: PartitionIndex(rawValue: partition),
                    offset: Offset(rawValue: offset), leaderEpoch: Epoch(rawValue: 4), metadata: metadata
                )
            ]
        )
        self.broker.commitOffsets(commit, client: .embedded, on: self.bench.loop) { answer.put($0) }
        self.bench.tick()
        return answer
    }

    func commit(
        _ offset: Int64, by joined: JoinedGroup? = nil, partition: Int32 = 0, group: String = "g", topic: String = "t",
        metadata: String? = nil, version: Int16 = 9
    ) -> GroupError? {
        let answer = self.beginCommit(
            offset, by: joined, partition: partition, group: group, topic: topic, metadata: metadata, version: version
        )
        self.bench.settle()
        return answer.value?.first ?? .unavailable
    }

    /// nil where the group never committed.
    func positions(_ group: String = "g", _ partitions: [Int32] = [0]) throws -> [Int64?] {
        try self.answers(group, partitions).map { $0.position?.offset.rawValue }
    }

    func answers(_ group: String, _ partitions: [Int32]?, topic: String = "t") throws -> [PositionAnswer] {
        let answer = Once<[Result<[PositionAnswer], GroupError>]>()
        let asked = partitions?.map {
            PartitionReference(topic: .name(topic), partition: PartitionIndex(rawValue: $0))
        }
        self.broker.fetchOffsets(
            [PositionQuery(group: GroupID(group), partitions: asked)], client: .embedded, on: self.bench.loop
        ) { answer.put($0) }
        self.bench.settle()
        return try #require(answer.value?.first).get()
    }

    func delete(_ group: String) -> GroupError? {
        let answer = Once<[GroupError?]>()
        self.broker.deleteGroups([GroupID(group)], client: .embedded, on: self.bench.loop) { answer.put($0) }
        self.bench.settle()
        return answer.value?.first ?? .unavailable
    }

    func list() throws -> [String] {
        let answer = Once<Result<[GroupCoordinator.Listing], GroupError>>()
        self.broker.listGroups(client: .embedded, on: self.bench.loop) { answer.put($0) }
        self.bench.settle()
        return try #require(answer.value).get().map { "\($0.group) \($0.kind.rawValue) \($0.state)" }
    }

    func describe(_ group: String = "g") throws -> ClassicDescription? {
        let answer = Once<[Result<ClassicDescription?, GroupError>]>()
        self.broker.describeGroups([GroupID(group)], client: .embedded, on: self.bench.loop) { answer.put($0) }
        self.bench.settle()
        return try #require(answer.value?.first).get()
    }

    // MARK: KIP-848

    func beginHeartbeat(
        _ member: String, _ epoch: Int32, owned: PartitionSet? = nil, isFull: Bool = false, group: String = "c",
        topics: [String] = ["t"]
    ) -> Once<Result<ConsumerGroupHeartbeatReply, GroupError>> {
        let answer = Once<Result<ConsumerGroupHeartbeatReply, GroupError>>()
        var request = ConsumerGroupHeartbeat(
            group: GroupID(group), member: MemberID(member), epoch: GroupEpoch(rawValue: epoch),
            client: ClientIdentity(clientID: "c", host: "/10.0.0.1")
        )
        if epoch == 0 || isFull {
            request.topicNames = topics
            request.rebalanceTimeout = .seconds(30)
        }
        request.owned = epoch == 0 ? .empty : owned
        self.broker.consumerGroupHeartbeat(request, client: .embedded, on: self.bench.loop) { answer.put($0) }
        return answer
    }

    func heartbeat(
        _ member: String, _ epoch: Int32, owned: PartitionSet? = nil, isFull: Bool = false, group: String = "c"
    ) throws -> ConsumerGroupHeartbeatReply {
        let answer = self.beginHeartbeat(member, epoch, owned: owned, isFull: isFull, group: group)
        self.bench.settle()
        return try #require(answer.value, "no answer").get()
    }

    // MARK: Scenes

    /// A stable generation of as many new members, each told "for" its own name.
    func settle(_ count: Int, _ group: String = "g") throws -> [JoinedGroup] {
        var waiting: [Once<Result<JoinedGroup, JoinRefusal>>] = []
        for _ in 0..<count { waiting.append(self.beginJoin(Self.request(), group)) }
        // The first had a generation of its own; it joins again.
        if count > 1, let first = waiting[0].value {
            waiting[0] = self.beginJoin(Self.request(try first.get().member), group)
        }
        self.bench.settle()
        let joined = try waiting.map { try #require($0.value, "everybody has joined").get() }
        try self.assign(joined, group)
        return joined
    }

    func assign(_ joined: [JoinedGroup], _ group: String = "g") throws {
        let assignments = Dictionary(uniqueKeysWithValues: joined.map { ($0.member, "for \($0.member)") })
        let syncs = joined.map { self.beginSync($0, $0.leader == $0.member ? assignments : [:], group) }
        self.bench.settle()
        for (one, sync) in zip(joined, syncs) {
            #expect(String(buffer: try #require(sync.value).get().assignment) == "for \(one.member)")
        }
    }
}
