import ApusCore
package import ApusAccess
package import NIOCore

extension Broker {
    /// What is told of one user's credentials; nothing in it helps to log in.
    package struct ScramUser: Sendable {
        package var name: String
        /// Hash and iterations of each; nil: there is no such user.
        package var credentials: [(hash: ScramHash, iterations: Int32)]?
    }

    /// The users of these names, or all of them, as they are now.
    package func describeScramUsers(
        _ names: [String]?, client: ClientContext
    ) -> Result<[ScramUser], BrokerError> {
        guard client.allows(.describe, on: .cluster) else { return .failure(.clusterAuthorizationFailed) }
        let users = self.access.users
        return .success(
            (names.map { $0.map { ExactText($0) } } ?? users.names).map { name in
                let credentials = users.hashes(of: name)?.compactMap { hash in
                    users.credential(of: name, hash).map { (hash: hash, iterations: $0.iterations) }
                }
                return ScramUser(name: name.text, credentials: credentials)
            })
    }

    /// Sets and removes credentials, all of a user's or none (KIP-554). Answers user by user, in the order in which
    /// they were named, when it is durable.
    package func alterScramUsers(
        _ alterations: [ScramAlteration], client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable (Result<[(user: String, refusal: ScramAlterations.Refusal?)], BrokerError>) -> Void
    ) {
        guard client.allows(.alter, on: .cluster) else {
            return loop.execute { then(.failure(.clusterAuthorizationFailed)) }
        }
        let audit = self.audit
        self.access.commit(on: loop) { records in
            let decided = ScramAlterations(alterations, users: records.users)
            return AccessDraft(decided.changes, answer: decided.answers)
        } then: { (result: Result<[(user: String, refusal: ScramAlterations.Refusal?)], BrokerError>) in
            if case .success(let answers) = result {
                let changed = Set(answers.filter { $0.refusal == nil }.map(\.user))
                for alteration in alterations where changed.contains(alteration.user) {
                    audit.note(alteration.action, alteration.audited, by: client)
                }
            }
            then(result)
        }
    }
}

extension ScramAlteration {
    fileprivate var action: AuditRecord.Action {
        if case .delete = self.change { .deleteUser } else { .createUser }
    }

    fileprivate var audited: String {
        "user \(self.user), \(ScramHash(rawValue: self.mechanism).map { "\($0)" } ?? "mechanism \(self.mechanism)")"
    }
}
