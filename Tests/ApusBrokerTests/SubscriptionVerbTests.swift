import ApusAccess
import ApusCore
import ApusFakes
import ApusSubscriptions
import Testing

@testable import ApusBroker

@Suite("Verbs of subscriptions")
struct SubscriptionVerbTests {
    private func wish(
        _ name: String, owner: String = "User:alice", period: Duration? = nil, topics: [String] = ["orders"]
    ) -> Subscription {
        Subscription(
            name: SubscriptionName(name), owner: ConsumerName(owner), interest: .names(topics), period: period)
    }

    private func put(
        _ subscription: Subscription, expecting: CatalogueVersion = .none, validateOnly: Bool = false,
        _ world: TestBroker, as client: ClientContext
    ) throws -> Result<RegisteredSubscription, BrokerError> {
        let answer = Once<Result<RegisteredSubscription, BrokerError>>()
        world.broker.put(
            SubscriptionWish(subscription, expecting: expecting, reason: "test"), validateOnly: validateOnly,
            client: client, on: world.loop
        ) { answer.put($0) }
        world.settle()
        return try #require(answer.value)
    }

    private func remove(
        _ names: [String], _ world: TestBroker, as client: ClientContext
    ) throws -> [Result<RegisteredSubscription, BrokerError>] {
        let answer = Once<[Result<RegisteredSubscription, BrokerError>]>()
        world.broker.removeSubscriptions(names.map { SubscriptionName($0) }, client: client, on: world.loop) {
            answer.put($0)
        }
        world.settle()
        return try #require(answer.value)
    }

    private func list(
        _ filter: SubscriptionFilter, _ world: TestBroker, as client: ClientContext
    ) throws -> SubscriptionList {
        let answer = Once<Result<SubscriptionList, BrokerError>>()
        world.broker.listSubscriptions(filter, client: client, on: world.loop) { answer.put($0) }
        world.settle()
        return try #require(answer.value).get()
    }

    private func readers(_ offset: Int64, _ world: TestBroker) throws -> Result<ReaderReport, BrokerError> {
        let answer = Once<Result<ReaderReport, BrokerError>>()
        let place = PartitionReference(topic: .name("orders"), partition: PartitionIndex(rawValue: 0))
        world.broker.readers(of: Offset(rawValue: offset), in: place, client: .embedded, on: world.loop) {
            answer.put($0)
        }
        world.settle()
        return try #require(answer.value)
    }

    private func holdings(_ world: TestBroker) throws -> TopicHoldings {
        let answer = Once<Result<TopicHoldings, BrokerError>>()
        world.broker.holdings(of: .name("orders"), client: .embedded, on: world.loop) { answer.put($0) }
        world.settle()
        return try #require(answer.value).get()
    }

    @Test("two at once of an owner that nobody knew are both made")
    func ownerOfTwo() throws {
        let world = try TestBroker()
        try world.create("orders")
        let alice = try world.reader("alice")
        let answers = ["billing", "search"].map { name in
            let answer = Once<Result<RegisteredSubscription, BrokerError>>()
            world.broker.put(SubscriptionWish(self.wish(name), reason: "test"), client: alice, on: world.loop) {
                answer.put($0)
            }
            return answer
        }
        world.settle()
        for answer in answers { _ = try #require(answer.value).get() }
        #expect(try self.list(SubscriptionFilter(), world, as: alice).items.count == 2)
    }

    @Test("made, seen at once, changed by who read it last, removed; each with its line in the audit trail")
    func life() throws {
        let world = try TestBroker()
        try world.create("orders")
        let alice = try world.reader("alice")
        let made = try self.put(self.wish("billing", period: .seconds(7200)), world, as: alice).get()
        #expect(world.subscription("billing") == made)
        #expect(
            try self.put(self.wish("billing"), world, as: alice) == .failure(.subscriptionExists("billing")))
        var longer = made.subscription
        longer.period = .seconds(10_800)
        let changed = try self.put(longer, expecting: made.version, world, as: alice).get()
        #expect(changed.id == made.id)
        #expect(changed.version > made.version)
        // Decided on what is not so any more.
        let conflict = BrokerError.catalogue(
            .conflict(.subscription(SubscriptionName("billing")), found: changed.version))
        #expect(try self.put(longer, expecting: made.version, world, as: alice) == .failure(conflict))
        #expect(try self.list(SubscriptionFilter(topic: "orders"), world, as: alice).items == [changed])
        #expect(
            try self.remove(["billing", "nobody"], world, as: alice).map { (try? $0.get()) != nil } == [true, false])
        #expect(try self.list(SubscriptionFilter(), world, as: alice).items.isEmpty)
        let trail = Once<[String]>()
        world.catalogue.audit(AuditQuery()) { page in
            trail.put(((try? page.get().items) ?? []).map { "\($0.action.rawValue) \($0.subject) by \($0.actor)" })
        }
        #expect(
            trail.value == [
                "created consumer 'User:alice' by User:alice", "created subscription 'billing' by User:alice",
                "changed subscription 'billing' by User:alice", "removed subscription 'billing' by User:alice",
            ])
    }

    @Test(
        "what can not be is refused in words that say what can",
        arguments: [
            (Duration.zero, "period: can not be zero"), (.seconds(-5), "period: can not be negative"),
            (.milliseconds(5), "period: must be between 1 s and 3650 d"),
            (.seconds(3 * 86_400), "period: 3 d is longer than topic 'orders' allows: 2 d"),
        ])
    func periods(period: Duration, words: String) throws {
        let world = try TestBroker()
        try world.create("orders", ["apus.retention.ceiling.ms": "172800000", "retention.ms": "1000"])
        let alice = try world.reader("alice")
        for isTrial in [true, false] {
            let result = try self.put(
                self.wish("s", period: period), validateOnly: isTrial, world, as: alice)
            guard case .failure(.catalogue(.invalid(let field))) = result else {
                Issue.record("taken: \(result)")
                continue
            }
            #expect(field.description.hasPrefix(words))
        }
        #expect(world.subscription("s") == nil)
    }

    @Test("a list tells of uses that the catalogue has not heard of yet")
    func lastUse() throws {
        let world = try TestBroker()
        try world.create("orders")
        let alice = try world.reader("alice")
        let made = try self.put(self.wish("billing"), world, as: alice).get()
        world.passSeconds(20)
        _ = try world.read(from: 0, for: "billing")
        let listed = try #require(try self.list(SubscriptionFilter(), world, as: alice).items.first)
        #expect(listed.usedAt == made.usedAt.later(by: .seconds(20)))
    }

    @Test("a trial changes nothing")
    func trial() throws {
        let world = try TestBroker()
        try world.create("orders")
        let alice = try world.reader("alice")
        #expect((try? self.put(self.wish("s"), validateOnly: true, world, as: alice).get()) != nil)
        #expect(world.subscription("s") == nil)
    }

    @Test(
        "with the catalogue away, changes are refused whole, lists answered, records served",
        arguments: [
            CatalogueError.busy("locked"), .full("no space"), .readOnly("ro"), .corrupt("bad page"),
            .unavailable("gone"),
        ])
    func away(error: CatalogueError) throws {
        let world = try TestBroker()
        try world.create("orders")
        let alice = try world.reader("alice")
        let made = try self.put(self.wish("billing", period: .seconds(7200)), world, as: alice).get()
        world.catalogue.failure = error
        #expect(try self.put(self.wish("other"), world, as: alice) == .failure(.catalogue(error)))
        #expect(try self.remove(["billing"], world, as: alice) == [.failure(.catalogue(error))])
        #expect(try self.list(SubscriptionFilter(), world, as: alice).items == [made])
        try world.write("a")
        #expect(try world.earliest(for: "billing") == 0)
        #expect(try world.read(from: 0, for: "billing").error == nil)
        world.catalogue.failure = nil
        #expect((try? self.remove(["billing"], world, as: alice)[0].get()) != nil)
    }

    @Test("who has read a record is told with names, who came too late as well")
    func readerCounts() throws {
        let world = try TestBroker()
        try world.create("orders", ["retention.ms": "-1"])
        for name in ["a", "b", "billing", "c", "search"] {
            try world.subscribe(name, period: name == "billing" ? TestBroker.hour : nil)
        }
        for value in 0..<10 { try world.write("\(value)") }
        for (name, position) in [("a", 10), ("b", 6), ("c", 5)] { try world.commit(name, Int64(position)) }
        #expect(try self.readers(4, world).get().text == "3 of 5 have read it; waiting for billing, search")
        #expect(try self.readers(5, world).get().text == "2 of 5 have read it; waiting for billing, c, search")
        #expect(try self.readers(9, world).get().read == 1)
        world.passHours(2)
        try world.write("new")
        #expect(
            try self.readers(4, world).get().text
                == "3 of 5 have read it; waiting for search; too late for billing")
        let outside = BrokerError.offsetOutOfRange(logStart: .zero, logEnd: Offset(rawValue: 11))
        #expect(try self.readers(11, world) == .failure(outside))
        #expect(try self.readers(-1, world) == .failure(outside))
    }

    @Test("nothing is said of readers before every coordinator was heard")
    func unheard() throws {
        let world = try TestBroker()
        try world.create("orders")
        try world.create("__consumer_offsets", partitions: 1)
        try world.subscribe("a")
        try world.write("x")
        #expect(try self.readers(0, world) == .failure(.positionsLoading))
        world.broker.subscriptions.coordinatorLoaded(partition: .init(rawValue: 0), of: 1)
        #expect(try self.readers(0, world).get().text == "0 of 1 has read it; waiting for a")
    }

    @Test("who holds what of a topic by age, and what it costs alone")
    func holdingsByAge() throws {
        let world = try TestBroker()
        try world.create("orders", ["retention.ms": "1800000", "segment.ms": "60000"])
        try world.subscribe("hourly", period: TestBroker.hour * 2)
        try world.subscribe("daily", owner: "User:bob", period: TestBroker.hour * 24)
        try world.subscribe("plain")
        for value in 0..<12 {
            try world.write("\(value)")
            world.passHours(1)
        }
        let holdings = try self.holdings(world)
        #expect(holdings.mode == "time")
        #expect(holdings.retention == TestBroker.hour * 24)
        #expect(holdings.holders.map(\.subscription.subscription.name.text) == ["daily", "hourly", "plain"])
        let one = holdings.totalBytes.rawValue / 12
        // The newest is older than the floor: all twelve are held by the day, one of them by two hours as well.
        #expect(holdings.holders.map { $0.heldBytes.rawValue / one } == [12, 1, 0])
        #expect(holdings.holders.map { $0.ownBytes.rawValue / one } == [11, 0, 0])
        #expect(holdings.holders.map(\.unread) == [12, 12, 12])
    }

    @Test("who holds what where reading frees: the slowest holds most, and some of it alone")
    func holdingsByReading() throws {
        let world = try TestBroker()
        try world.create(
            "orders", ["retention.ms": "0", "segment.ms": "1000", "apus.retention.mode": "consumed"])
        for name in ["a", "b", "c"] { try world.subscribe(name) }
        for value in 0..<10 {
            try world.write("\(value)")
            world.passSeconds(2)
        }
        for (name, position) in [("a", 9), ("b", 6), ("c", 2)] { try world.commit(name, Int64(position)) }
        world.passSeconds(2)
        let holdings = try self.holdings(world)
        let one = holdings.totalBytes.rawValue / 8
        #expect(holdings.holders.map(\.subscription.subscription.name.text) == ["c", "b", "a"])
        #expect(holdings.holders.map { $0.heldBytes.rawValue / one } == [8, 4, 1])
        #expect(holdings.holders.map { $0.ownBytes.rawValue / one } == [4, 0, 0])
        #expect(holdings.holders.map(\.unread) == [8, 4, 1])
    }

    @Test("a list is read page by page in order of the names, each once, whatever is made meanwhile")
    func pages() throws {
        let world = try TestBroker()
        let subscriptions = world.broker.subscriptions
        let alice = try world.reader("alice")
        let names = (0..<2500).map { "s\(10_000 + $0)" }
        for name in names.shuffled() { subscriptions.groupSeen(name, owner: alice.principal, topics: ["t"]) }
        world.settle()
        var found: [String] = []
        var filter = SubscriptionFilter()
        var sizes: [Int] = []
        while true {
            let page = try self.list(filter, world, as: alice)
            sizes.append(page.items.count)
            found += page.items.map(\.subscription.name.text)
            guard let next = page.next else { break }
            subscriptions.groupSeen("before-\(sizes.count)", owner: alice.principal, topics: [])
            world.settle()
            filter.after = next
        }
        #expect(found == names)
        #expect(sizes == [1000, 1000, 500])
        let named = SubscriptionFilter(
            names: [SubscriptionName("s10007"), SubscriptionName("s10003"), SubscriptionName("no")],
            after: SubscriptionName("s10003"))
        #expect(try self.list(named, world, as: alice).items.map(\.subscription.name.text) == ["s10007"])
    }
}
