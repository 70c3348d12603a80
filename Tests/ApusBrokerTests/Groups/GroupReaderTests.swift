import ApusAccess
import ApusCore
import ApusFakes
import ApusGroups
import ApusSubscriptions
import Testing

@testable import ApusBroker

/// What a group reads is what its members may read.
@Suite("Groups as readers")
struct GroupReaderTests {
    private static let alice = Principal(user: "alice") ?? .anonymous

    /// Alice may read `mine` and knows of `theirs`; both are there.
    private func world() throws -> TestBroker {
        let world = try TestBroker(configuration: ["group.initial.rebalance.delay.ms": "0"]) {
            $0.isAuthorizing = true
            $0.isAuditing = false
        }
        for topic in ["mine", "theirs"] { try world.create(topic, ["apus.retention.mode": "consumed"]) }
        let rules = [
            try Acl(ResourcePattern(.group, .prefixed, "g"), Self.alice, .any, .read, .allow),
            try Acl(ResourcePattern(.topic, .literal, "mine"), Self.alice, .any, .read, .allow),
            try Acl(ResourcePattern(.topic, .literal, "theirs"), Self.alice, .any, .describe, .allow),
            try Acl(ResourcePattern(.topic, .prefixed, "ghost"), Self.alice, .any, .read, .allow),
        ]
        let answer = Once<Result<Int, BrokerError>>()
        world.broker.access.commit(on: world.loop) { records in
            AccessDraft(
                rules.map { .put(key: AclRecord.key(of: $0), value: AclRecord.encoded($0)) }, answer: records.aclCount)
        } then: {
            answer.put($0)
        }
        world.settle()
        _ = try #require(answer.value).get()
        return world
    }

    /// The first question for a group makes the topic that keeps it.
    private func find(_ group: String, _ world: TestBroker) {
        let answer = Once<[GroupError?]>()
        world.broker.findCoordinators(of: [GroupID(group)], client: .embedded, on: world.loop) { answer.put($0) }
        world.settle()
        #expect(answer.value == [nil])
    }

    private func interest(_ group: String, _ world: TestBroker) -> TopicInterest? {
        world.subscription(group)?.subscription.interest
    }

    @Test("a member that names topics it may not read, or that are not there, is no reader of them")
    func classic() throws {
        let world = try self.world()
        let client = world.broker.access.client(Self.alice, address: "10.0.0.1")
        self.find("g", world)
        let answer = Once<Result<JoinedGroup, JoinRefusal>>()
        let request = GroupWorld.request(topics: ["theirs", "mine", "ghosts", "nobody"])
        world.broker.joinGroup(GroupID("g"), request, client: client, on: world.loop) { answer.put($0) }
        world.settle()
        _ = try #require(answer.value).get()
        #expect(self.interest("g", world) == .names(["mine"]))
        #expect(world.broker.subscriptions.view.index.readers(of: "theirs").isEmpty)
    }

    @Test("a thousand and one names make a group no reader of a topic that it did not name")
    func many() throws {
        let world = try TestBroker(configuration: ["group.initial.rebalance.delay.ms": "0"])
        let names = (0...Limits.topicsPerSubscriptionMax).map { "orders-\(10_000 + $0)" }
        _ = world.createAll((names + ["orders", "other"]).map { TopicSpecification(name: $0, partitions: 1) })
        self.find("g", world)
        let answer = Once<Result<JoinedGroup, JoinRefusal>>()
        // Named over and over: once is counted.
        let request = GroupWorld.request(topics: names + names + names)
        world.broker.joinGroup(GroupID("g"), request, client: .embedded, on: world.loop) { answer.put($0) }
        world.settle()
        _ = try #require(answer.value).get()
        #expect(self.interest("g", world) == .names(names.dropLast()))
    }

    @Test("KIP-848: to know of a topic makes no reader; what a member is given to read does")
    func consumer() throws {
        let world = try self.world()
        let client = world.broker.access.client(Self.alice, address: "10.0.0.1")
        self.find("g848", world)
        func heartbeat(_ epoch: Int32, topics: [String]?) throws -> ConsumerGroupHeartbeatReply {
            let answer = Once<Result<ConsumerGroupHeartbeatReply, GroupError>>()
            var request = ConsumerGroupHeartbeat(
                group: GroupID("g848"), member: MemberID("m"), epoch: GroupEpoch(rawValue: epoch),
                client: ClientIdentity(clientID: "c", host: "/10.0.0.1"))
            request.topicNames = topics
            if epoch == 0 {
                request.rebalanceTimeout = .seconds(30)
                request.owned = .empty
            }
            world.broker.consumerGroupHeartbeat(request, client: client, on: world.loop) { answer.put($0) }
            world.settle()
            return try #require(answer.value, "no answer").get()
        }
        let joined = try heartbeat(0, topics: ["mine", "theirs", "ghost"])
        #expect(self.interest("g848", world) == .names(["mine"]))
        // It comes later; nobody names it again.
        try world.create("ghost")
        var epoch = joined.epoch.rawValue
        for _ in 0..<5 where self.interest("g848", world) == .names(["mine"]) {
            world.passSeconds(5)
            epoch = try heartbeat(epoch, topics: nil).epoch.rawValue
        }
        #expect(self.interest("g848", world) == .names(["ghost", "mine"]))
    }
}
