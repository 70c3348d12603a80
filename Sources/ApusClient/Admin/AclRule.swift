import KafkaWire

/// One rule of access: this principal, from this host, may (or must not) do this with what the resource covers.
public struct AclRule: Hashable, Sendable {
    public enum Permission: Int8, Sendable, CustomStringConvertible {
        case deny = 2
        case allow = 3

        public var description: String { self == .allow ? "allow" : "deny" }
    }

    /// What may be done. With Kafka's codes.
    public enum Operation: Int8, CaseIterable, Sendable, CustomStringConvertible {
        case all = 2
        case read = 3
        case write = 4
        case create = 5
        case delete = 6
        case alter = 7
        case describe = 8
        case clusterAction = 9
        case describeConfigs = 10
        case alterConfigs = 11
        case idempotentWrite = 12
        case createTokens = 13
        case describeTokens = 14
        case twoPhaseCommit = 15

        /// As Kafka's tools write it, in small letters: `describe-configs`.
        public var description: String {
            switch self {
            case .all: "all"
            case .read: "read"
            case .write: "write"
            case .create: "create"
            case .delete: "delete"
            case .alter: "alter"
            case .describe: "describe"
            case .clusterAction: "cluster-action"
            case .describeConfigs: "describe-configs"
            case .alterConfigs: "alter-configs"
            case .idempotentWrite: "idempotent-write"
            case .createTokens: "create-tokens"
            case .describeTokens: "describe-tokens"
            case .twoPhaseCommit: "two-phase-commit"
            }
        }

        public init?(_ text: String) {
            guard let operation = Self.allCases.first(where: { $0.description == text }) else { return nil }
            self = operation
        }
    }

    /// What a rule is about.
    public struct Resource: Hashable, Sendable {
        /// With Kafka's codes; a subscription is ours.
        public enum Kind: Int8, CaseIterable, Sendable, CustomStringConvertible {
            case topic = 2
            case group = 3
            case cluster = 4
            case transactionalID = 5
            case user = 7
            case subscription = 100

            public var description: String {
                switch self {
                case .topic: "topic"
                case .group: "group"
                case .cluster: "cluster"
                case .transactionalID: "transactional-id"
                case .user: "user"
                case .subscription: "subscription"
                }
            }

            public init?(_ text: String) {
                guard let kind = Self.allCases.first(where: { $0.description == text }) else { return nil }
                self = kind
            }
        }

        public var kind: Kind
        /// `*` alone is every name.
        public var name: String
        /// Every name that begins so.
        public var isPrefix: Bool

        public init(_ kind: Kind, _ name: String, isPrefix: Bool = false) {
            self.kind = kind
            self.name = name
            self.isPrefix = isPrefix
        }

        public static let cluster = Resource(.cluster, "kafka-cluster")
    }

    public var permission: Permission
    /// As `User:alice`; `User:*` is everybody.
    public var principal: String
    /// An IP address, or `*`.
    public var host: String
    public var operation: Operation
    public var resource: Resource

    public init(
        _ permission: Permission = .allow, _ principal: String, from host: String = "*", _ operation: Operation,
        on resource: Resource
    ) {
        self.permission = permission
        self.principal = principal
        self.host = host
        self.operation = operation
        self.resource = resource
    }
}

/// Which rules are meant. What is nil is any.
public struct AclQuery: Hashable, Sendable {
    public var permission: AclRule.Permission?
    public var principal: String?
    public var host: String?
    public var operation: AclRule.Operation?
    public var kind: AclRule.Resource.Kind?
    public var name: String?
    /// True: only rules by prefix; false: only rules by the name itself; nil: both.
    public var isPrefix: Bool?
    /// Every rule that decides about the resource named, by prefix, by its name or by `*`.
    public var matchesName = false

    public init() {}

    /// Exactly this rule.
    public init(_ rule: AclRule) {
        self.permission = rule.permission
        self.principal = rule.principal
        self.host = rule.host
        self.operation = rule.operation
        self.kind = rule.resource.kind
        self.name = rule.resource.name
        self.isPrefix = rule.resource.isPrefix
    }

    /// Kafka's code for the pattern: any, match, literal, prefixed.
    var patternCode: Int8 {
        if self.matchesName { return 2 }
        return self.isPrefix.map { $0 ? 4 : 3 } ?? 1
    }
}
