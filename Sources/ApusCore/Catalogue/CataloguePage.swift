/// A part of a list, and where the next one begins.
public struct CataloguePage<Item: Hashable & Sendable, Key: Hashable & Sendable>: Hashable, Sendable {
    public var items: [Item]
    /// Ask for what comes after this; nil: that was all.
    public var next: Key?
    /// The catalogue's version as the page was read. Pages of one list may differ in it: a watch that begins at the
    /// first page's version hears of all that changed between them.
    public var version: CatalogueVersion

    public init(items: [Item], next: Key?, version: CatalogueVersion) {
        self.items = items
        self.next = next
        self.version = version
    }
}

public struct ConsumerQuery: Hashable, Sendable {
    public var named: ConsumerName?
    /// Only names after this one.
    public var after: ConsumerName?
    /// Items of the page, held between 1 and `Limits.cataloguePageMax`.
    public var limit: Int

    public init(named: ConsumerName? = nil, after: ConsumerName? = nil, limit: Int = Limits.cataloguePageMax) {
        self.named = named
        self.after = after
        self.limit = limit
    }
}

/// All that is given must hold.
public struct SubscriptionQuery: Hashable, Sendable {
    public var named: SubscriptionName?
    public var owner: ConsumerName?
    /// Reads this topic, by name or by pattern.
    public var topic: String?
    public var delivery: Subscription.Delivery?
    /// Only names after this one.
    public var after: SubscriptionName?
    /// Items of the page, held between 1 and `Limits.cataloguePageMax`.
    public var limit: Int

    public init(
        named: SubscriptionName? = nil, owner: ConsumerName? = nil, topic: String? = nil,
        delivery: Subscription.Delivery? = nil, after: SubscriptionName? = nil, limit: Int = Limits.cataloguePageMax
    ) {
        self.named = named
        self.owner = owner
        self.topic = topic
        self.delivery = delivery
        self.after = after
        self.limit = limit
    }

    public func asks(for subscription: Subscription) -> Bool {
        (self.named.map { $0 == subscription.name } ?? true)
            && (self.owner.map { $0 == subscription.owner } ?? true)
            && (self.delivery.map { $0 == subscription.delivery } ?? true)
            && (self.topic.map { subscription.interest.matches(topic: $0) } ?? true)
            && (self.after.map { $0 < subscription.name } ?? true)
    }
}

public struct AuditQuery: Hashable, Sendable {
    /// Only what happened to this.
    public var subject: CatalogueSubject?
    /// Only entries after this one.
    public var after: AuditNumber?
    /// Items of the page, held between 1 and `Limits.cataloguePageMax`.
    public var limit: Int

    public init(subject: CatalogueSubject? = nil, after: AuditNumber? = nil, limit: Int = Limits.cataloguePageMax) {
        self.subject = subject
        self.after = after
        self.limit = limit
    }
}
