import ApusCore
import ApusFakes
import Testing

/// Random histories, told to both catalogues: every answer and every list must be the same.
@Suite struct CatalogueSeedTests {
    private struct History {
        var random: SplitMix64
        var versions: [CatalogueSubject: CatalogueVersion] = [:]
        var ids: [SubscriptionID] = []

        mutating func version(of subject: CatalogueSubject) -> CatalogueVersion {
            // Mostly right, sometimes somebody else was faster.
            let known = self.versions[subject] ?? .none
            return self.random.isOne(in: 6) ? CatalogueVersion(rawValue: Int64(self.random.below(40))) : known
        }

        mutating func consumer() -> ConsumerName {
            ConsumerName("User:\(self.random.isOne(in: 8) ? 3 : self.random.below(3))")
        }

        mutating func subscription() throws -> Subscription {
            let topics = (0..<1 + self.random.below(3)).map { _ in "topic-\(self.random.below(6))" }
            let patterns = ["topic-*", "*", "t?pic-3", "other"]
            return Subscription(
                name: SubscriptionName("s\(self.random.below(8))"), owner: self.consumer(),
                interest: self.random.isOne(in: 3)
                    ? .pattern(try TopicPattern(patterns[self.random.below(4)])) : .names(topics),
                delivery: self.random.isOne(in: 4) ? .queue : .stream,
                start: self.random.isOne(in: 4) ? .time(Timestamp(rawValue: Int64(self.random.below(99)))) : .latest,
                period: self.random.isOne(in: 2) ? .milliseconds(950 + self.random.below(5000)) : nil,
                origin: self.random.isOne(in: 2) ? .group : .declared,
                filter: self.random.isOne(in: 5) ? "key = \"\(self.random.below(3))\"" : nil)
        }

        mutating func change() throws -> CatalogueChange {
            switch self.random.below(10) {
            case 0, 1:
                let consumer = Consumer(name: self.consumer(), details: "\(self.random.below(3))", subscriptionsMax: 3)
                return .putConsumer(consumer, expecting: self.version(of: .consumer(consumer.name)))
            case 2 where self.random.isOne(in: 3):
                let name = self.consumer()
                return .removeConsumer(name, expecting: self.version(of: .consumer(name)))
            case 3, 4:
                let name = SubscriptionName("s\(self.random.below(8))")
                return .removeSubscription(name, expecting: self.version(of: .subscription(name)))
            default:
                let subscription = try self.subscription()
                return .putSubscription(subscription, expecting: self.version(of: .subscription(subscription.name)))
            }
        }

        mutating func learn(_ receipt: CatalogueReceipt) {
            for outcome in receipt.outcomes {
                switch outcome {
                case .consumer(let entry): self.versions[.consumer(entry.consumer.name)] = entry.version
                case .consumerRemoved(let name): self.versions[.consumer(name)] = nil
                case .subscription(let entry):
                    self.versions[.subscription(entry.subscription.name)] = entry.version
                    self.ids.append(entry.id)
                case .subscriptionRemoved(let name, _): self.versions[.subscription(name)] = nil
                }
            }
        }
    }

    private func outcome<Answer>(_ body: () async throws -> Answer) async throws -> Result<Answer, CatalogueError> {
        do {
            return .success(try await body())
        } catch let error as CatalogueError {
            return .failure(error)
        }
    }

    @Test("both catalogues answer alike to any history", arguments: 0..<24)
    func alike(seed: Int) async throws {
        let directory = try TemporaryDirectory()
        var caps = CatalogueCaps()
        caps.auditEntries = 30
        caps.consumers = 3
        let sqlite = try CatalogueUnderTest.sqlite.make(in: directory, caps: caps)
        let fake = try CatalogueUnderTest.fake.make(in: directory, caps: caps)
        var history = History(random: SplitMix64(seed: UInt64(seed)))
        for number in 0..<3 {
            let consumer = Consumer(name: ConsumerName("User:\(number)"), subscriptionsMax: 4)
            let transaction = CatalogueTransaction(
                [.putConsumer(consumer, expecting: .none)], by: .admin, at: .start)
            history.learn(try await sqlite.commit(transaction))
            try await fake.commit(transaction)
        }
        var made = 0
        for step in 0..<60 {
            if history.random.isOne(in: 5), !history.ids.isEmpty {
                let id = history.ids[history.random.below(history.ids.count)]
                let at = Timestamp.start.rawValue + Int64(history.random.below(1000))
                for catalogue in [sqlite, fake] { try await catalogue.note(id, at: at) }
            }
            var changes: [CatalogueChange] = []
            for _ in 0...history.random.below(2) { changes.append(try history.change()) }
            let transaction = CatalogueTransaction(
                changes, by: .admin, at: Timestamp(rawValue: Timestamp.start.rawValue + Int64(step)))
            let answer = try await self.outcome { try await sqlite.commit(transaction) }
            #expect(try await self.outcome { try await fake.commit(transaction) } == answer)
            if case .success(let receipt) = answer {
                history.learn(receipt)
                made += 1
            }
        }
        #expect(made > 10)
        #expect(try await sqlite.consumers() == fake.consumers())
        #expect(try await sqlite.subscriptions() == fake.subscriptions())
        #expect(try await sqlite.audit() == fake.audit())
        for topic in 0..<6 {
            let query = SubscriptionQuery(topic: "topic-\(topic)", limit: 2)
            #expect(try await sqlite.subscriptions(query) == fake.subscriptions(query))
        }
    }
}
