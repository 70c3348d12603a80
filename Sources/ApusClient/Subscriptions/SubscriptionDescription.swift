public import ApusCore
import KafkaWire

/// A subscription as a broker describes it. To change one, change this and give it to ``SubscriptionAdmin/put(_:)``.
public struct SubscriptionDescription: Hashable, Sendable {
    public var subscription: Subscription
    /// Its identity for life; 0 for one that is not there yet.
    public var id: SubscriptionID
    /// The version that was read; `.none` for one that is not there yet.
    public var version: CatalogueVersion
    public var createdAt: Timestamp
    /// When it was last used, to the minute.
    public var usedAt: Timestamp

    /// One to be made.
    public init(_ subscription: Subscription) {
        self.subscription = subscription
        self.id = SubscriptionID(rawValue: 0)
        self.version = .none
        self.createdAt = .none
        self.usedAt = .none
    }

    public var name: String { self.subscription.name.text }
}

/// Who has read one record.
public struct ReaderCount: Hashable, Sendable {
    public var subscriptions: Int
    public var read: Int
    public var waiting: Int
    /// They have not read it and may not any more: it left their window.
    public var late: Int
    /// The first of those that wait.
    public var waitingFor: [String]
    /// The first of those that came too late.
    public var missedBy: [String]
    /// `3 of 5 have read it; waiting for billing, search`
    public var text: String
}

/// Who holds records of a topic, and what that costs.
public struct TopicHoldings: Hashable, Sendable {
    public struct Holder: Hashable, Sendable {
        public var subscription: String
        public var owner: String
        /// As it states it; nil: it asks for nothing.
        public var statedPeriod: Duration?
        /// What that comes to under the topic's ceiling.
        public var period: Duration?
        /// Bytes that the topic itself would not keep and this asks for, alone or with others.
        public var held: ByteCount
        /// Bytes that would go if it went.
        public var own: ByteCount
        /// Records it has not read; nil where that is not known.
        public var unread: Int64?
    }

    public var topic: String
    /// Who made the topic, where users log in; nil where that is not known.
    public var owner: String?
    /// `time`, or `consumed`: records go when all have read them.
    public var mode: String
    /// What is kept for everybody; nil: for ever.
    public var floor: Duration?
    /// The longest that subscriptions can make records stay; nil: without end.
    public var ceiling: Duration?
    /// How long records stay now; nil: for ever.
    public var retention: Duration?
    public var total: ByteCount
    /// The largest holder first.
    public var holders: [Holder]
}

extension SubscriptionDescription {
    init(_ wire: DescribeSubscriptionsResponse.Subscription) throws(InvalidField) {
        guard let delivery = Subscription.Delivery(rawValue: wire.delivery) else {
            throw InvalidField("delivery", wire.delivery)
        }
        let start: Subscription.Start =
            switch wire.startKind {
            case 0: .earliest
            case 1: .latest
            default: .time(Timestamp(rawValue: wire.startTimestampMs))
            }
        let interest: TopicInterest =
            if let pattern = wire.pattern { .pattern(try TopicPattern(pattern)) } else { .names(wire.topics) }
        self.init(
            Subscription(
                name: SubscriptionName(wire.name), owner: ConsumerName(wire.owner), interest: interest,
                delivery: delivery, start: start, period: Duration(wire: wire.periodMs),
                expiry: Duration(wire: wire.expiryMs),
                origin: Subscription.Origin(rawValue: wire.origin) ?? .declared, filter: wire.filter,
                deadLetterTopic: wire.deadLetterTopic, pushEndpoint: wire.pushEndpoint))
        self.id = SubscriptionID(rawValue: wire.id)
        self.version = CatalogueVersion(rawValue: wire.version)
        self.createdAt = Timestamp(rawValue: wire.createdAtMs)
        self.usedAt = Timestamp(rawValue: wire.usedAtMs)
    }
}

extension PutSubscriptionRequest {
    /// - Parameter owner: nil makes it the client's own.
    init(_ wish: SubscriptionDescription, hasOwner: Bool) {
        self.init()
        let subscription = wish.subscription
        self.name = subscription.name.text
        self.expectedVersion = wish.version.rawValue
        self.owner = hasOwner ? subscription.owner.text : nil
        self.topics = subscription.interest.names
        self.pattern = subscription.interest.pattern?.text
        self.delivery = subscription.delivery.rawValue
        switch subscription.start {
        case .earliest: self.startKind = 0
        case .latest: self.startKind = 1
        case .time(let time): (self.startKind, self.startTimestampMs) = (2, time.rawValue)
        }
        self.periodMs = subscription.period?.wholeMilliseconds ?? .min
        self.expiryMs = subscription.expiry?.wholeMilliseconds ?? .min
        self.filter = subscription.filter
        self.deadLetterTopic = subscription.deadLetterTopic
        self.pushEndpoint = subscription.pushEndpoint
    }
}

extension TopicHoldings {
    init(_ wire: DescribeHoldingsResponse.Topic) {
        self.topic = wire.name
        self.owner = wire.topicOwner
        self.mode = wire.mode
        self.floor = Duration(wire: wire.floorMs)
        self.ceiling = Duration(wire: wire.ceilingMs)
        self.retention = Duration(wire: wire.retentionMs)
        self.total = .bytes(Int(clamping: wire.totalBytes))
        self.holders = wire.holders.map { holder in
            Holder(
                subscription: holder.subscription, owner: holder.owner,
                statedPeriod: Duration(wire: holder.statedPeriodMs), period: Duration(wire: holder.periodMs),
                held: .bytes(Int(clamping: holder.heldBytes)), own: .bytes(Int(clamping: holder.ownBytes)),
                unread: holder.unreadRecords >= 0 ? holder.unreadRecords : nil)
        }
    }
}

extension Duration {
    /// Negative: none.
    fileprivate init?(wire milliseconds: Int64) {
        guard milliseconds >= 0 else { return nil }
        self = .milliseconds(milliseconds)
    }
}
