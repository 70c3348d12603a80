package import ApusCore

/// Every consumer group of a Kafka client is a stream subscription, by itself: the group's id is its name.
///
/// It states no period: it sees what the topic keeps for everybody, holds nothing by age, and goes a week after its
/// last use (Kafka's own number). Its owner may be given a period, and more, with `apus subscription set`; a
/// subscription that somebody declared under the group's name is used as it is.
package enum GroupSubscription {
    /// What to do about a group that reads these topics.
    package enum Decision: Hashable, Sendable {
        /// The catalogue says so already.
        case known
        /// `leftOut` topics are more than a subscription names.
        case commit(CatalogueTransaction, leftOut: Int)
        /// It names as many topics as it may, and the group reads more.
        case full(leftOut: Int)
        /// The name is a queue's: its records are handed out one by one, and a group must not read them in order.
        case isQueue
        /// The catalogue can not hold it (a name of 300 bytes, say). The group works, and is not listed.
        case refused(InvalidField)
    }

    /// - Parameters:
    ///   - topics: what the group reads now. They are added to what the subscription names; a group that stops reading
    ///     a topic for a while still wants what comes meanwhile.
    ///   - owner: the principal of the member that is here.
    package static func decide(
        group name: SubscriptionName, topics: Set<String>, owner: ConsumerName, index: SubscriptionIndex,
        at now: Timestamp
    ) -> Decision {
        var changes: [CatalogueChange] = []
        let leftOut: Int
        if let known = index.subscription(named: name) {
            guard known.subscription.delivery == .stream else { return .isQueue }
            guard known.subscription.origin == .group else { return .known }
            let news = topics.filter { !known.subscription.interest.matches(topic: $0) }
            guard !news.isEmpty else { return .known }
            // Somebody stands up for a pattern; what a group does by itself never makes one, nor makes one wider.
            guard known.subscription.interest.pattern == nil else { return .full(leftOut: news.count) }
            var wider = known.subscription
            (wider.interest, leftOut) = self.interest(in: news, besides: wider.interest.names)
            guard leftOut < news.count else { return .full(leftOut: leftOut) }
            changes.append(.putSubscription(wider, expecting: known.version))
        } else {
            if index.consumer(named: owner) == nil {
                changes.append(.putConsumer(Consumer(name: owner), expecting: .none))
            }
            let interest: TopicInterest
            (interest, leftOut) = self.interest(in: topics, besides: [])
            changes.append(
                .putSubscription(
                    Subscription(
                        name: name, owner: owner, interest: interest, expiry: Limits.groupSubscriptionExpiry,
                        origin: .group),
                    expecting: .none))
        }
        let transaction = CatalogueTransaction(changes, by: owner, at: now, reason: "consumer group")
        do throws(InvalidField) {
            try transaction.validate()
            return .commit(transaction, leftOut: leftOut)
        } catch {
            return .refused(error)
        }
    }

    /// What fits of the names, in order. Never a pattern: it would make the group a reader of topics that it did not
    /// name, may not read, or that are not there yet, and where reading frees they would wait for it.
    private static func interest(
        in news: Set<String>, besides known: [String]
    ) -> (interest: TopicInterest, leftOut: Int) {
        let room = max(0, Limits.topicsPerSubscriptionMax - known.count)
        guard news.count > room else { return (.names(known + news), 0) }
        return (.names(known + news.sorted().prefix(room)), news.count - room)
    }

    /// Whether it is as the group itself made it: then it goes when the group is deleted.
    package static func isAsMade(_ subscription: Subscription) -> Bool {
        subscription.origin == .group && subscription.period == nil
            && subscription.expiry == Limits.groupSubscriptionExpiry && subscription.filter == nil
            && subscription.deadLetterTopic == nil && subscription.pushEndpoint == nil
    }

    /// A change of what was there: as long as nobody states what it reads, that stays the group's to say.
    package static func origin(of wish: Subscription, before known: Subscription) -> Subscription.Origin {
        wish.interest == known.interest ? known.origin : .declared
    }
}
