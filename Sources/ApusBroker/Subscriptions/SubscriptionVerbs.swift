package import ApusCore
import ApusSubscriptions

/// What a listing of subscriptions asks for; all that is given must hold.
package struct SubscriptionFilter: Hashable, Sendable {
    package var names: Set<SubscriptionName>?
    package var owner: ConsumerName?
    /// Reads this topic, by name or by pattern.
    package var topic: String?
    package var delivery: Subscription.Delivery?
    /// Only names after this one.
    package var after: SubscriptionName?

    package init(
        names: Set<SubscriptionName>? = nil, owner: ConsumerName? = nil, topic: String? = nil,
        delivery: Subscription.Delivery? = nil, after: SubscriptionName? = nil
    ) {
        self.names = names
        self.owner = owner
        self.topic = topic
        self.delivery = delivery
        self.after = after
    }

    func asks(for subscription: Subscription) -> Bool {
        (self.names?.contains(subscription.name) ?? true) && (self.owner.map { $0 == subscription.owner } ?? true)
            && (self.topic.map { subscription.interest.matches(topic: $0) } ?? true)
            && (self.delivery.map { $0 == subscription.delivery } ?? true)
            && (self.after.map { $0 < subscription.name } ?? true)
    }
}

/// A part of a list of subscriptions, by name.
package struct SubscriptionList: Hashable, Sendable {
    package var items: [RegisteredSubscription]
    /// Ask for what comes after this; nil: that was all.
    package var next: SubscriptionName?
}

/// A subscription as it shall be.
package struct SubscriptionWish: Hashable, Sendable {
    package var subscription: Subscription
    /// The version of the entry it replaces; `.none` makes it new.
    package var expecting: CatalogueVersion
    /// For the audit trail.
    package var reason: String

    package init(_ subscription: Subscription, expecting: CatalogueVersion = .none, reason: String = "") {
        self.subscription = subscription
        self.expecting = expecting
        self.reason = reason
    }
}

/// Who has read one record: the reader count, with names.
package struct ReaderReport: Hashable, Sendable {
    package var subscriptions: Int
    package var read: Int
    package var waiting: Int
    /// They have not read it and may not any more: it left their window.
    package var late: Int
    /// The first of those that wait, by name.
    package var waitingFor: [String]
    /// The first of those that may not read it any more, by name.
    package var missedBy: [String]
    /// `3 of 5 have read it; waiting for billing, search`
    package var text: String
}

/// Who holds records of a topic, and how many bytes that costs.
package struct TopicHoldings: Hashable, Sendable {
    package struct Holder: Hashable, Sendable {
        package var subscription: RegisteredSubscription
        /// What its period comes to under the topic's ceiling; nil: it states none, or it comes to for ever.
        package var period: Duration?
        /// Bytes that would not be there if nobody asked for more than it and the topic itself do not keep them.
        package var heldBytes: ByteCount
        /// Bytes that would go if it went.
        package var ownBytes: ByteCount
        /// Records that it has not read, in all partitions; nil where no positions are known.
        package var unread: Int64?
    }

    /// Who made the topic; nil: nobody that is known.
    package var owner: ConsumerName?
    /// The topic's `apus.retention.mode`.
    package var mode: String
    /// What is kept for everybody; nil: for ever.
    package var floor: Duration?
    /// The longest that subscriptions can make records stay; nil: without end.
    package var ceiling: Duration?
    /// How long records stay now; nil: for ever.
    package var retention: Duration?
    package var totalBytes: ByteCount
    /// The largest holder first.
    package var holders: [Holder]
}
