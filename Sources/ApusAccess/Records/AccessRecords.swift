package import ApusCore

/// Everything about access that the coordinator store keeps, read from it once and then kept up with its changes:
/// rules, credentials, quotas. From it the assembly makes the values that logins and verbs ask.
///
/// **What can not be read fails closed.** A rule that is damaged, or of a newer version, may be the one that denies:
/// until it is whole or gone everything is denied to all but the super users. A credential or an API key that can not
/// be read lets nobody in. A quota that can not be read is none. All of them are named by ``unreadable``.
package struct AccessRecords: Sendable {
    /// The revision of the store that this has seen.
    package private(set) var revision = StoreRevision.none
    package private(set) var users: ScramUsers
    package private(set) var quotas: QuotaRules
    package private(set) var keys = AccessKeys()
    /// Keys whose values could not be read.
    package private(set) var unreadable: Set<String> = []
    private var acls: [String: Acl] = [:]
    private var credentials: [String: (user: ExactText, hash: ScramHash)] = [:]
    private var entities: [String: QuotaEntity] = [:]

    package static let prefixes = [AclRecord.prefix, ScramRecord.prefix, QuotaRecord.prefix, AccessKeyRecord.prefix]

    /// `mockSecret` is what stands under ``ScramRecord/mockSecretKey``.
    package init(mockSecret: Secret, quotaFallback: [QuotaKind: Double] = QuotaRules.generous) {
        self.users = ScramUsers(mockSecret: mockSecret)
        self.quotas = QuotaRules(fallback: quotaFallback)
    }

    /// Takes over what was read under one of `prefixes`.
    package mutating func read(_ snapshot: StoreSnapshot) {
        for entry in snapshot.entries { self.apply(.put(key: entry.key, value: entry.value)) }
        self.revision = max(self.revision, snapshot.revision)
    }

    /// Takes over changes in the order in which they were made. Keys of others are passed over.
    package mutating func apply(_ changes: [StoreChange], at revision: StoreRevision) {
        for change in changes { self.apply(change) }
        self.revision = max(self.revision, revision)
    }

    /// The rules, compiled. To be made once for all changes that came together.
    package func aclSet(superUsers: Set<Principal>) -> AclSet {
        var all = Array(self.acls.values)
        if self.unreadable.contains(where: { $0.hasPrefix(AclRecord.prefix) }) { all += Self.nothing }
        return AclSet(version: self.revision, acls: all, superUsers: superUsers)
    }

    /// How many rules there are, those that can not be read not counted (``Limits/aclsMax``).
    package var aclCount: Int { self.acls.count }

    /// The rule under this key, if it is there and can be read.
    package func rule(under key: String) -> Acl? { self.acls[key] }

    /// The rules that can be read and that the filter shows, in the order in which they are listed.
    package func rules(shownBy filter: AclFilter) -> [(key: String, acl: Acl)] {
        self.acls.filter { filter.shows($0.value) }.map { ($0.key, $0.value) }.sorted { $0.acl < $1.acl }
    }

    private mutating func apply(_ change: StoreChange) {
        let (key, value): (String, [UInt8]?) =
            switch change {
            case .put(let key, let value): (key, value)
            case .delete(let key): (key, nil)
            }
        let isRead: Bool
        if key.hasPrefix(AclRecord.prefix) {
            isRead = self.applyAcl(key, value)
        } else if key.hasPrefix(ScramRecord.prefix) {
            isRead = self.applyCredential(key, value)
        } else if key.hasPrefix(QuotaRecord.prefix) {
            isRead = self.applyQuota(key, value)
        } else if key.hasPrefix(AccessKeyRecord.prefix) {
            isRead = self.applyKey(key, value)
        } else {
            return
        }
        if isRead { self.unreadable.remove(key) } else { self.unreadable.insert(key) }
    }

    private mutating func applyAcl(_ key: String, _ value: [UInt8]?) -> Bool {
        // A value under another's key would be removed under the wrong name.
        let isOwn = value.map { AclRecord.key(ofValue: $0) == key } ?? false
        let acl = isOwn ? value.flatMap { AclRecord.decoded($0) } : nil
        self.acls[key] = acl
        return value == nil || acl != nil
    }

    private mutating func applyCredential(_ key: String, _ value: [UInt8]?) -> Bool {
        if let old = self.credentials[key] { self.users.set(nil, of: old.user, old.hash) }
        self.credentials[key] = nil
        guard let value else { return true }
        guard let (user, credential) = ScramRecord.decoded(value), ScramRecord.key(of: user, credential.hash) == key
        else { return false }
        self.users.set(credential, of: user, credential.hash)
        self.credentials[key] = (user, credential.hash)
        return true
    }

    private mutating func applyKey(_ key: String, _ value: [UInt8]?) -> Bool {
        let id = String(key.dropFirst(AccessKeyRecord.prefix.count))
        let found = value.flatMap { AccessKeyRecord.decoded($0) }.flatMap { $0.id == id ? $0 : nil }
        self.keys.set(found, id: id)
        return value == nil || found != nil
    }

    private mutating func applyQuota(_ key: String, _ value: [UInt8]?) -> Bool {
        if let old = self.entities[key] { self.set([:], of: old) }
        self.entities[key] = nil
        guard let value else { return true }
        guard let (entity, rates) = QuotaRecord.decoded(value), QuotaRecord.key(of: entity) == key else { return false }
        self.set(rates, of: entity)
        self.entities[key] = entity
        return true
    }

    private mutating func set(_ rates: [QuotaKind: Double], of entity: QuotaEntity) {
        for kind in QuotaKind.allCases where entity.refusal(of: kind, 1) == nil {
            // `try?`: refusals were asked above and by the record.
            try? self.quotas.set(kind, of: entity, to: rates[kind])
        }
    }

    /// Denies everything to everybody.
    private static let nothing: [Acl] = ResourceType.allCases.compactMap { type in
        let name = type == .cluster ? Resource.clusterName : ResourcePattern.wildcard
        // `try?`: of delegation tokens there are no rules, and none is needed.
        return try? Acl(ResourcePattern(type, .literal, name), .everybody, .any, .all, .deny)
    }
}
