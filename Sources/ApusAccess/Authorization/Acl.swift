package import ApusCore

/// The names that an ACL is about.
package struct ResourcePattern: Hashable, Sendable {
    package enum Kind: Int8, Comparable, Sendable {
        case literal = 3
        /// Every name that begins so (KIP-290).
        case prefixed = 4

        package static func < (left: Kind, right: Kind) -> Bool { left.rawValue < right.rawValue }
    }

    /// As a literal name: all names.
    package static let wildcard: ExactText = "*"

    package let type: ResourceType
    package let kind: Kind
    package let name: ExactText

    package init(_ type: ResourceType, _ kind: Kind, _ name: ExactText) {
        self.type = type
        self.kind = kind
        self.name = name
    }

    /// Whether it speaks of a resource of its type with this name.
    func covers(_ name: ExactText) -> Bool {
        switch self.kind {
        case .literal: self.name == name || self.name == Self.wildcard
        case .prefixed: name.hasPrefix(self.name)
        }
    }
}

/// From where: any host, or one.
package enum AclHost: Hashable, Comparable, Sendable, CustomStringConvertible {
    case any
    case address(HostAddress)

    package init?(_ text: String) {
        if text == "*" {
            self = .any
        } else if let address = HostAddress(text) {
            self = .address(address)
        } else {
            return nil
        }
    }

    package var description: String {
        switch self {
        case .any: "*"
        case .address(let address): "\(address)"
        }
    }
}

/// Why an ACL can not be made.
package enum AclRefusal: Error, Hashable, Sendable {
    /// Not a type, pattern type, operation or permission that an ACL can have (unknown, or a filter's "any").
    case code(String, Int8)
    case emptyName
    case nameTooLong(ByteCount)
    /// Characters that do not show themselves.
    case oddName
    /// The cluster has one name, and no prefix of it.
    case clusterName
    case principal(String)
    /// Not `*` and not an IP address.
    case host(String)
}

extension AclRefusal: CustomStringConvertible {
    package var description: String {
        switch self {
        case .code(let what, let code): "\(what) \(code) is not one that a rule can have"
        case .emptyName: "a resource has a name"
        case .nameTooLong(let bytes): "a resource's name of \(bytes.rawValue) bytes is too long"
        case .oddName: "a resource's name has characters that do not show themselves"
        case .clusterName: "the cluster's name is '\(Resource.clusterName)', literally"
        case .principal(let text): "'\(text.prefix(64))' is not a principal, like User:alice"
        case .host(let text): "'\(text.prefix(64))' is not an IP address or *"
        }
    }
}

/// One rule: this principal, from this host, may (or must not) do this with what the pattern covers.
package struct Acl: Hashable, Sendable {
    package let pattern: ResourcePattern
    package let principal: Principal
    package let host: AclHost
    package let operation: AccessOperation
    package let permission: AccessPermission

    package init(
        _ pattern: ResourcePattern, _ principal: Principal, _ host: AclHost = .any, _ operation: AccessOperation,
        _ permission: AccessPermission = .allow
    ) throws(AclRefusal) {
        if let refusal = Self.refusal(of: pattern) { throw refusal }
        self.pattern = pattern
        self.principal = principal
        self.host = host
        self.operation = operation
        self.permission = permission
    }

    /// As CreateAcls brings it, with Kafka's codes.
    package init(_ wire: AclOnTheWire) throws(AclRefusal) {
        guard let type = ResourceType(rawValue: wire.resourceType) else {
            throw .code("resource type", wire.resourceType)
        }
        guard let kind = ResourcePattern.Kind(rawValue: wire.patternType) else {
            throw .code("pattern type", wire.patternType)
        }
        guard let principal = Principal(parsing: wire.principal) else { throw .principal(wire.principal) }
        guard let host = AclHost(wire.host) else { throw .host(wire.host) }
        guard let operation = AccessOperation(rawValue: wire.operation) else {
            throw .code("operation", wire.operation)
        }
        guard let permission = AccessPermission(rawValue: wire.permission) else {
            throw .code("permission", wire.permission)
        }
        let pattern = ResourcePattern(type, kind, ExactText(wire.name))
        try self.init(pattern, principal, host, operation, permission)
    }

    private static func refusal(of pattern: ResourcePattern) -> AclRefusal? {
        let bytes = pattern.name.utf8.count
        if pattern.type == .delegationToken { return .code("resource type", pattern.type.rawValue) }
        if bytes == 0 { return .emptyName }
        if bytes > Limits.aclNameBytesMax.rawValue { return .nameTooLong(.bytes(bytes)) }
        if !pattern.name.text.unicodeScalars.allSatisfy(isShown) { return .oddName }
        if pattern.type == .cluster, pattern.kind != .literal || pattern.name != Resource.clusterName {
            return .clusterName
        }
        return nil
    }

    /// What it does to the rights of whom it speaks.
    var rights: Rights {
        switch self.permission {
        case .allow: Rights(allowed: self.operation.allowed, denied: [])
        case .deny: Rights(allowed: [], denied: self.operation.denied)
        }
    }
}

/// The fields of an ACL, or of a filter without its nulls, as Kafka's requests and answers have them.
package struct AclOnTheWire: Hashable, Sendable {
    package var resourceType: Int8
    package var patternType: Int8
    package var name: String
    package var principal: String
    package var host: String
    package var operation: Int8
    package var permission: Int8

    package init(
        resourceType: Int8, patternType: Int8, name: String, principal: String, host: String, operation: Int8,
        permission: Int8
    ) {
        self.resourceType = resourceType
        self.patternType = patternType
        self.name = name
        self.principal = principal
        self.host = host
        self.operation = operation
        self.permission = permission
    }

    package init(_ acl: Acl) {
        self.init(
            resourceType: acl.pattern.type.rawValue, patternType: acl.pattern.kind.rawValue,
            name: acl.pattern.name.text,
            principal: acl.principal.text.text, host: "\(acl.host)", operation: acl.operation.rawValue,
            permission: acl.permission.rawValue
        )
    }
}

extension Acl: CustomStringConvertible {
    /// `allow User:alice from * READ topic prefixed orders-`
    package var description: String {
        let kind = self.pattern.kind == .prefixed ? " prefixed" : ""
        return "\(self.permission) \(self.principal) from \(self.host) \(self.operation) \(self.pattern.type)\(kind) "
            + self.pattern.name.text
    }
}

extension Acl: Comparable {
    /// By what they are about, then by whom: the order in which they are listed.
    package static func < (left: Acl, right: Acl) -> Bool {
        if left.pattern.type != right.pattern.type { return left.pattern.type < right.pattern.type }
        if left.pattern.name != right.pattern.name { return left.pattern.name < right.pattern.name }
        if left.pattern.kind != right.pattern.kind { return left.pattern.kind < right.pattern.kind }
        return (left.principal.text, left.host, left.operation, left.permission)
            < (right.principal.text, right.host, right.operation, right.permission)
    }
}

/// What is allowed and what is denied, all rules that apply taken together. A denial wins.
struct Rights: Hashable, Sendable {
    var allowed: OperationSet = []
    var denied: OperationSet = []

    mutating func add(_ other: Rights) {
        self.allowed.formUnion(other.allowed)
        self.denied.formUnion(other.denied)
    }

    var operations: OperationSet { self.allowed.subtracting(self.denied) }
}
