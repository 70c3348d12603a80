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
/// a connection keeps the ``AccessView`` that it took from it, and takes a new one when `version` says that there is
/// one.
///
/// Rules are merged into masks when the set is made: by principal, then by type of resource, then by literal name, for
/// `*`, and by prefix. A question is a hash lookup and a binary search for the principal, the same for `User:*`, and
/// the answer to one operation is the answer to all.
package struct AclSet: Sendable {
    package let version: StoreRevision
    /// In the order in which they are listed.
    package let acls: [Acl]
    /// Principals whom no rule concerns, by configuration.
    package let superUsers: Set<Principal>
    private let rules: [Principal: PrincipalRules]

    package init(version: StoreRevision, acls: some Sequence<Acl>, superUsers: Set<Principal>) {
        self.version = version
        var last: Acl?
        self.acls = acls.sorted().filter { acl in
            defer { last = acl }
            return acl != last
        }
        self.superUsers = superUsers
        self.rules = Dictionary(grouping: self.acls, by: \.principal).mapValues { PrincipalRules($0) }
    }

    /// What one principal, connected from one address, may do.
    package func view(of principal: Principal, from host: HostAddress?) -> AccessView {
        AccessView(
            version: self.version, isSuper: self.superUsers.contains(principal), host: host,
            own: self.rules[principal], everybody: self.rules[.everybody]
        )
    }

    /// Whether `principal`, connected from `host`, may do it. Default: no.
    package func authorize(
        _ principal: Principal, from host: HostAddress?, _ operation: AccessOperation, on resource: Resource
    ) -> AccessDecision {
        self.view(of: principal, from: host).authorize(operation, on: resource)
    }
}

/// What one principal may do from where it is connected, by one ``AclSet``.
package struct AccessView: Sendable {
    package let version: StoreRevision
    fileprivate var isSuper: Bool
    /// From where.
    package let host: HostAddress?
    /// What a token bounds its bearer to; nil: nothing does.
    package private(set) var channels: ChannelGrants?
    fileprivate let own: PrincipalRules?
    fileprivate let everybody: PrincipalRules?

    /// No authentication is configured: everybody may do everything, which is why such a listener is on loopback.
    package static let open = AccessView(version: .none, isSuper: true, host: nil, own: nil, everybody: nil)

    /// Everything may be done, and no rule will change that.
    package var isUnrestricted: Bool { self.isSuper }

    /// The same for the bearer of a token that names its channels. Of topics he may do what the token names and no
    /// rule denies; with the cluster and its users nothing, or a token for one channel could make a login for all; with
    /// all else what the rules say. No super user is one by such a token.
    package func bounded(by channels: ChannelGrants?) -> AccessView {
        guard let channels else { return self }
        var view = self
        view.channels = channels
        view.isSuper = false
        return view
    }

    /// Whether these records of a topic may be used so at the edge.
    package func authorize(_ use: ChannelUse, _ keys: ChannelKeys, ofTopic name: ExactText) -> AccessDecision {
        let operation: AccessOperation = use == .write ? .write : .read
        let resource = Resource(.topic, name)
        guard let channels = self.channels else { return self.authorize(operation, on: resource) }
        var steps = 0
        if self.rights(on: resource, steps: &steps).denied.contains(operation.bit) { return .denied(.rule) }
        return channels.allow(use, keys, ofTopic: name) ? .allowed : .denied(.noRule)
    }

    package func authorize(_ operation: AccessOperation, on resource: Resource) -> AccessDecision {
        if self.isSuper { return .allowed }
        var steps = 0
        var rights = self.rights(on: resource, steps: &steps)
        self.bound(&rights, on: resource)
        if rights.denied.contains(operation.bit) { return .denied(.rule) }
        return rights.allowed.contains(operation.bit) ? .allowed : .denied(.noRule)
    }

    /// All that may be done: the value of an `authorizedOperations` field (KIP-430).
    package func operations(on resource: Resource) -> OperationSet {
        if self.isSuper { return resource.type.operations }
        var steps = 0
        var rights = self.rights(on: resource, steps: &steps)
        self.bound(&rights, on: resource)
        return rights.operations.intersection(resource.type.operations)
    }

    private func bound(_ rights: inout Rights, on resource: Resource) {
        guard let channels = self.channels else { return }
        switch resource.type {
        case .topic: rights.allowed = channels.operations(onTopic: resource.name)
        case .cluster, .user: rights.allowed = []
        default: break
        }
    }

    /// Whether there can be any resource of the type with which it may be done, whatever its name: what an idempotent
    /// producer is asked for instead of a right of its own (KIP-679). Costs as much as the principal has rules.
    package func authorizeSomewhere(_ operation: AccessOperation, type: ResourceType) -> Bool {
        if self.isSuper { return true }
        if let channels = self.channels {
            switch type {
            case .topic: return channels.operationsSomewhere.contains(operation.bit)
            case .cluster, .user: return false
            default: break
            }
        }
        let rules = [self.own, self.everybody].compactMap { $0?.rules(of: type) }
        var everywhere = Rights()
        for rule in rules { everywhere.add(rule.wildcard.rights(from: self.host)) }
        if everywhere.denied.contains(operation.bit) { return false }
        if everywhere.allowed.contains(operation.bit) { return true }
        var steps = 0
        for name in rules.lazy.flatMap(\.literals.keys)
        where self.rights(on: Resource(type, name), steps: &steps).operations.contains(operation.bit) {
            return true
        }
        // Behind a prefix there are more names than literal denials can ever name.
        return rules.lazy.flatMap(\.prefixes.all).contains { prefix in
            var rights = Rights()
            for rule in rules { rights.add(rule.prefixes.rights(of: prefix, from: self.host, steps: &steps)) }
            return rights.operations.contains(operation.bit)
        }
    }

    /// `steps` counts the comparisons of names, for the test that holds their number.
    func rights(on resource: Resource, steps: inout Int) -> Rights {
        var rights = Rights()
        if let rules = self.own?.rules(of: resource.type) {
            rules.add(to: &rights, resource.name, from: self.host, steps: &steps)
        }
        if let rules = self.everybody?.rules(of: resource.type) {
            rules.add(to: &rights, resource.name, from: self.host, steps: &steps)
        }
        return rights
    }
}

/// The rules of one principal. A class, because questions pass it around and it never changes.
private final class PrincipalRules: Sendable {
    private let types: [ResourceRules?]

    init(_ acls: [Acl]) {
        let byType = Dictionary(grouping: acls, by: \.pattern.type)
        self.types = ResourceType.allCases.map { type in byType[type].map { ResourceRules($0) } }
    }

    func rules(of type: ResourceType) -> ResourceRules? { self.types[type.place] }
}

/// The rules of one principal for one type of resource.
private final class ResourceRules: Sendable {
    let literals: [ExactText: Grants]
    let wildcard: Grants
    let prefixes: PrefixTable

    init(_ acls: [Acl]) {
        var literals: [ExactText: Grants] = [:]
        var prefixes: [ExactText: Grants] = [:]
        var wildcard = Grants()
        for acl in acls {
            let name = acl.pattern.name
            switch acl.pattern.kind {
            case .prefixed: prefixes[name, default: Grants()].add(acl)
            case .literal where name == ResourcePattern.wildcard: wildcard.add(acl)
            case .literal: literals[name, default: Grants()].add(acl)
            }
        }
        self.literals = literals
        self.wildcard = wildcard
        self.prefixes = PrefixTable(prefixes)
    }

    func add(to rights: inout Rights, _ name: ExactText, from host: HostAddress?, steps: inout Int) {
        rights.add(self.wildcard.rights(from: host))
        if !self.literals.isEmpty, let literal = self.literals[name] { rights.add(literal.rights(from: host)) }
        if !self.prefixes.isEmpty { rights.add(self.prefixes.rights(of: name, from: host, steps: &steps)) }
    }
}
