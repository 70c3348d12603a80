import ApusCore
import ApusFakes

extension RegisteredSubscription {
    static func sample(
        _ id: Int64, _ name: String? = nil, owner: String = "User:alice", topics: [String] = ["orders"],
        pattern: TopicPattern? = nil, period: Duration? = nil, expiry: Duration? = nil, version: Int64 = 1,
        usedAt: Timestamp = .start, origin: Subscription.Origin = .declared
    ) -> RegisteredSubscription {
        RegisteredSubscription(
            id: SubscriptionID(rawValue: id),
            subscription: Subscription(
                name: SubscriptionName(name ?? "s\(id)"), owner: ConsumerName(owner),
                interest: pattern.map { .pattern($0) } ?? .names(topics), period: period, expiry: expiry,
                origin: origin),
            version: CatalogueVersion(rawValue: version), createdAt: .start, usedAt: usedAt)
    }
}

extension CatalogueReceipt {
    static func put(_ entries: RegisteredSubscription..., at version: Int64 = 1) -> CatalogueReceipt {
        CatalogueReceipt(
            version: CatalogueVersion(rawValue: version), outcomes: entries.map { .subscription($0) })
    }

    static func remove(_ entry: RegisteredSubscription, at version: Int64 = 1) -> CatalogueReceipt {
        CatalogueReceipt(
            version: CatalogueVersion(rawValue: version),
            outcomes: [.subscriptionRemoved(entry.subscription.name, entry.id)])
    }
}

extension CataloguePage where Item == RegisteredSubscription, Key == SubscriptionName {
    init(_ entries: [RegisteredSubscription]) {
        self.init(items: entries, next: nil, version: CatalogueVersion(rawValue: 1))
    }
}

extension Timestamp {
    static let start = Timestamp(rawValue: 1_750_000_000_000)
}

extension Duration {
    static func hours(_ count: Int) -> Duration { .seconds(3600 * count) }
    static func days(_ count: Int) -> Duration { .hours(24 * count) }
}

extension SubscriptionID {
    init(_ rawValue: Int64) { self.init(rawValue: rawValue) }
}

extension Offset {
    init(_ rawValue: Int64) { self.init(rawValue: rawValue) }
}
