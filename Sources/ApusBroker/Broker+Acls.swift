package import ApusAccess
package import NIOCore
import ApusCore

/// The rules themselves, as verbs. To see them takes DESCRIBE on the cluster, to change them ALTER.
extension Broker {
    package func describeAcls(_ filter: AclFilter, client: ClientContext) -> Result<[Acl], BrokerError> {
        guard client.allows(.describe, on: .cluster) else { return .failure(.clusterAuthorizationFailed) }
        return .success(self.access.acls.acls.filter { filter.shows($0) })
    }

    /// Makes the rules, all or none of those that are not there yet. Durable, and published here, when this answers:
    /// from then on every request of every connection to this broker is judged by them.
    package func createAcls(
        _ acls: [Acl], client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable (BrokerError?) -> Void
    ) {
        let home = self.mailbox(of: loop)
        guard client.allows(.alter, on: .cluster) else { return home.run { then(.clusterAuthorizationFailed) } }
        let audit = self.audit
        self.access.commit(on: loop) { records -> AccessDraft<[Acl]?> in
            var new: [Acl] = []
            var keys: Set<String> = []
            var changes: [StoreChange] = []
            for acl in acls {
                let value = AclRecord.encoded(acl)
                let key = AclRecord.key(ofValue: value)
                guard records.rule(under: key) == nil, keys.insert(key).inserted else { continue }
                new.append(acl)
                changes.append(.put(key: key, value: value))
            }
            guard records.aclCount + new.count <= Limits.aclsMax else { return AccessDraft([], answer: nil) }
            return AccessDraft(changes, answer: new)
        } done: { made in
            for acl in made ?? [] { audit.note(.createAcl, "\(acl)", by: client) }
        } then: { result in
            switch result {
            case .success(_?): then(nil)
            case .success(nil): then(.policyViolation("there are at most \(Limits.aclsMax) rules"))
            case .failure(let error): then(error)
            }
        }
    }

    /// Removes what the filters show, all or nothing; answers what that was, filter by filter. A filter that shows
    /// everything also removes what can not be read.
    package func deleteAcls(
        _ filters: [AclFilter], client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable (Result<[[Acl]], BrokerError>) -> Void
    ) {
        let home = self.mailbox(of: loop)
        guard client.allows(.alter, on: .cluster) else {
            return home.run { then(.failure(.clusterAuthorizationFailed)) }
        }
        // Each is held against every rule.
        guard filters.count <= Limits.aclFiltersPerRequestMax else {
            let most = Limits.aclFiltersPerRequestMax
            return home.run { then(.failure(.invalidRequest("\(filters.count) filters at once, at most \(most)"))) }
        }
        let audit = self.audit
        self.access.commit(on: loop) { records in
            let found = filters.map { records.rules(shownBy: $0) }
            var keys = Set(found.joined().map(\.key))
            if filters.contains(AclFilter()) {
                keys.formUnion(records.unreadable.filter { $0.hasPrefix(AclRecord.prefix) })
            }
            return AccessDraft(keys.sorted().map { .delete(key: $0) }, answer: found.map { $0.map(\.acl) })
        } done: { (found: [[Acl]]) in
            // What two filters showed is gone once.
            var told: Set<Acl> = []
            for acl in found.joined() where told.insert(acl).inserted { audit.note(.deleteAcl, "\(acl)", by: client) }
        } then: {
            then($0)
        }
    }
}
