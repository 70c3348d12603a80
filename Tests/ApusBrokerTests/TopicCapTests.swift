import ApusAccess
import ApusCore
import ApusFakes
import NIOCore
import Testing

@testable import ApusBroker

@Suite("Caps on topics and partitions")
struct TopicCapTests {
    private static let alice = Principal(user: "alice") ?? .anonymous
    private static let bob = Principal(user: "bob") ?? .anonymous
    private static let root = Principal(user: "root") ?? .anonymous
    private static let caps = ["apus.principal.topics.max": "3", "apus.principal.partitions.max": "10"]

    /// Everybody may make and change topics, three of ten partitions together.
    private static func world(
        _ store: FakeCoordinatorStore = FakeCoordinatorStore(), caps: [String: String] = Self.caps,
        incarnation: Int32 = 1, isAuthorizing: Bool = true
    ) throws -> TestBroker {
        let world = try TestBroker(store: store, incarnation: incarnation, configuration: caps) {
            $0.isAuthorizing = isAuthorizing
            $0.isAuditing = false
            $0.superUsers = [Self.root]
        }
        let rule = try Acl(
            ResourcePattern(.topic, .literal, ResourcePattern.wildcard), .everybody, .any, .all, .allow)
        world.broker.access.commit(on: world.loop) { _ in
            AccessDraft([.put(key: AclRecord.key(of: rule), value: AclRecord.encoded(rule))], answer: true)
        } then: { _ in
        }
        world.settle()
        return world
    }

    private static func client(_ principal: Principal, _ world: TestBroker) -> ClientContext {
        world.broker.access.client(principal, address: "10.0.0.1")
    }

    /// Without waiting for the store.
    private static func begin(
        _ names: [String], partitions: Int32 = 1, validateOnly: Bool = false, as principal: Principal,
        _ world: TestBroker
    ) -> Once<[Result<Topic, BrokerError>]> {
        let answer = Once<[Result<Topic, BrokerError>]>()
        world.broker.create(
            names.map { TopicSpecification(name: $0, partitions: partitions) }, validateOnly: validateOnly,
            client: self.client(principal, world), on: world.loop
        ) { answer.put($0) }
        return answer
    }

    private static func create(
        _ names: [String], partitions: Int32 = 1, validateOnly: Bool = false, as principal: Principal,
        _ world: TestBroker
    ) -> [String] {
        let answer = self.begin(names, partitions: partitions, validateOnly: validateOnly, as: principal, world)
        world.settle()
        return self.words(answer)
    }

    private static func grow(_ topic: String, to count: Int32, as principal: Principal, _ world: TestBroker) -> String {
        let answer = Once<[Result<Topic, BrokerError>]>()
        world.broker.createPartitions(
            [PartitionGrowth(topic: topic, partitions: count)], client: self.client(principal, world), on: world.loop
        ) { answer.put($0) }
        world.settle()
        return self.words(answer).first ?? "unanswered"
    }

    private static func delete(_ topic: String, as principal: Principal, _ world: TestBroker) -> String {
        let answer = Once<[Result<Topic, BrokerError>]>()
        world.broker.deleteTopics([.name(topic)], client: self.client(principal, world), on: world.loop) {
            answer.put($0)
        }
        world.settle()
        return self.words(answer).first ?? "unanswered"
    }

    /// `made`, or the case of the error.
    private static func words(_ answer: Once<[Result<Topic, BrokerError>]>) -> [String] {
        (answer.value ?? []).map { result in
            switch result {
            case .success: "made"
            case .failure(let error): String("\(error)".prefix { $0 != "(" })
            }
        }
    }

    private static func count(_ principal: Principal, _ world: TestBroker) -> TopicOwners.Count {
        let answer = Once<TopicOwners.Count>()
        world.broker.registry.submit { draft in
            let count = draft.owners.count(of: principal)
            return { _ in answer.put(count) }
        }
        world.settle()
        return answer.value ?? TopicOwners.Count(topics: -1, partitions: -1)
    }

    @Test("who has as many topics as he may makes no more, in so many words, until one is deleted")
    func topics() throws {
        let world = try Self.world()
        #expect(Self.create(["a", "b", "c"], as: Self.alice, world) == ["made", "made", "made"])
        let refused = Self.begin(["d"], as: Self.alice, world)
        world.settle()
        let words =
            "User:alice has 3 topics and asks for one more, at most 3 are allowed (apus.principal.topics.max): "
            + "delete topics that are not needed, or have the operator raise it"
        #expect(throws: BrokerError.policyViolation(words)) { _ = try #require(refused.value?.first).get() }
        #expect(Self.create(["d"], validateOnly: true, as: Self.alice, world) == ["policyViolation"])
        #expect(Self.create(["e"], as: Self.bob, world) == ["made"], "the cap is each principal's own")
        #expect(Self.delete("b", as: Self.bob, world) == "made")
        #expect(Self.create(["d"], as: Self.alice, world) == ["made"])
        #expect(Self.create(["b"], as: Self.alice, world) == ["policyViolation"])
    }

    @Test("partitions are counted over all topics of a principal, and those of a deleted topic no more")
    func partitions() throws {
        let world = try Self.world()
        #expect(Self.create(["a"], partitions: 6, as: Self.alice, world) == ["made"])
        #expect(Self.create(["b"], partitions: 5, as: Self.alice, world) == ["policyViolation"])
        #expect(Self.create(["b"], partitions: 3, as: Self.alice, world) == ["made"])
        #expect(Self.grow("b", to: 5, as: Self.alice, world) == "policyViolation")
        #expect(Self.grow("b", to: 4, as: Self.alice, world) == "made")
        #expect(Self.count(Self.alice, world) == TopicOwners.Count(topics: 2, partitions: 10))
        #expect(Self.delete("a", as: Self.alice, world) == "made")
        #expect(Self.count(Self.alice, world) == TopicOwners.Count(topics: 1, partitions: 4))
        #expect(Self.create(["c"], partitions: 6, as: Self.alice, world) == ["made"])
    }

    @Test("new partitions count for the topic's owner, whoever asks; a super user is not held up")
    func growthOfOthers() throws {
        let world = try Self.world()
        #expect(Self.create(["a"], partitions: 9, as: Self.alice, world) == ["made"])
        #expect(Self.grow("a", to: 11, as: Self.bob, world) == "policyViolation")
        #expect(Self.count(Self.bob, world) == TopicOwners.Count())
        #expect(Self.grow("a", to: 11, as: Self.root, world) == "made")
        #expect(Self.count(Self.alice, world).partitions == 11)
    }

    @Test("super users and the broker's own process have no caps, and what nobody owns counts for nobody")
    func exempt() throws {
        let world = try Self.world()
        #expect(Self.create(["a", "b", "c", "d"], partitions: 9, as: Self.root, world).allSatisfy { $0 == "made" })
        #expect(Self.grow("a", to: 20, as: Self.bob, world) == "made", "a super user's topic")
        for index in 0..<5 { #expect(try world.create("own\(index)", partitions: 9).owner == nil) }
        #expect(Self.grow("own0", to: 20, as: Self.bob, world) == "made")
        #expect(world.broker.topics.topic(named: "a")?.owner == Self.root)
    }

    @Test("where nobody logs in there are no caps, and topics have no owner")
    func unauthenticated() throws {
        let world = try Self.world(isAuthorizing: false)
        let names = (0..<20).map { "t\($0)" }
        #expect(Self.create(names, partitions: 9, as: .anonymous, world).allSatisfy { $0 == "made" })
        #expect(world.broker.topics.all.allSatisfy { $0.owner == nil })
    }

    @Test("who need not log in though others do has the caps of one principal")
    func anonymousAmongOthers() throws {
        let world = try Self.world()
        #expect(
            Self.create(["a", "b", "c", "d"], as: .anonymous, world) == ["made", "made", "made", "policyViolation"])
    }

    @Test("owners and counts are there after a restart, a change of settings and a growth")
    func restart() throws {
        let store = FakeCoordinatorStore()
        let world = try Self.world(store)
        #expect(Self.create(["a", "b"], partitions: 3, as: Self.alice, world) == ["made", "made"])
        #expect(Self.grow("b", to: 4, as: Self.alice, world) == "made")
        let altered = Once<[BrokerError?]>()
        world.broker.alterConfigurations(
            [(.topic("a"), .change([.set(name: "retention.ms", value: "5000")]))], client: .embedded, on: world.loop
        ) { altered.put($0) }
        world.settle()
        #expect(altered.value == [nil])
        for broker in [world, try Self.world(store, incarnation: 2)] {
            #expect(broker.broker.topics.topic(named: "a")?.owner == Self.alice)
            #expect(Self.count(Self.alice, broker) == TopicOwners.Count(topics: 2, partitions: 7))
        }
        let after = try Self.world(store, incarnation: 3)
        #expect(Self.create(["c", "d"], as: Self.alice, after) == ["made", "policyViolation"])
    }

    @Test("topics that an older version made count for nobody")
    func oldRecords() throws {
        let store = FakeCoordinatorStore()
        let changes = (0..<5).flatMap { index -> [StoreChange] in
            let id = TopicID(high: 1, low: UInt64(index))
            let name = "old\(index)"
            let record: [UInt8] = [2, 0, 0, 0, 9, 0, 0, 0, 1, 0, 4] + Array(name.utf8) + [0, 0]
            return [
                .put(key: StoreKey.topic(id), value: record),
                .put(key: StoreKey.name(name), value: Array(id.description.utf8)),
            ]
        }
        store.commit(StoreTransaction(changes: changes)) { _ in }
        let world = try Self.world(store)
        #expect(world.broker.topics.count == 5)
        #expect(Self.create(["new"], partitions: 10, as: Self.alice, world) == ["made"])
        #expect(Self.delete("old0", as: Self.alice, world) == "made")
        #expect(Self.count(Self.alice, world) == TopicOwners.Count(topics: 1, partitions: 10))
    }

    @Test("of two creations at the edge, decided in one draft, one is made")
    func raceInOneDraft() throws {
        let world = try Self.world()
        #expect(Self.create(["a", "b"], as: Self.alice, world) == ["made", "made"])
        let answers = ["c", "d"].map { Self.begin([$0], as: Self.alice, world) }
        world.settle()
        #expect(answers.flatMap(Self.words).sorted() == ["made", "policyViolation"])
        #expect(Self.count(Self.alice, world).topics == 3)
    }

    @Test("a draft that somebody else overtook in the store is decided anew, the cap as well")
    func overtaken() throws {
        let store = FakeCoordinatorStore()
        let first = try Self.world(store)
        #expect(Self.create(["a", "b"], as: Self.alice, first) == ["made", "made"])
        let second = try Self.world(store, incarnation: 2)
        #expect(Self.create(["c"], as: Self.alice, first) == ["made"])
        // The second has not heard of it, and has room for one of the two until the store refuses the first.
        #expect(Self.create(["c", "d"], as: Self.alice, second) == ["topicExists", "policyViolation"])
        #expect(Self.count(Self.alice, second).topics == 3)
    }

    @Test("a cap is changed while the broker runs, and -1 is none")
    func live() throws {
        let world = try Self.world()
        #expect(Self.create(["a", "b", "c", "d"], as: Self.alice, world).last == "policyViolation")
        let answer = Once<[BrokerError?]>()
        world.broker.alterConfigurations(
            [
                (
                    .broker(nil),
                    .change([
                        .set(name: "apus.principal.topics.max", value: "4"),
                        .set(name: "apus.principal.partitions.max", value: "-1"),
                    ])
                )
            ], client: .embedded, on: world.loop
        ) { answer.put($0) }
        world.settle()
        #expect(answer.value == [nil])
        #expect(Self.create(["d"], partitions: 100, as: Self.alice, world) == ["made"])
        #expect(Self.create(["e"], as: Self.alice, world) == ["policyViolation"])
    }

    @Test("a topic that is made because somebody asked for it is its owner's, and counts")
    func automatic() throws {
        let world = try Self.world()
        func ask(_ name: String) -> String {
            let answer = Once<Result<Topic, BrokerError>>()
            world.broker.autoCreate(name, client: Self.client(Self.alice, world), on: world.loop) { answer.put($0) }
            world.settle()
            switch answer.value {
            case .success(let topic): return topic.owner?.description ?? "nobody"
            case .failure(let error): return String("\(error)".prefix { $0 != "(" })
            case nil: return "unanswered"
            }
        }
        #expect(
            ["a", "b", "c", "a", "d"].map(ask) == [
                "User:alice", "User:alice", "User:alice", "User:alice", "policyViolation",
            ])
    }
}
