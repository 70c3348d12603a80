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
        case commit(CatalogueTransaction)
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
        if let known = index.subscription(named: name) {
            guard known.subscription.delivery == .stream else { return .isQueue }
            guard known.subscription.origin == .group else { return .known }
            guard topics.contains(where: { !known.subscription.interest.matches(topic: $0) }) else { return .known }
            var wider = known.subscription
            wider.interest = self.interest(in: topics.union(wider.interest.names), before: wider.interest.pattern)
            changes.append(.putSubscription(wider, expecting: known.version))
        } else {
            if index.consumer(named: owner) == nil {
                changes.append(.putConsumer(Consumer(name: owner), expecting: .none))
            }
            changes.append(
                .putSubscription(
                    Subscription(
                        name: name, owner: owner, interest: self.interest(in: topics, before: nil),
                        expiry: Limits.groupSubscriptionExpiry, origin: .group),
                    expecting: .none))
        }
        let transaction = CatalogueTransaction(changes, by: owner, at: now, reason: "consumer group")
        do throws(InvalidField) {
            try transaction.validate()
            return .commit(transaction)
        } catch {
            return .refused(error)
        }
    }

    /// More topics than a subscription may name become the shortest pattern that has them all.
    private static func interest(in topics: Set<String>, before pattern: TopicPattern?) -> TopicInterest {
        if topics.count <= Limits.topicsPerSubscriptionMax, pattern == nil { return .names(topics) }
        var names = topics
        if let pattern { names.insert(pattern.prefix) }
        let first = names.min() ?? ""
        let last = names.max() ?? ""
        // Sorted, what the first and the last share is shared by all between.
        let shared = zip(first.utf8, last.utf8).prefix { $0 == $1 }.map(\.0)
        let prefix = String(decoding: shared, as: UTF8.self)
        // A pattern of a topic's own characters is always one; names that are none are refused by the validation.
        guard let wider = try? TopicPattern(prefix + "*") else { return .names(topics) }
        return .pattern(wider)
    }
}
