/// The port to the relational store of consumers, subscriptions and their retention periods, with its audit trail.
///
/// Small and slow-moving: brokers read all of it once, watch it, and answer from memory (`ApusSubscriptions`), so that
/// the catalogue being away never stops produce and fetch (promise P8).
///
/// Every commit has a version, larger than all before it; an entry carries the version that changed it last, and that
/// is what compare-and-set compares. A commit holds whole or not at all, its audit entries with it. Answers may come on
/// any thread, exactly once, in the order of the questions.
public protocol Catalogue: Sendable {
    /// One page of the consumers, sorted by name (by bytes).
    func consumers(
        _ query: ConsumerQuery,
        then: @escaping @Sendable (Result<CataloguePage<RegisteredConsumer, ConsumerName>, CatalogueError>) -> Void)
    /// One page of the subscriptions that the query asks for, sorted by name (by bytes).
    func subscriptions(
        _ query: SubscriptionQuery,
        then:
            @escaping @Sendable (Result<CataloguePage<RegisteredSubscription, SubscriptionName>, CatalogueError>) ->
            Void)
    /// One page of the audit trail, oldest first. Only the newest `Limits.auditEntriesMax` are kept.
    func audit(
        _ query: AuditQuery,
        then: @escaping @Sendable (Result<CataloguePage<AuditEntry, AuditNumber>, CatalogueError>) -> Void)

    /// Makes all the changes durably, in order, or none. Each change is validated, compared and audited.
    func commit(
        _ transaction: CatalogueTransaction,
        then: @escaping @Sendable (Result<CatalogueReceipt, CatalogueError>) -> Void)
    /// Notes when subscriptions were last used. Not a change: no version, no audit, nobody is told. Times only go
    /// forward; ids that are gone are passed over.
    func note(_ uses: [SubscriptionUse], then: @escaping @Sendable (Result<Void, CatalogueError>) -> Void)

    /// Tells of every later commit, in order, once each, from the one after `version`; or that it can not, and then no
    /// more. `onEvent` hands over and returns; it must not call back into the catalogue.
    func watch(
        after version: CatalogueVersion, onEvent: @escaping @Sendable (CatalogueEvent) -> Void
    ) -> any CatalogueWatch
}

/// Cancels the watch when told to; holding it keeps nothing else alive.
public protocol CatalogueWatch: Sendable {
    func cancel()
}

/// The number of a commit, from 1.
public struct CatalogueVersion: RawRepresentable, Hashable, Comparable, Sendable {
    public var rawValue: Int64

    /// Before everything; what a change expects of an entry that must not exist.
    public static let none = CatalogueVersion(rawValue: 0)

    public init(rawValue: Int64) {
        self.rawValue = rawValue
    }

    public static func < (left: CatalogueVersion, right: CatalogueVersion) -> Bool {
        left.rawValue < right.rawValue
    }
}

/// One step of a commit. `expecting` is the version of the entry that the change was decided on; `.none` makes it new.
public enum CatalogueChange: Hashable, Sendable {
    case putConsumer(Consumer, expecting: CatalogueVersion)
    /// A consumer that still owns subscriptions stays.
    case removeConsumer(ConsumerName, expecting: CatalogueVersion)
    /// The owner must exist.
    case putSubscription(Subscription, expecting: CatalogueVersion)
    case removeSubscription(SubscriptionName, expecting: CatalogueVersion)

    public var subject: CatalogueSubject {
        switch self {
        case .putConsumer(let consumer, _): .consumer(consumer.name)
        case .removeConsumer(let name, _): .consumer(name)
        case .putSubscription(let subscription, _): .subscription(subscription.name)
        case .removeSubscription(let name, _): .subscription(name)
        }
    }

    public var expected: CatalogueVersion {
        switch self {
        case .putConsumer(_, let version), .removeConsumer(_, let version), .putSubscription(_, let version),
            .removeSubscription(_, let version):
            version
        }
    }
}

/// What is changed, who changes it, when, and why.
public struct CatalogueTransaction: Hashable, Sendable {
    /// 1 to `Limits.catalogueChangesMax`.
    public var changes: [CatalogueChange]
    /// Whoever is to be asked about it later; need not be registered.
    public var actor: ConsumerName
    public var at: Timestamp
    /// For people; may be empty. At most `Limits.auditReasonBytesMax`.
    public var reason: String

    public init(_ changes: [CatalogueChange], by actor: ConsumerName, at: Timestamp, reason: String = "") {
        self.changes = changes
        self.actor = actor
        self.at = at
        self.reason = reason
    }
}

/// An entry as it is after a commit.
public enum CatalogueOutcome: Hashable, Sendable {
    case consumer(RegisteredConsumer)
    case consumerRemoved(ConsumerName)
    case subscription(RegisteredSubscription)
    case subscriptionRemoved(SubscriptionName, SubscriptionID)
}

public struct CatalogueReceipt: Hashable, Sendable {
    public var version: CatalogueVersion
    /// One for each change, in order.
    public var outcomes: [CatalogueOutcome]

    public init(version: CatalogueVersion, outcomes: [CatalogueOutcome]) {
        self.version = version
        self.outcomes = outcomes
    }
}

public enum CatalogueEvent: Hashable, Sendable {
    case committed(CatalogueReceipt)
    /// Too much was committed since; read everything again, then watch again. Nothing follows.
    case missed
}

public struct SubscriptionUse: Hashable, Sendable {
    public var id: SubscriptionID
    public var at: Timestamp

    public init(id: SubscriptionID, at: Timestamp) {
        self.id = id
        self.at = at
    }
}
