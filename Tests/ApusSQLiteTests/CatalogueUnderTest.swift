import ApusCore
import ApusFakes
import ApusSQLite
import Synchronization

/// Every catalogue there is: the same suite holds for each.
enum CatalogueUnderTest: CaseIterable, Sendable {
    case sqlite
    /// As a broker has it.
    case reopening
    case fake

    func make(in directory: TemporaryDirectory, caps: CatalogueCaps = CatalogueCaps()) throws -> any Catalogue {
        switch self {
        case .sqlite: try SQLiteCatalogue(at: directory.file("catalogue.sqlite"), caps: caps)
        case .reopening:
            ReopeningCatalogue(at: directory.file("catalogue.sqlite"), caps: caps, clock: SimulatedClock())
        case .fake: FakeCatalogue(caps: caps)
        }
    }
}

extension Catalogue {
    func consumers(
        _ query: ConsumerQuery = ConsumerQuery()
    ) async throws -> CataloguePage<RegisteredConsumer, ConsumerName> {
        try await withCheckedContinuation { continuation in
            self.consumers(query) { continuation.resume(returning: $0) }
        }.get()
    }

    func subscriptions(
        _ query: SubscriptionQuery = SubscriptionQuery()
    ) async throws -> CataloguePage<RegisteredSubscription, SubscriptionName> {
        try await withCheckedContinuation { continuation in
            self.subscriptions(query) { continuation.resume(returning: $0) }
        }.get()
    }

    func audit(_ query: AuditQuery = AuditQuery()) async throws -> CataloguePage<AuditEntry, AuditNumber> {
        try await withCheckedContinuation { continuation in
            self.audit(query) { continuation.resume(returning: $0) }
        }.get()
    }

    func subscription(_ name: String) async throws -> RegisteredSubscription {
        try await withCheckedContinuation { continuation in
            self.subscription(SubscriptionName(name)) { continuation.resume(returning: $0) }
        }.get()
    }

    func consumer(_ name: String) async throws -> RegisteredConsumer {
        try await withCheckedContinuation { continuation in
            self.consumer(ConsumerName(name)) { continuation.resume(returning: $0) }
        }.get()
    }

    @discardableResult
    func commit(_ transaction: CatalogueTransaction) async throws -> CatalogueReceipt {
        try await withCheckedContinuation { continuation in
            self.commit(transaction) { continuation.resume(returning: $0) }
        }.get()
    }

    @discardableResult
    func commit(_ changes: CatalogueChange..., reason: String = "") async throws -> CatalogueReceipt {
        try await self.commit(CatalogueTransaction(changes, by: .admin, at: .start, reason: reason))
    }

    func note(_ id: SubscriptionID, at milliseconds: Int64) async throws {
        try await withCheckedContinuation { continuation in
            self.note([SubscriptionUse(id: id, at: Timestamp(rawValue: milliseconds))]) {
                continuation.resume(returning: $0)
            }
        }.get()
    }
}

extension ConsumerName {
    static let admin = ConsumerName("User:admin")
    static let alice = ConsumerName("User:alice")
    static let bob = ConsumerName("User:bob")
}

extension Timestamp {
    static let start = Timestamp(rawValue: 1_750_000_000_000)
}

extension Subscription {
    /// A subscription of Alice's, with what matters to the test.
    static func sample(
        _ name: String, owner: ConsumerName = .alice, _ topics: String..., pattern: TopicPattern? = nil,
        delivery: Delivery = .stream, period: Duration? = nil
    ) -> Subscription {
        Subscription(
            name: SubscriptionName(name), owner: owner,
            interest: pattern.map { .pattern($0) } ?? .names(topics.isEmpty ? ["orders"] : topics),
            delivery: delivery, period: period)
    }
}

extension CatalogueChange {
    static let alice = CatalogueChange.putConsumer(Consumer(name: .alice), expecting: .none)
    static let bob = CatalogueChange.putConsumer(Consumer(name: .bob), expecting: .none)

    static func new(_ subscription: Subscription) -> CatalogueChange {
        .putSubscription(subscription, expecting: .none)
    }
}

/// What a watch was told.
final class Heard: Sendable {
    private let events = Mutex<[CatalogueEvent]>([])

    func add(_ event: CatalogueEvent) { self.events.withLock { $0.append(event) } }

    var all: [CatalogueEvent] { self.events.withLock { $0 } }
}
