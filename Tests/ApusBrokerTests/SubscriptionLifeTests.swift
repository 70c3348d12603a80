import ApusAccess
import ApusCore
import ApusFakes
import ApusSubscriptions
import Testing

@testable import ApusBroker

@Suite("Groups in the catalogue")
struct SubscriptionLifeTests {
    private let alice = Principal.anonymous

    private func known(_ name: String, _ world: TestBroker) -> RegisteredSubscription? {
        world.broker.subscriptions.view.index.subscription(named: SubscriptionName(name))
    }

    /// What the catalogue itself says.
    private func stored(_ catalogue: FakeCatalogue) -> [RegisteredSubscription] {
        let answer = Once<[RegisteredSubscription]>()
        catalogue.subscriptions(SubscriptionQuery()) { answer.put((try? $0.get().items) ?? []) }
        return answer.value ?? []
    }

    @Test("a consumer group appears as a stream subscription by itself, and reads on in more topics")
    func appears() throws {
        let world = try TestBroker()
        world.broker.subscriptions.groupSeen("billing", owner: self.alice, topics: ["orders"])
        world.settle()
        let first = try #require(self.known("billing", world))
        #expect(first.subscription.origin == .group)
        #expect(first.subscription.delivery == .stream)
        #expect(first.subscription.owner.text == "User:ANONYMOUS")
        #expect(first.subscription.expiry == Limits.groupSubscriptionExpiry)
        #expect(self.stored(world.catalogue) == [first])
        world.broker.subscriptions.groupSeen("billing", owner: self.alice, topics: ["payments"])
        world.settle()
        #expect(self.known("billing", world)?.subscription.interest.names == ["orders", "payments"])
    }

    @Test("a thousand groups of one new owner that come at once are all there")
    func many() throws {
        let world = try TestBroker()
        for index in 0..<1000 {
            world.broker.subscriptions.groupSeen("group-\(index)", owner: self.alice, topics: ["t\(index % 7)"])
        }
        world.settle()
        #expect(world.broker.subscriptions.view.index.count == 1000)
        #expect(self.stored(world.catalogue).count == 1000)
    }

    @Test("a group that nobody uses for its expiry is removed; one with a sign of life stays, also over a restart")
    func expires() throws {
        let world = try TestBroker()
        let subscriptions = world.broker.subscriptions
        for name in ["dead", "alive"] { subscriptions.groupSeen(name, owner: self.alice, topics: ["t"]) }
        world.settle()
        // Short, so that the test need not pass a week second by second.
        for name in ["dead", "alive"] {
            var entry = try #require(self.known(name, world))
            entry.subscription.expiry = .seconds(900)
            let change = CatalogueChange.putSubscription(entry.subscription, expecting: entry.version)
            let now = world.clock.wallTime
            world.catalogue.commit(CatalogueTransaction([change], by: entry.subscription.owner, at: now)) { answer in
                #expect((try? answer.get()) != nil)
            }
        }
        world.settle()
        world.passSeconds(600)
        subscriptions.groupSeen("alive", owner: self.alice, topics: ["t"])
        world.passSeconds(400)
        #expect(self.known("dead", world) == nil)
        #expect(self.known("alive", world) != nil)
        #expect(self.stored(world.catalogue).map(\.subscription.name.text) == ["alive"])
        // 400 s without a use so far: a clean stop notes when the last one was.
        #expect(try world.close())
        world.clock.advance(by: .seconds(450))
        let next = try TestBroker(
            disk: world.disk, store: world.store, catalogue: world.catalogue, clock: world.clock, incarnation: 2)
        #expect(self.known("alive", next) != nil)
        next.passSeconds(590)
        // It would be over by its use alone; its readers had no broker to come to.
        #expect(self.known("alive", next) != nil)
        next.passSeconds(20)
        #expect(self.known("alive", next) == nil)
    }

    @Test("positions found while loading are no use of a group")
    func loadingIsNoUse() throws {
        let world = try TestBroker()
        let topic = try world.create("t")
        let place = TopicPartition(topic: topic.id, partition: .init(rawValue: 0))
        world.broker.subscriptions.groupSeen("g", owner: self.alice, topics: ["t"])
        world.settle()
        world.passSeconds(1)
        let used = try #require(self.stored(world.catalogue).first).usedAt
        world.passSeconds(200)
        world.broker.subscriptions.positionsChanged(of: "g", [(place, Offset(rawValue: 5))], isLoading: true)
        world.passSeconds(2)
        #expect(self.stored(world.catalogue).first?.usedAt == used)
        world.broker.subscriptions.positionsChanged(of: "g", [(place, Offset(rawValue: 6))])
        world.passSeconds(2)
        #expect(try #require(self.stored(world.catalogue).first).usedAt > used)
    }

    @Test("a position that comes before its group is known is not lost")
    func unclaimed() throws {
        let world = try TestBroker()
        let topic = try world.create("t")
        let place = TopicPartition(topic: topic.id, partition: .init(rawValue: 0))
        world.broker.subscriptions.positionsChanged(of: "g", [(place, Offset(rawValue: 5))], isLoading: true)
        world.broker.subscriptions.groupSeen("g", owner: self.alice, topics: ["t"])
        world.settle()
        let id = try #require(self.known("g", world)).id
        #expect(world.broker.shards[0].readers[place].position(of: id) == Offset(rawValue: 5))
    }

    @Test("deleting a group removes the subscription it made; a declared one stays and has read nothing")
    func deleted() throws {
        let world = try TestBroker()
        let topic = try world.create("t")
        let place = TopicPartition(topic: topic.id, partition: .init(rawValue: 0))
        let subscriptions = world.broker.subscriptions
        subscriptions.groupSeen("made", owner: self.alice, topics: ["t"])
        world.settle()
        let owner = ConsumerName(self.alice.description)
        let declared = Subscription(name: SubscriptionName("declared"), owner: owner, interest: .names(["t"]))
        let transaction = CatalogueTransaction(
            [.putSubscription(declared, expecting: .none)], by: owner, at: world.clock.wallTime)
        world.catalogue.commit(transaction) { answer in #expect((try? answer.get()) != nil) }
        world.settle()
        let id = try #require(self.known("declared", world)).id
        subscriptions.positionsChanged(of: "declared", [(place, Offset(rawValue: 5))])
        subscriptions.groupDeleted("made")
        subscriptions.groupDeleted("declared")
        world.settle()
        #expect(self.known("made", world) == nil)
        #expect(self.known("declared", world)?.id == id)
        #expect(world.broker.shards[0].readers[place].position(of: id) == nil)
    }

    @Test(
        "a catalogue that fails at the start stops nothing, and is read once it works",
        arguments: [
            CatalogueError.busy("locked"), .full("no space"), .readOnly("ro"), .corrupt("bad page"),
            .unavailable("gone"),
        ])
    func failing(error: CatalogueError) throws {
        let catalogue = FakeCatalogue()
        catalogue.failure = error
        let world = try TestBroker(catalogue: catalogue)
        try world.create("t")
        #expect(try world.produce("t", Batch.of(["a"])).error == nil)
        #expect(try world.values("t") == ["a"])
        world.broker.subscriptions.groupSeen("g", owner: self.alice, topics: ["t"])
        world.passSeconds(20)
        #expect(self.known("g", world) == nil)
        catalogue.failure = nil
        // Its members give signs of life.
        world.broker.subscriptions.groupSeen("g", owner: self.alice, topics: ["t"])
        world.passSeconds(20)
        #expect(self.known("g", world) != nil)
        #expect(world.broker.subscriptions.view.knowledge == .read)
    }

    @Test("what another broker commits is seen; a watch that missed too much begins anew")
    func watches() throws {
        var caps = CatalogueCaps()
        caps.history = 2
        let world = try TestBroker(catalogue: FakeCatalogue(caps: caps))
        let owner = ConsumerName("User:bob")
        func commit(_ change: CatalogueChange) {
            let transaction = CatalogueTransaction([change], by: owner, at: world.clock.wallTime)
            world.catalogue.commit(transaction) { answer in #expect((try? answer.get()) != nil) }
        }
        commit(.putConsumer(Consumer(name: owner), expecting: .none))
        for index in 0..<20 {
            let name = SubscriptionName("s\(index)")
            commit(.putSubscription(.init(name: name, owner: owner, interest: .names(["t"])), expecting: .none))
        }
        world.settle()
        #expect(world.broker.subscriptions.view.index.readers(of: "t").count == 20)
    }

    @Test("a group that was given a period still says itself what it reads, until somebody else does")
    func changed() throws {
        let world = try TestBroker()
        for topic in ["orders", "payments", "returns"] { try world.create(topic) }
        let subscriptions = world.broker.subscriptions
        subscriptions.groupSeen("billing", owner: self.alice, topics: ["orders"])
        world.settle()
        func change(_ body: (inout Subscription) -> Void) throws {
            let known = try #require(self.known("billing", world))
            // As a door makes it: the request does not say how it came to be.
            var wish = known.subscription
            wish.origin = .declared
            body(&wish)
            let answer = Once<Result<RegisteredSubscription, BrokerError>>()
            world.broker.put(
                SubscriptionWish(wish, expecting: known.version), client: .embedded, on: world.loop
            ) { answer.put($0) }
            world.settle()
            _ = try #require(answer.value).get()
        }
        try change { $0.period = TestBroker.hour * 12 }
        subscriptions.groupSeen("billing", owner: self.alice, topics: ["payments"])
        world.settle()
        #expect(self.known("billing", world)?.subscription.interest.names == ["orders", "payments"])
        try world.commit("billing", 0, topic: "returns")
        #expect(self.known("billing", world)?.subscription.interest.names == ["orders", "payments", "returns"])
        // What was stated outlives the group.
        subscriptions.groupDeleted("billing")
        world.settle()
        #expect(self.known("billing", world)?.subscription.period == TestBroker.hour * 12)
        try change { $0.interest = .names(["orders"]) }
        #expect(self.known("billing", world)?.subscription.origin == .declared)
        subscriptions.groupSeen("billing", owner: self.alice, topics: ["payments"])
        world.settle()
        #expect(self.known("billing", world)?.subscription.interest.names == ["orders"])
    }

    @Test("a position that waited for its group to be known does not take the place of a newer one")
    func overtaken() throws {
        let world = try TestBroker()
        let topic = try world.create("t")
        let place = TopicPartition(topic: topic.id, partition: .init(rawValue: 0))
        let subscriptions = world.broker.subscriptions
        subscriptions.groupSeen("g", owner: self.alice, topics: ["t"])
        world.settle()
        let id = try #require(self.known("g", world)).id
        subscriptions.tell([(place, Offset(rawValue: 9))], of: id)
        subscriptions.tell([(place, Offset(rawValue: 5))], of: id, areOld: true)
        world.settle()
        #expect(world.broker.shards[0].readers[place].position(of: id) == Offset(rawValue: 9))
    }

    @Test("of readers that went nothing is left, and partitions that they were alone in go with them")
    func forgotten() {
        var readers = ShardReaders()
        let places = (0..<4).map { TopicPartition(topic: TopicID(high: 1, low: 1), partition: .init(rawValue: $0)) }
        let (first, second) = (SubscriptionID(rawValue: 1), SubscriptionID(rawValue: 2))
        for place in places { readers.committed(first, place, Offset(rawValue: 5)) }
        readers.began(second, places[0], at: Offset(rawValue: 3))
        #expect(readers.forget([first, SubscriptionID(rawValue: 9)]) == Set(places))
        #expect(readers.count == 1)
        #expect(readers[places[0]].position(of: second) == Offset(rawValue: 3))
        readers.drop(places[0])
        #expect(readers.count == 0)
        #expect(readers.forget([second]).isEmpty)
    }
}
