/// The port to the cluster's small, strongly consistent key-value store (embedded, or etcd): registry, leaders, ISR,
/// authorization.
///
/// Keys are UTF-8 paths (`topics/<id>`, `partitions/<id>/<n>`). Every change has a revision, larger than all before it;
/// a key's `modified` revision is what compare-and-set compares. Answers may come on any thread, exactly once.
public protocol CoordinatorStore: Sendable {
    /// Everything under a prefix, sorted by key, with the revision it was read at.
    func read(prefix: String, then: @escaping @Sendable (Result<StoreSnapshot, StoreError>) -> Void)
    /// Applies all the changes if all the conditions hold, durably, else none. Answers with the new revision.
    func commit(_ transaction: StoreTransaction, then: @escaping @Sendable (Result<StoreRevision, StoreError>) -> Void)
    /// Tells of every later change under a prefix, in order, once each, from the one after `revision`.
    func watch(
        prefix: String, after revision: StoreRevision,
        onChange: @escaping @Sendable ([StoreChange], StoreRevision) -> Void
    ) -> any StoreWatch
}

/// Cancels the watch when told to; holding it keeps nothing else alive.
public protocol StoreWatch: Sendable {
    func cancel()
}

public struct StoreRevision: RawRepresentable, Hashable, Comparable, Sendable {
    public var rawValue: Int64

    /// Before everything; as a key's condition: the key must not exist.
    public static let none = StoreRevision(rawValue: 0)

    public init(rawValue: Int64) {
        self.rawValue = rawValue
    }

    public static func < (left: StoreRevision, right: StoreRevision) -> Bool {
        left.rawValue < right.rawValue
    }
}

public struct StoreEntry: Hashable, Sendable {
    public var key: String
    public var value: [UInt8]
    public var modified: StoreRevision

    public init(key: String, value: [UInt8], modified: StoreRevision) {
        self.key = key
        self.value = value
        self.modified = modified
    }
}

public struct StoreSnapshot: Hashable, Sendable {
    public var entries: [StoreEntry]
    public var revision: StoreRevision

    public init(entries: [StoreEntry], revision: StoreRevision) {
        self.entries = entries
        self.revision = revision
    }
}

public enum StoreChange: Hashable, Sendable {
    case put(key: String, value: [UInt8])
    case delete(key: String)
}

public struct StoreTransaction: Hashable, Sendable {
    /// The key must have been last modified at this revision; `.none`: must not exist.
    public struct Condition: Hashable, Sendable {
        public var key: String
        public var modified: StoreRevision

        public init(key: String, modified: StoreRevision) {
            self.key = key
            self.modified = modified
        }
    }

    public var conditions: [Condition]
    public var changes: [StoreChange]

    public init(conditions: [Condition] = [], changes: [StoreChange]) {
        self.conditions = conditions
        self.changes = changes
    }
}

public enum StoreError: Error, Hashable, Sendable {
    /// A condition did not hold; nothing was changed.
    case conflict(key: String)
    /// The store can not be reached or refuses writes now; nothing was changed. The data plane goes on (promise P8).
    case unavailable(String)
    /// The answer was lost: the change may or may not have been made.
    case unknown(String)
    /// What was read is damaged.
    case corrupt(String)
}
