package import ApusCore

/// The answer to "may this be done".
package enum AccessDecision: Hashable, Sendable {
    case allowed
    case denied(Reason)

    package enum Reason: Hashable, Sendable {
        /// A rule says no, whatever others say.
        case rule
        /// No rule says yes.
        case noRule
    }

    package var isAllowed: Bool { self == .allowed }
}

/// All rules of a cluster at one revision of the coordinator store, compiled for questions. A value that never changes:
/// a connection keeps the one that it asked last and takes the new one when `version` says that there is one.
///
/// Rules are merged into masks when the set is made: by principal, then by type of resource, then by literal name, for
/// `*`, and by prefix. A question is three hash lookups and one binary search for the principal, the same for `User:*`,
/// and the answer to one operation is the answer to all.
package struct AclSet: Sendable {
    private struct Rules {
        var literals: [ExactText: Grants] = [:]
        var wildcard = Grants()
        var prefixes = PrefixTable([:])
    }

    private struct Owner: Hashable {
        let principal: Principal
        let type: ResourceType
    }

    package let version: StoreRevision
    /// In the order in which they are listed.
    package let acls: [Acl]
    /// Principals whom no rule concerns, by configuration.
    package let superUsers: Set<Principal>
    private let rules: [Owner: Rules]

    package init(version: StoreRevision, acls: some Sequence<Acl>, superUsers: Set<Principal>) {
        self.version = version
        self.acls = Set(acls).sorted()
        self.superUsers = superUsers
        var rules: [Owner: Rules] = [:]
        var prefixes: [Owner: [ExactText: Grants]] = [:]
        for acl in self.acls {
            let owner = Owner(principal: acl.principal, type: acl.pattern.type)
            let name = acl.pattern.name
            switch acl.pattern.kind {
            case .prefixed: prefixes[owner, default: [:]][name, default: Grants()].add(acl)
            case .literal where name == ResourcePattern.wildcard: rules[owner, default: Rules()].wildcard.add(acl)
            case .literal: rules[owner, default: Rules()].literals[name, default: Grants()].add(acl)
            }
        }
        for (owner, grants) in prefixes { rules[owner, default: Rules()].prefixes = PrefixTable(grants) }
        self.rules = rules
    }

    /// Whether `principal`, connected from `host`, may do it. Default: no.
    package func authorize(
        _ principal: Principal, from host: HostAddress?, _ operation: AccessOperation, on resource: Resource
    ) -> AccessDecision {
        if self.superUsers.contains(principal) { return .allowed }
        var steps = 0
        let rights = self.rights(of: principal, from: host, on: resource, steps: &steps)
        if rights.denied.contains(operation.bit) { return .denied(.rule) }
        return rights.allowed.contains(operation.bit) ? .allowed : .denied(.noRule)
    }

    /// All that may be done: the value of an `authorizedOperations` field (KIP-430).
    package func operations(
        _ principal: Principal, from host: HostAddress?, on resource: Resource
    ) -> OperationSet {
        if self.superUsers.contains(principal) { return resource.type.operations }
        var steps = 0
        return self.rights(of: principal, from: host, on: resource, steps: &steps).operations
            .intersection(resource.type.operations)
    }

    /// Whether there can be any resource of the type with which the principal may do it, whatever its name: what an
    /// idempotent producer is asked for instead of a right of its own (KIP-679). Costs as much as the principal has
    /// rules.
    package func authorizeSomewhere(
        _ principal: Principal, from host: HostAddress?, _ operation: AccessOperation, type: ResourceType
    ) -> Bool {
        if self.superUsers.contains(principal) { return true }
        let rules = self.owners(principal, type).compactMap { self.rules[$0] }
        var everywhere = Rights()
        for rule in rules { everywhere.add(rule.wildcard.rights(from: host)) }
        if everywhere.denied.contains(operation.bit) { return false }
        if everywhere.allowed.contains(operation.bit) { return true }
        var steps = 0
        for name in rules.lazy.flatMap(\.literals.keys)
        where self.rights(of: principal, from: host, on: Resource(type, name), steps: &steps).operations
            .contains(operation.bit)
        {
            return true
        }
        // Behind a prefix there are more names than literal denials can ever name.
        return rules.lazy.flatMap(\.prefixes.prefixes).contains { prefix in
            var rights = Rights()
            for rule in rules { rights.add(rule.prefixes.rights(of: prefix, from: host, steps: &steps)) }
            return rights.operations.contains(operation.bit)
        }
    }

    /// `steps` counts the comparisons of names, for the test that holds their number.
    func rights(
        of principal: Principal, from host: HostAddress?, on resource: Resource, steps: inout Int
    ) -> Rights {
        var rights = Rights()
        for owner in self.owners(principal, resource.type) {
            guard let rules = self.rules[owner] else { continue }
            rights.add(rules.wildcard.rights(from: host))
            if let literal = rules.literals[resource.name] { rights.add(literal.rights(from: host)) }
            if !rules.prefixes.isEmpty {
                rights.add(rules.prefixes.rights(of: resource.name, from: host, steps: &steps))
            }
        }
        return rights
    }

    private func owners(_ principal: Principal, _ type: ResourceType) -> [Owner] {
        [Owner(principal: principal, type: type), Owner(principal: .everybody, type: type)]
    }
}

/// What verbs ask.
package enum AccessRules: Sendable {
    /// No authentication is configured: everybody may do everything, which is why such a listener is on loopback.
    case open
    case guarded(AclSet)

    package func authorize(
        _ principal: Principal, from host: HostAddress?, _ operation: AccessOperation, on resource: Resource
    ) -> AccessDecision {
        switch self {
        case .open: .allowed
        case .guarded(let acls): acls.authorize(principal, from: host, operation, on: resource)
        }
    }

    package func operations(_ principal: Principal, from host: HostAddress?, on resource: Resource) -> OperationSet {
        switch self {
        case .open: resource.type.operations
        case .guarded(let acls): acls.operations(principal, from: host, on: resource)
        }
    }

    package func authorizeSomewhere(
        _ principal: Principal, from host: HostAddress?, _ operation: AccessOperation, type: ResourceType
    ) -> Bool {
        switch self {
        case .open: true
        case .guarded(let acls): acls.authorizeSomewhere(principal, from: host, operation, type: type)
        }
    }
}
