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
            let known = Set(records.rules)
            let new = Set(acls).subtracting(known).sorted()
            guard known.count + new.count <= Limits.aclsMax else { return AccessDraft([], answer: nil) }
            let changes = new.map { StoreChange.put(key: AclRecord.key(of: $0), value: AclRecord.encoded($0)) }
            return AccessDraft(changes, answer: new)
        } then: { result in
            switch result {
            case .success(let made?):
                for acl in made { audit.note(.createAcl, "\(acl)", by: client) }
                then(nil)
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
        // Each is held against every rule, on the event loop.
        guard filters.count <= Limits.aclFiltersPerRequestMax else {
            let most = Limits.aclFiltersPerRequestMax
            return home.run { then(.failure(.invalidRequest("\(filters.count) filters at once, at most \(most)"))) }
        }
        let audit = self.audit
        self.access.commit(on: loop) { records in
            let rules = records.rules
            let found = filters.map { filter in rules.filter { filter.shows($0) }.sorted() }
            var keys = Set(found.joined().map { AclRecord.key(of: $0) })
            if filters.contains(AclFilter()) {
                keys.formUnion(records.unreadable.filter { $0.hasPrefix(AclRecord.prefix) })
            }
            return AccessDraft(keys.sorted().map { .delete(key: $0) }, answer: found)
        } then: { (result: Result<[[Acl]], BrokerError>) in
            if case .success(let found) = result {
                for acl in Set(found.joined()).sorted() { audit.note(.deleteAcl, "\(acl)", by: client) }
            }
            then(result)
        }
    }
}
