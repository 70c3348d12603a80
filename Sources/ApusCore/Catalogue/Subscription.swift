/// A durable, named interest in topics, as its owner states it.
///
/// What `period` means: how long records stay available to this subscription. It holds them on the disk beyond the
/// topic's `retention.ms` if need be, under the topic's ceiling; and it restricts this subscription to them even while
/// older bytes are there. Without a period it asks for nothing and reads what `retention.ms` alone would keep.
public struct Subscription: Hashable, Sendable {
    public enum Delivery: String, Hashable, Sendable, CaseIterable {
        /// Every partition in order, to one member of a group: what Kafka calls a consumer group.
        case stream
        /// Competing workers, one record each, acknowledged one by one.
        case queue
    }

    /// Where reading begins where there is no position yet.
    public enum Start: Hashable, Sendable {
        case earliest
        case latest
        case time(Timestamp)
    }

    /// How it came to be.
    public enum Origin: String, Hashable, Sendable, CaseIterable {
        /// Somebody asked for it.
        case declared
        /// A Kafka consumer group appeared.
        case group
    }

    public var name: SubscriptionName
    public var owner: ConsumerName
    public var interest: TopicInterest
    public var delivery: Delivery
    public var start: Start
    /// Between `Limits.subscriptionPeriodMin` and `Limits.subscriptionPeriodMax`, in whole milliseconds.
    public var period: Duration?
    /// It is removed after so long without use; nil: never. Between `Limits.subscriptionExpiryMin` and
    /// `Limits.subscriptionExpiryMax`, in whole milliseconds.
    public var expiry: Duration?
    public var origin: Origin
    /// Which records it gets, in the words of ``RecordFilter``.
    public var filter: String?
    /// Where records go that nobody could work on. Queues only.
    public var deadLetterTopic: String?
    /// Where records are pushed to; see ``PushEndpoint``.
    public var pushEndpoint: String?

    public init(
        name: SubscriptionName, owner: ConsumerName, interest: TopicInterest, delivery: Delivery = .stream,
        start: Start = .latest, period: Duration? = nil, expiry: Duration? = nil, origin: Origin = .declared,
        filter: String? = nil, deadLetterTopic: String? = nil, pushEndpoint: String? = nil
    ) {
        self.name = name
        self.owner = owner
        self.interest = interest
        self.delivery = delivery
        self.start = start
        self.period = period
        self.expiry = expiry
        self.origin = origin
        self.filter = filter
        self.deadLetterTopic = deadLetterTopic
        self.pushEndpoint = pushEndpoint
    }
}

/// A subscription as the catalogue has it.
public struct RegisteredSubscription: Hashable, Sendable {
    public var id: SubscriptionID
    public var subscription: Subscription
    /// The commit that changed it last.
    public var version: CatalogueVersion
    public var createdAt: Timestamp
    /// As far as it was noted; see ``Catalogue/note(_:then:)``.
    public var usedAt: Timestamp

    public init(
        id: SubscriptionID, subscription: Subscription, version: CatalogueVersion, createdAt: Timestamp,
        usedAt: Timestamp
    ) {
        self.id = id
        self.subscription = subscription
        self.version = version
        self.createdAt = createdAt
        self.usedAt = usedAt
    }
}

/// Somebody who reads: a principal, with what people need to know of it.
public struct Consumer: Hashable, Sendable {
    public var name: ConsumerName
    /// For people: a team, a telephone number. At most `Limits.consumerDetailsBytesMax`.
    public var details: String
    /// A cap of its own; nil: `Limits.subscriptionsPerConsumerMax`, which it can not go over either.
    public var subscriptionsMax: Int?

    public init(name: ConsumerName, details: String = "", subscriptionsMax: Int? = nil) {
        self.name = name
        self.details = details
        self.subscriptionsMax = subscriptionsMax
    }

    /// The cap that holds.
    public var subscriptionsCap: Int {
        min(self.subscriptionsMax ?? Limits.subscriptionsPerConsumerMax, Limits.subscriptionsPerConsumerMax)
    }
}

/// A consumer as the catalogue has it.
public struct RegisteredConsumer: Hashable, Sendable {
    public var consumer: Consumer
    /// The commit that changed it last.
    public var version: CatalogueVersion
    public var createdAt: Timestamp

    public init(consumer: Consumer, version: CatalogueVersion, createdAt: Timestamp) {
        self.consumer = consumer
        self.version = version
        self.createdAt = createdAt
    }
}
