import ApusCore
import ApusFakes
import ApusSubscriptions
import Testing

@Suite("Retention set by the consumer")
struct RetentionTests {
    private func index(_ entries: RegisteredSubscription...) -> SubscriptionIndex {
        var index = SubscriptionIndex()
        index.load(CataloguePage(entries))
        return index
    }

    @Test("records stay for the larger of the topic's floor and what live subscriptions ask for, under the ceiling")
    func retention() {
        let floor = RetentionPolicy(floor: .hours(6))
        #expect(self.index().retention(of: "orders", floor) == .hours(6))
        #expect(self.index(.sample(1)).retention(of: "orders", floor) == .hours(6))
        #expect(self.index(.sample(1, period: .hours(1))).retention(of: "orders", floor) == .hours(6))
        let two = self.index(.sample(1, period: .hours(1)), .sample(2, period: .hours(24)))
        #expect(two.retention(of: "orders", floor) == .hours(24))
        #expect(two.retention(of: "payments", floor) == .hours(6))
        #expect(two.retention(of: "orders", RetentionPolicy(floor: .hours(6), ceiling: .hours(12))) == .hours(12))
        #expect(two.retention(of: "orders", RetentionPolicy(floor: nil, ceiling: .hours(12))) == nil)
        // The ceiling caps what subscriptions add, not what the topic itself says.
        #expect(two.retention(of: "orders", RetentionPolicy(floor: .hours(18), ceiling: .hours(12))) == .hours(18))
        #expect(two.retention(of: "orders", RetentionPolicy(floor: .zero)) == .hours(24))
    }

    @Test("a subscription reads its own window even while older bytes remain, never more than the topic's reach")
    func windows() {
        let index = self.index(
            .sample(1, "short", period: .hours(1)), .sample(2, "long", period: .hours(24)), .sample(3, "plain"))
        let policy = RetentionPolicy(floor: .hours(6), ceiling: .hours(12))
        func window(_ name: String, _ policy: RetentionPolicy) -> ReadWindow? {
            index.window(of: SubscriptionName(name), topic: "orders", policy)
        }
        #expect(window("short", policy) == .last(.hours(1)))
        #expect(window("long", policy) == .last(.hours(12)))
        #expect(window("long", RetentionPolicy(floor: .hours(6))) == .last(.hours(24)))
        #expect(window("plain", policy) == .last(.hours(6)))
        #expect(window("plain", RetentionPolicy(floor: nil)) == .unrestricted)
        #expect(window("short", RetentionPolicy(floor: nil)) == .last(.hours(1)))
        #expect(window("nobody", policy) == nil)
        #expect(index.window(of: SubscriptionName("short"), topic: "payments", policy) == nil)
        #expect(ReadWindow.last(.hours(1)).start(at: .start)?.rawValue == Timestamp.start.rawValue - 3_600_000)
        #expect(ReadWindow.unrestricted.start(at: .start) == nil)
    }

    @Test("a principal's window is the widest of its subscriptions on the topic, and none without any")
    func principals() throws {
        let index = self.index(
            .sample(1, owner: "alice", period: .hours(1)), .sample(2, owner: "alice", period: .hours(3)),
            .sample(3, owner: "bob", pattern: try TopicPattern("ord*"), period: .hours(9)),
            .sample(4, owner: "carol", period: .hours(1)), .sample(5, owner: "carol"))
        let policy = RetentionPolicy(floor: .hours(2), ceiling: .hours(4))
        func window(_ owner: String, _ topic: String = "orders") -> ReadWindow? {
            index.window(of: ConsumerName(owner), topic: topic, policy)
        }
        #expect(window("alice") == .last(.hours(3)))
        #expect(window("bob") == .last(.hours(4)))
        #expect(window("bob", "ordinary") == .last(.hours(4)))
        // One that states nothing sees what the topic keeps for everybody.
        #expect(window("carol") == .last(.hours(2)))
        #expect(window("dave") == nil)
        #expect(window("alice", "payments") == nil)
        #expect(
            index.window(of: ConsumerName("carol"), topic: "orders", RetentionPolicy(floor: nil)) == .unrestricted)
    }

    @Test("one hour and one day on one topic: who holds what, before and after one is removed")
    func holdings() {
        let clock = SimulatedClock(wallTime: .start)
        let policy = RetentionPolicy(floor: .hours(2), ceiling: .days(7))
        // One part of 100 B for each of the last 30 hours.
        let parts = (0..<30).map {
            AgedBytes(newest: clock.wallTime.earlier(by: .hours($0)), byteCount: .bytes(100))
        }
        var index = self.index(
            .sample(1, "hourly", period: .hours(1)), .sample(2, "daily", period: .days(1)),
            .sample(3, "halfday", period: .hours(12)), .sample(4, "plain"))
        func told() -> [String] {
            index.holdings(of: "orders", policy, parts: parts, at: clock.wallTime).map { holding in
                "\(index[id: holding.id]?.subscription.name.text ?? "") \(holding.heldBytes) \(holding.ownBytes)"
            }
        }
        // Parts of ages 0, 1 and 2 h are the floor's; 3 to 24 h are held by the day, 3 to 12 h by half of it too.
        #expect(told() == ["daily 2.1 KiB 1.2 KiB", "halfday 1000 B 0 B", "hourly 0 B 0 B", "plain 0 B 0 B"])
        #expect(index.retention(of: "orders", policy) == .days(1))
        index.apply(.remove(.sample(2, "daily", period: .days(1)), at: 2))
        #expect(told() == ["halfday 1000 B 1000 B", "hourly 0 B 0 B", "plain 0 B 0 B"])
        #expect(index.retention(of: "orders", policy) == .hours(12))
        // Six hours later nothing was written: the held parts got older, and fewer are held.
        clock.advance(by: .hours(6))
        #expect(told() == ["halfday 700 B 700 B", "hourly 0 B 0 B", "plain 0 B 0 B"])
    }

    @Test("a period that is longer than the ceiling is refused in words")
    func ceiling() {
        let policy = RetentionPolicy(floor: .hours(1), ceiling: .days(1))
        #expect(
            policy.refusal(of: .days(2), topic: "orders")?.description
                == "period: 2 d is longer than topic 'orders' allows: 1 d (apus.retention.ceiling.ms)")
        #expect(policy.refusal(of: .days(1), topic: "orders") == nil)
        #expect(policy.refusal(of: nil, topic: "orders") == nil)
        #expect(RetentionPolicy(floor: .hours(1)).refusal(of: .days(999), topic: "orders") == nil)
        #expect(RetentionPolicy(floor: .days(3), ceiling: .days(1)).refusal(of: .days(2), topic: "orders") == nil)
    }
}

@Suite("Expiry of unused subscriptions")
struct SubscriptionExpiryTests {
    private let clock = SimulatedClock(wallTime: .start)

    private func names(_ entries: [RegisteredSubscription]) -> [String] { entries.map(\.subscription.name.text) }

    @Test("one that nobody used for its expiry is named once; one that is used is not; one without expiry never")
    func expiry() {
        var expiries = SubscriptionExpiries(startedAt: .start)
        expiries.load(
            CataloguePage([
                .sample(1, "dead", expiry: .hours(1)), .sample(2, "alive", expiry: .hours(1)), .sample(3, "eternal"),
                .sample(4, "slow", expiry: .hours(3)),
            ]))
        var seen: [String] = []
        for minute in 1...180 {
            self.clock.advance(by: .seconds(60))
            expiries.used(SubscriptionID(2), at: self.clock.wallTime)
            for name in self.names(expiries.expired(at: self.clock.wallTime)) { seen.append("\(name) after \(minute)") }
        }
        #expect(seen == ["dead after 60", "slow after 180"])
        self.clock.advance(by: .days(1000))
        #expect(self.names(expiries.expired(at: self.clock.wallTime)) == ["alive"])
    }

    @Test("after a start readers have time to come back, however long nobody served them")
    func grace() {
        var expiries = SubscriptionExpiries(startedAt: .start)
        let long = Timestamp.start.earlier(by: .days(3))
        expiries.load(
            CataloguePage([.sample(1, expiry: .hours(1), usedAt: long), .sample(2, expiry: .hours(1), usedAt: long)]))
        #expect(expiries.expired(at: .start) == [])
        #expect(expiries.expired(at: Timestamp.start.later(by: .seconds(599))) == [])
        expiries.used(SubscriptionID(2), at: Timestamp.start.later(by: .seconds(599)))
        #expect(self.names(expiries.expired(at: Timestamp.start.later(by: .seconds(600)))) == ["s1"])
        #expect(expiries.nextLook == Timestamp.start.later(by: .seconds(599 + 3600)))
    }

    @Test("a changed expiry holds, a removed subscription is forgotten, a failed removal is asked for again")
    func changes() {
        var expiries = SubscriptionExpiries(startedAt: Timestamp.start.earlier(by: .days(1)))
        expiries.load(CataloguePage([.sample(1, expiry: .hours(1)), .sample(2, expiry: .hours(1))]))
        expiries.apply(.put(.sample(1, expiry: .hours(5), version: 2), at: 2))
        expiries.apply(.remove(.sample(2), at: 3))
        #expect(expiries.expired(at: Timestamp.start.later(by: .hours(4))) == [])
        let end = Timestamp.start.later(by: .hours(5))
        let expired = expiries.expired(at: end)
        #expect(self.names(expired) == ["s1"])
        #expect(expired.first?.version == CatalogueVersion(rawValue: 2))
        #expect(expiries.expired(at: end) == [])
        expiries.retry(SubscriptionID(1), at: end)
        #expect(expiries.expired(at: end) == [])
        #expect(self.names(expiries.expired(at: end.later(by: .seconds(60)))) == ["s1"])
        #expect(
            SubscriptionExpiries.removal(of: expired[0], by: ConsumerName("apus"), at: end)
                == CatalogueTransaction(
                    [.removeSubscription(SubscriptionName("s1"), expecting: CatalogueVersion(rawValue: 2))],
                    by: ConsumerName("apus"), at: end, reason: "unused for 5 h"))
    }

    @Test("the catalogue hears of a use at most once a minute, and of all at a clean stop")
    func notes() {
        var expiries = SubscriptionExpiries(startedAt: .start)
        expiries.load(CataloguePage([.sample(1, expiry: .hours(1)), .sample(2), .sample(3, expiry: .seconds(20))]))
        var notes = 0
        for _ in 0..<600 {
            self.clock.advance(by: .seconds(1))
            expiries.used(SubscriptionID(1), at: self.clock.wallTime)
            notes += expiries.usesToNote().count
        }
        #expect(notes == 10)
        expiries.used(SubscriptionID(3), at: self.clock.wallTime)
        #expect(
            expiries.usesToNote() == [SubscriptionUse(id: SubscriptionID(3), at: self.clock.wallTime)])
        self.clock.advance(by: .seconds(1))
        expiries.used(SubscriptionID(1), at: self.clock.wallTime)
        expiries.used(SubscriptionID(99), at: self.clock.wallTime)
        #expect(expiries.usesToNote() == [])
        #expect(expiries.allUsesToNote() == [SubscriptionUse(id: SubscriptionID(1), at: self.clock.wallTime)])
        #expect(expiries.allUsesToNote() == [])
    }

    @Test("under any history a subscription expires exactly when it is unused for its expiry", arguments: 0..<40)
    func againstModel(seed: Int) {
        var random = SplitMix64(seed: UInt64(seed))
        var expiries = SubscriptionExpiries(startedAt: Timestamp.start.earlier(by: .days(1)))
        var model: [SubscriptionID: (expiry: Duration, usedAt: Timestamp)] = [:]
        var idNext: Int64 = 0
        for step in 0..<400 {
            self.clock.advance(by: .seconds(random.below(30)))
            let now = self.clock.wallTime
            switch random.below(6) {
            case 0:
                idNext += 1
                let expiry = Duration.seconds(1 + random.below(300))
                expiries.apply(.put(.sample(idNext, expiry: expiry, version: Int64(step), usedAt: now)))
                model[SubscriptionID(idNext)] = (expiry, now)
            case 1:
                let id = SubscriptionID(1 + Int64(random.below(Int(idNext + 1))))
                guard let known = model[id] else { break }
                let expiry = Duration.seconds(1 + random.below(300))
                expiries.apply(.put(.sample(id.rawValue, expiry: expiry, version: Int64(step))))
                model[id] = (expiry, known.usedAt)
            case 2:
                let id = SubscriptionID(1 + Int64(random.below(Int(idNext + 1))))
                expiries.apply(.remove(.sample(id.rawValue)))
                model[id] = nil
            default:
                let id = SubscriptionID(1 + Int64(random.below(Int(idNext + 1))))
                expiries.used(id, at: now)
                if let known = model[id] { model[id] = (known.expiry, now) }
            }
            let expired = expiries.expired(at: now)
            let due = model.filter { $0.value.usedAt.later(by: $0.value.expiry) <= now }
            #expect(Set(expired.map(\.id)) == Set(due.keys))
            for entry in expired {
                expiries.apply(.remove(entry))
                model[entry.id] = nil
            }
        }
    }
}
