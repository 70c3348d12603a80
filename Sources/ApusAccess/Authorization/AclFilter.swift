package import ApusCore

/// Which ACLs DescribeAcls shows and DeleteAcls removes (KIP-290). What is nil is any.
package struct AclFilter: Hashable, Sendable {
    package enum PatternKind: Hashable, Sendable {
        /// Patterns of every kind, with exactly the filter's name.
        case any
        /// Patterns that cover the filter's name: what decides about that resource.
        case match
        case only(ResourcePattern.Kind)
    }

    package var type: ResourceType?
    package var patternKind: PatternKind
    package var name: ExactText?
    package var principal: ExactText?
    package var host: String?
    package var operation: AccessOperation?
    package var permission: AccessPermission?

    /// Shows everything.
    package init() {
        self.patternKind = .any
    }

    /// As the requests bring it. Kafka's code 1 is "any"; a code that is none is refused.
    package init(
        resourceType: Int8, patternType: Int8, name: String?, principal: String?, host: String?, operation: Int8,
        permission: Int8
    ) throws(AclRefusal) {
        self.init()
        if resourceType != Self.any {
            self.type = ResourceType(rawValue: resourceType)
            if self.type == nil { throw .code("resource type", resourceType) }
        }
        switch patternType {
        case Self.any: self.patternKind = .any
        case Self.match: self.patternKind = .match
        default:
            guard let kind = ResourcePattern.Kind(rawValue: patternType) else {
                throw .code("pattern type", patternType)
            }
            self.patternKind = .only(kind)
        }
        if operation != Self.any {
            self.operation = AccessOperation(rawValue: operation)
            if self.operation == nil { throw .code("operation", operation) }
        }
        if permission != Self.any {
            self.permission = AccessPermission(rawValue: permission)
            if self.permission == nil { throw .code("permission", permission) }
        }
        self.name = name.map { ExactText($0) }
        self.principal = principal.map { ExactText($0) }
        self.host = host
    }

    private static let any: Int8 = 1
    private static let match: Int8 = 2

    package func shows(_ acl: Acl) -> Bool {
        self.shows(acl.pattern)
            && (self.principal == nil || self.principal == acl.principal.text)
            && self.showsHost(acl.host)
            && (self.operation == nil || self.operation == acl.operation)
            && (self.permission == nil || self.permission == acl.permission)
    }

    private func shows(_ pattern: ResourcePattern) -> Bool {
        guard self.type == nil || self.type == pattern.type else { return false }
        if case .only(let kind) = self.patternKind, kind != pattern.kind { return false }
        guard let name = self.name else { return true }
        return self.patternKind == .match ? pattern.covers(name) : pattern.name == name
    }

    /// Every way to write an address finds it; what is no address finds nothing.
    private func showsHost(_ host: AclHost) -> Bool {
        guard let text = self.host else { return true }
        return AclHost(text) == host
    }
}
