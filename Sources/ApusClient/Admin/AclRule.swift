public import ApusCore
import KafkaWire

/// One rule of access: this principal, from this host, may (or must not) do this with what the resource covers.
public struct AclRule: Hashable, Sendable {
    public typealias Permission = AccessPermission
    public typealias Operation = AccessOperation

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
