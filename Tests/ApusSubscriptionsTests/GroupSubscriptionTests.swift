import ApusCore
import ApusFakes
import ApusSubscriptions
import Synchronization
import Testing

@Suite("Subscriptions of consumer groups")
struct GroupSubscriptionTests {
    private func decide(
        _ index: SubscriptionIndex, _ group: String, _ topics: Set<String>, owner: String = "User:alice"
    ) -> GroupSubscription.Decision {
        GroupSubscription.decide(
            group: SubscriptionName(group), topics: topics, owner: ConsumerName(owner), index: index, at: .start)
    }

    /// Runs the decision against a catalogue and tells the index.
    private func run(
        _ decision: GroupSubscription.Decision, _ catalogue: FakeCatalogue, _ index: inout SubscriptionIndex
    ) {
        guard case .commit(let transaction, _) = decision else {
            Issue.record("nothing to commit: \(decision)")
            return
        }
        let receipt = Mutex<CatalogueReceipt?>(nil)
        catalogue.commit(transaction) { answer in
            do throws(CatalogueError) {
                let value = try answer.get()
                receipt.withLock { $0 = value }
            } catch {
                Issue.record("refused: \(error)")
            }
        }
        if let receipt = receipt.withLock({ $0 }) { index.apply(receipt) }
    }

    @Test("a group that appears becomes a stream subscription, with its owner, and is then known")
    func appears() {
        let catalogue = FakeCatalogue()
        var index = SubscriptionIndex()
        self.run(self.decide(index, "billing", ["orders"]), catalogue, &index)
        let entry = index.subscription(named: SubscriptionName("billing"))
        #expect(entry?.subscription.origin == .group && entry?.subscription.delivery == .stream)
        #expect(entry?.subscription.period == nil && entry?.subscription.expiry == .days(7))
        #expect(index.consumer(named: ConsumerName("User:alice")) != nil)
        #expect(self.decide(index, "billing", ["orders"]) == .known)
        #expect(self.decide(index, "billing", []) == .known)
        self.run(self.decide(index, "billing", ["payments"]), catalogue, &index)
        #expect(
            index.subscription(named: SubscriptionName("billing"))?.subscription.interest.names == [
                "orders", "payments",
            ])
        self.run(self.decide(index, "second", []), catalogue, &index)
        #expect(index.count == 2)
    }

    @Test("a declared subscription of the group's name is used as it is; a queue's name is refused to groups")
    func declared() {
        var index = SubscriptionIndex()
        index.apply(.put(.sample(1, "billing", topics: ["orders"], period: .hours(1))))
        #expect(self.decide(index, "billing", ["payments"]) == .known)
        var queue = RegisteredSubscription.sample(2, "jobs")
        queue.subscription.delivery = .queue
        index.apply(.put(queue, at: 2))
        #expect(self.decide(index, "jobs", ["orders"]) == .isQueue)
    }

    @Test("a group's name that the catalogue can not hold is told, and nothing else is done")
    func refused() {
        #expect(
            self.decide(SubscriptionIndex(), "", ["orders"])
                == .refused(InvalidField("name", "a subscription's name can not be empty")))
        guard case .refused(let field) = self.decide(SubscriptionIndex(), "a\nb", ["orders"]) else {
            Issue.record("taken")
            return
        }
        #expect(field.field == "name")
    }

    @Test("a group of more topics than can be named keeps the first of them, and never becomes a reader of a pattern")
    func manyTopics() {
        let catalogue = FakeCatalogue()
        var index = SubscriptionIndex()
        let topics = (0...1000).map { "orders.\(10_000 + $0)" }
        let first = self.decide(index, "g", Set(topics))
        guard case .commit(_, let leftOut) = first else {
            Issue.record("nothing to commit: \(first)")
            return
        }
        #expect(leftOut == 1)
        self.run(first, catalogue, &index)
        var interest: TopicInterest? {
            index.subscription(named: SubscriptionName("g"))?.subscription.interest
        }
        #expect(interest == .names(topics.dropLast()))
        #expect(self.decide(index, "g", ["orders.10003"]) == .known)
        // No room, whatever it is called.
        #expect(self.decide(index, "g", ["a", "us.orders"]) == .full(leftOut: 2))
    }

    @Test("a pattern that somebody gave a group is not made wider by what the group reads")
    func pattern() throws {
        var index = SubscriptionIndex()
        index.apply(.put(.sample(1, "g", pattern: try TopicPattern("eu.*"), origin: .group)))
        #expect(self.decide(index, "g", ["eu.orders"]) == .known)
        #expect(self.decide(index, "g", ["us.orders"]) == .full(leftOut: 1))
    }

    @Test("a group's topics stay its own to say until somebody states topics or a pattern")
    func origin() throws {
        let made = RegisteredSubscription.sample(1, "g", expiry: .days(7), origin: .group).subscription
        #expect(GroupSubscription.isAsMade(made))
        var wish = made
        wish.origin = .declared
        wish.period = .hours(3)
        #expect(GroupSubscription.origin(of: wish, before: made) == .group)
        wish.interest = .names(["orders", "payments"])
        #expect(GroupSubscription.origin(of: wish, before: made) == .declared)
        wish.interest = .pattern(try TopicPattern("orders"))
        #expect(GroupSubscription.origin(of: wish, before: made) == .declared)
        var stated = made
        stated.period = .hours(3)
        #expect(!GroupSubscription.isAsMade(stated))
    }
}
