import ApusCore
import Testing

/// What every catalogue keeps, whichever it is.
@Suite struct CatalogueTests {
    private let directory: TemporaryDirectory

    init() throws {
        self.directory = try TemporaryDirectory()
    }

    @Test("a new catalogue is empty", arguments: CatalogueUnderTest.allCases)
    func empty(kind: CatalogueUnderTest) async throws {
        let catalogue = try kind.make(in: self.directory)
        #expect(try await catalogue.consumers() == CataloguePage(items: [], next: nil, version: .none))
        #expect(try await catalogue.subscriptions() == CataloguePage(items: [], next: nil, version: .none))
        #expect(try await catalogue.audit() == CataloguePage(items: [], next: nil, version: .none))
        await #expect(throws: CatalogueError.notFound(.subscription(SubscriptionName("x")))) {
            try await catalogue.subscription("x")
        }
        await #expect(throws: CatalogueError.notFound(.consumer(.alice))) {
            try await catalogue.consumer("User:alice")
        }
    }

    @Test(
        "every field of a consumer and of a subscription comes back as it was", arguments: CatalogueUnderTest.allCases)
    func fields(kind: CatalogueUnderTest) async throws {
        let catalogue = try kind.make(in: self.directory)
        let consumer = Consumer(name: .alice, details: "the team\non the second floor", subscriptionsMax: 7)
        let full = Subscription(
            name: SubscriptionName("jobs \u{1F426}"), owner: .alice,
            interest: .names(["zebra", "orders", "zebra", "payments"]), delivery: .queue,
            start: .time(Timestamp(rawValue: 12_345)), period: .seconds(3600), expiry: .milliseconds(86_400_001),
            origin: .declared, filter: "key ^= \"eu-\" and not header.test", deadLetterTopic: "orders.dead",
            pushEndpoint: "https://example.org:8443/hook?x=1")
        let bare = Subscription(
            name: SubscriptionName("group"), owner: .alice, interest: .names([]), start: .earliest, origin: .group)
        let pattern = Subscription(
            name: SubscriptionName("all"), owner: .alice, interest: .pattern(try TopicPattern("orders.*")))
        let receipt = try await catalogue.commit(
            .putConsumer(consumer, expecting: .none), .new(full), .new(bare), .new(pattern))
        #expect(receipt.version > .none)
        let stored = try await catalogue.subscription("jobs \u{1F426}")
        #expect(stored.subscription == full)
        #expect(stored.version == receipt.version)
        #expect(stored.createdAt == .start && stored.usedAt == .start)
        #expect(stored.subscription.interest.names == ["orders", "payments", "zebra"])
        #expect(try await catalogue.subscription("group").subscription == bare)
        #expect(try await catalogue.subscription("all").subscription == pattern)
        let registered = try await catalogue.consumer("User:alice")
        #expect(registered == RegisteredConsumer(consumer: consumer, version: receipt.version, createdAt: .start))
        let all = try await catalogue.subscriptions().items
        #expect(
            receipt.outcomes
                == [.consumer(registered)] + [stored, all[1], all[0]].map { .subscription($0) })
        #expect(Set(all.map(\.id)).count == 3)
    }

    @Test("names are told apart by their bytes", arguments: CatalogueUnderTest.allCases)
    func spellings(kind: CatalogueUnderTest) async throws {
        let catalogue = try kind.make(in: self.directory)
        let composed = "caf\u{E9}"
        let decomposed = "cafe\u{301}"
        #expect(composed == decomposed)
        try await catalogue.commit(.alice, .new(.sample(composed, "a")), .new(.sample(decomposed, "b")))
        #expect(try await catalogue.subscription(composed).subscription.interest.names == ["a"])
        #expect(try await catalogue.subscription(decomposed).subscription.interest.names == ["b"])
        #expect(try await catalogue.subscriptions().items.count == 2)
    }

    @Test(
        "a change names the version it was decided on, and another one's change is not overwritten",
        arguments: CatalogueUnderTest.allCases)
    func compareAndSet(kind: CatalogueUnderTest) async throws {
        let catalogue = try kind.make(in: self.directory)
        let first = try await catalogue.commit(.alice, .new(.sample("s", period: .seconds(60)))).version
        let changed = Subscription.sample("s", period: .seconds(120))
        let second = try await catalogue.commit(.putSubscription(changed, expecting: first)).version
        #expect(second > first)
        let name = CatalogueSubject.subscription(SubscriptionName("s"))
        await #expect(throws: CatalogueError.conflict(name, found: second)) {
            try await catalogue.commit(.putSubscription(.sample("s", period: .seconds(9)), expecting: first))
        }
        await #expect(throws: CatalogueError.conflict(name, found: second)) {
            try await catalogue.commit(.new(.sample("s")))
        }
        await #expect(throws: CatalogueError.conflict(name, found: second)) {
            try await catalogue.commit(.removeSubscription(SubscriptionName("s"), expecting: first))
        }
        await #expect(throws: CatalogueError.notFound(.subscription(SubscriptionName("t")))) {
            try await catalogue.commit(.putSubscription(.sample("t"), expecting: first))
        }
        await #expect(throws: CatalogueError.notFound(.subscription(SubscriptionName("t")))) {
            try await catalogue.commit(.removeSubscription(SubscriptionName("t"), expecting: .none))
        }
        await #expect(throws: CatalogueError.conflict(.consumer(.alice), found: first)) {
            try await catalogue.commit(.alice)
        }
        await #expect(throws: CatalogueError.notFound(.consumer(.bob))) {
            try await catalogue.commit(.removeConsumer(.bob, expecting: first))
        }
        let stored = try await catalogue.subscription("s")
        #expect(stored.subscription == changed && stored.version == second)
        #expect(try await catalogue.audit().items.count == 3)
    }

    @Test("a commit that fails in its last change leaves nothing of the others", arguments: CatalogueUnderTest.allCases)
    func wholeOrNot(kind: CatalogueUnderTest) async throws {
        let catalogue = try kind.make(in: self.directory)
        let version = try await catalogue.commit(.alice, .new(.sample("s"))).version
        await #expect(throws: CatalogueError.notFound(.subscription(SubscriptionName("nobody")))) {
            try await catalogue.commit(
                .bob, .new(.sample("t", owner: .bob)), .removeSubscription(SubscriptionName("s"), expecting: version),
                .removeSubscription(SubscriptionName("nobody"), expecting: version))
        }
        #expect(try await catalogue.consumers().items.map(\.consumer.name) == [.alice])
        #expect(try await catalogue.subscriptions().items.map(\.subscription.name.text) == ["s"])
        #expect(try await catalogue.audit().items.count == 2)
        let next = try await catalogue.commit(.new(.sample("t")))
        #expect(next.version.rawValue == version.rawValue + 1)
    }

    @Test(
        "the changes of one commit see each other, and a removed name may be taken again under a new id",
        arguments: CatalogueUnderTest.allCases)
    func renewed(kind: CatalogueUnderTest) async throws {
        let catalogue = try kind.make(in: self.directory)
        let version = try await catalogue.commit(.alice, .new(.sample("s"))).version
        let old = try await catalogue.subscription("s")
        try await catalogue.note(old.id, at: Timestamp.start.rawValue + 5)
        try await catalogue.commit(
            .removeSubscription(SubscriptionName("s"), expecting: version), .new(.sample("s", "other")))
        let new = try await catalogue.subscription("s")
        #expect(new.id > old.id)
        #expect(new.subscription.interest.names == ["other"])
        #expect(new.usedAt == .start)
        #expect(try await catalogue.subscriptions(SubscriptionQuery(topic: "orders")).items.isEmpty)
    }

    @Test(
        "a subscription has an owner that exists, and an owner stays while it owns",
        arguments: CatalogueUnderTest.allCases)
    func owners(kind: CatalogueUnderTest) async throws {
        let catalogue = try kind.make(in: self.directory)
        await #expect(throws: CatalogueError.notFound(.consumer(.alice))) {
            try await catalogue.commit(.new(.sample("s")))
        }
        let first = try await catalogue.commit(.alice, .bob, .new(.sample("s"))).version
        await #expect(throws: CatalogueError.ownsSubscriptions(.alice, count: 1)) {
            try await catalogue.commit(.removeConsumer(.alice, expecting: first))
        }
        try await catalogue.commit(
            .putSubscription(.sample("s", owner: .bob), expecting: first), .removeConsumer(.alice, expecting: first))
        #expect(try await catalogue.consumers().items.map(\.consumer.name) == [.bob])
        #expect(try await catalogue.subscription("s").subscription.owner == .bob)
    }

    @Test(
        "caps hold for a consumer, its own or the general one, and for the whole catalogue",
        arguments: CatalogueUnderTest.allCases)
    func caps(kind: CatalogueUnderTest) async throws {
        var caps = CatalogueCaps()
        caps.subscriptions = 4
        caps.consumers = 2
        let catalogue = try kind.make(in: self.directory, caps: caps)
        try await catalogue.commit(
            .putConsumer(Consumer(name: .alice, subscriptionsMax: 2), expecting: .none), .bob,
            .new(.sample("a")), .new(.sample("b")))
        await #expect(throws: CatalogueError.tooMany("subscriptions of consumer 'User:alice'", limit: 2)) {
            try await catalogue.commit(.new(.sample("c")))
        }
        let version = try await catalogue.commit(
            .new(.sample("c", owner: .bob)), .new(.sample("d", owner: .bob))
        ).version
        await #expect(throws: CatalogueError.tooMany("subscriptions", limit: 4)) {
            try await catalogue.commit(.new(.sample("e", owner: .bob)))
        }
        await #expect(throws: CatalogueError.tooMany("subscriptions of consumer 'User:alice'", limit: 2)) {
            try await catalogue.commit(.putSubscription(.sample("c", owner: .alice), expecting: version))
        }
        await #expect(throws: CatalogueError.tooMany("consumers", limit: 2)) {
            try await catalogue.commit(.putConsumer(Consumer(name: ConsumerName("c")), expecting: .none))
        }
        try await catalogue.commit(.removeSubscription(SubscriptionName("d"), expecting: version))
        try await catalogue.commit(.new(.sample("e", owner: .bob)))
        #expect(try await catalogue.subscriptions().items.count == 4)
    }

    @Test(
        "lists come in pages, sorted by the names' bytes, with nothing twice and nothing left out",
        arguments: CatalogueUnderTest.allCases)
    func pages(kind: CatalogueUnderTest) async throws {
        let catalogue = try kind.make(in: self.directory)
        let names = (0..<25).map { "s\($0)" } + ["S", "\u{FC}", "s\u{301}"]
        try await catalogue.commit(
            CatalogueTransaction([.alice] + names.map { .new(.sample($0)) }, by: .admin, at: .start))
        var seen: [String] = []
        var after: SubscriptionName?
        var sizes: [Int] = []
        repeat {
            let page = try await catalogue.subscriptions(SubscriptionQuery(after: after, limit: 10))
            seen += page.items.map(\.subscription.name.text)
            sizes.append(page.items.count)
            after = page.next
        } while after != nil
        #expect(sizes == [10, 10, 8])
        let sorted = names.map { SubscriptionName($0) }.sorted().map(\.text)
        #expect(seen.map { Array($0.utf8) } == sorted.map { Array($0.utf8) })
        #expect(try await catalogue.subscriptions(SubscriptionQuery(limit: 0)).items.count == 1)
        #expect(try await catalogue.subscriptions(SubscriptionQuery(limit: .max)).next == nil)
        try await catalogue.commit(.bob)
        let first = try await catalogue.consumers(ConsumerQuery(limit: 1))
        #expect(first.items.map(\.consumer.name) == [.alice] && first.next == .alice)
        let second = try await catalogue.consumers(ConsumerQuery(after: first.next, limit: 1))
        #expect(second.items.map(\.consumer.name) == [.bob] && second.next == nil)
        let audit = try await catalogue.audit(AuditQuery(after: AuditNumber(rawValue: 27), limit: 2))
        #expect(audit.items.map(\.number.rawValue) == [28, 29] && audit.next == AuditNumber(rawValue: 29))
    }

    @Test(
        "subscriptions are found by topic, through names and patterns, by owner and by delivery",
        arguments: CatalogueUnderTest.allCases)
    func lookups(kind: CatalogueUnderTest) async throws {
        let catalogue = try kind.make(in: self.directory)
        try await catalogue.commit(
            .alice, .bob, .new(.sample("a", "orders", "payments")), .new(.sample("b", owner: .bob, "orders")),
            .new(.sample("c", pattern: try TopicPattern("or*"))), .new(.sample("d", pattern: try TopicPattern("*"))),
            .new(.sample("e", owner: .bob, "orders", delivery: .queue)), .new(.sample("f", "Orders", "__positions")))
        func names(_ query: SubscriptionQuery) async throws -> [String] {
            try await catalogue.subscriptions(query).items.map(\.subscription.name.text)
        }
        #expect(try await names(SubscriptionQuery(topic: "orders")) == ["a", "b", "c", "d", "e"])
        #expect(try await names(SubscriptionQuery(topic: "payments")) == ["a", "d"])
        #expect(try await names(SubscriptionQuery(topic: "__positions")) == ["f"])
        #expect(try await names(SubscriptionQuery(topic: "none")) == ["d"])
        #expect(try await names(SubscriptionQuery(owner: .bob)) == ["b", "e"])
        #expect(try await names(SubscriptionQuery(owner: .bob, topic: "orders", delivery: .queue)) == ["e"])
        #expect(
            try await names(SubscriptionQuery(topic: "orders", after: SubscriptionName("b"), limit: 2)) == ["c", "d"])
        let page = try await catalogue.subscriptions(SubscriptionQuery(topic: "payments", limit: 1))
        #expect(page.next == SubscriptionName("a"))
        let last = try await catalogue.subscriptions(SubscriptionQuery(topic: "payments", after: page.next, limit: 1))
        #expect(last.items.map(\.subscription.name.text) == ["d"] && last.next == nil)
    }

    @Test("the audit trail says who changed what, when, why, from what to what", arguments: CatalogueUnderTest.allCases)
    func audit(kind: CatalogueUnderTest) async throws {
        let catalogue = try kind.make(in: self.directory)
        let first = try await catalogue.commit(.alice, .new(.sample("s", period: .seconds(3600)))).version
        let later = Timestamp(rawValue: Timestamp.start.rawValue + 1)
        let second = try await catalogue.commit(
            CatalogueTransaction(
                [.putSubscription(.sample("s", "orders", "payments", period: .seconds(86_400)), expecting: first)],
                by: .bob, at: later, reason: "ticket 12")
        ).version
        try await catalogue.commit(.removeSubscription(SubscriptionName("s"), expecting: second), reason: "unused")
        let trail = try await catalogue.audit(AuditQuery(subject: .subscription(SubscriptionName("s")))).items
        #expect(trail.map(\.action) == [.created, .changed, .removed])
        #expect(trail.map(\.number.rawValue) == [2, 3, 4])
        #expect(trail.map(\.reason) == ["", "ticket 12", "unused"])
        #expect(trail.map(\.actor) == [.admin, .bob, .admin])
        #expect(trail[1].at == later && trail[1].version == second)
        #expect(trail[1].detail == "topics: orders → orders, payments; period: 1 h → 1 d")
        #expect(try await catalogue.audit(AuditQuery(subject: .consumer(.alice))).items.map(\.action) == [.created])
        #expect(
            try await catalogue.audit(AuditQuery(subject: .subscription(SubscriptionName("User:alice")))).items == [])
    }

    @Test("the audit trail keeps the newest entries and its numbers", arguments: CatalogueUnderTest.allCases)
    func auditCap(kind: CatalogueUnderTest) async throws {
        var caps = CatalogueCaps()
        caps.auditEntries = 5
        let catalogue = try kind.make(in: self.directory, caps: caps)
        try await catalogue.commit(.alice)
        for number in 0..<9 { try await catalogue.commit(.new(.sample("s\(number)"))) }
        #expect(try await catalogue.audit().items.map(\.number.rawValue) == [6, 7, 8, 9, 10])
    }

    @Test(
        "uses are noted forward only, without a version, an audit entry or an event",
        arguments: CatalogueUnderTest.allCases)
    func uses(kind: CatalogueUnderTest) async throws {
        let catalogue = try kind.make(in: self.directory)
        let version = try await catalogue.commit(.alice, .new(.sample("s"))).version
        let heard = Heard()
        let watch = catalogue.watch(after: version) { heard.add($0) }
        let id = try await catalogue.subscription("s").id
        try await catalogue.note(id, at: Timestamp.start.rawValue + 100)
        try await catalogue.note(id, at: Timestamp.start.rawValue + 50)
        try await catalogue.note(SubscriptionID(rawValue: 99), at: 1)
        let stored = try await catalogue.subscription("s")
        #expect(stored.usedAt.rawValue == Timestamp.start.rawValue + 100)
        #expect(stored.version == version)
        #expect(try await catalogue.audit().items.count == 2)
        let changed = try await catalogue.commit(.putSubscription(.sample("s", "b"), expecting: version))
        #expect(try await catalogue.subscription("s").usedAt.rawValue == Timestamp.start.rawValue + 100)
        #expect(heard.all == [.committed(changed)])
        watch.cancel()
    }

    @Test(
        "a watch tells every later commit, in order, once, until it is cancelled",
        arguments: CatalogueUnderTest.allCases)
    func watch(kind: CatalogueUnderTest) async throws {
        let catalogue = try kind.make(in: self.directory)
        let start = try await catalogue.commit(.alice)
        var receipts = [try await catalogue.commit(.new(.sample("between")))]
        let heard = Heard()
        let watch = catalogue.watch(after: start.version) { heard.add($0) }
        receipts.append(try await catalogue.commit(.new(.sample("a")), .new(.sample("b"))))
        receipts.append(
            try await catalogue.commit(.removeSubscription(SubscriptionName("a"), expecting: receipts[1].version)))
        #expect(heard.all == receipts.map { .committed($0) })
        watch.cancel()
        try await catalogue.commit(.new(.sample("late")))
        _ = try await catalogue.subscriptions()
        #expect(heard.all.count == 3)
    }

    @Test("a watch from too long ago says so, and nothing else", arguments: CatalogueUnderTest.allCases)
    func missed(kind: CatalogueUnderTest) async throws {
        var caps = CatalogueCaps()
        caps.history = 3
        let catalogue = try kind.make(in: self.directory, caps: caps)
        let start = try await catalogue.commit(.alice).version
        for number in 0..<10 { try await catalogue.commit(.new(.sample("s\(number)"))) }
        let heard = Heard()
        let watch = catalogue.watch(after: start) { heard.add($0) }
        try await catalogue.commit(.new(.sample("late")))
        _ = try await catalogue.subscriptions()
        #expect(heard.all == [.missed])
        watch.cancel()
    }

    @Test("of many that want the same name, asked at once, one gets it", arguments: CatalogueUnderTest.allCases)
    func race(kind: CatalogueUnderTest) async throws {
        let catalogue = try kind.make(in: self.directory)
        try await catalogue.commit(.alice)
        let winners = await withTaskGroup(of: Int?.self) { group in
            for rival in 0..<100 {
                group.addTask {
                    // A conflict is the answer here, not a failure.
                    (try? await catalogue.commit(.new(.sample("s", "topic-\(rival)")))).map { _ in rival }
                }
            }
            return await group.reduce(into: []) { winners, winner in winner.map { winners.append($0) } }
        }
        #expect(winners.count == 1)
        #expect(
            try await catalogue.subscription("s").subscription.interest.names == winners.map { "topic-\($0)" })
        #expect(try await catalogue.audit().items.count == 2)
    }
}
