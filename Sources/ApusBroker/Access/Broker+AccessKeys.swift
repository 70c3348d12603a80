package import ApusAccess
import ApusCore
package import NIOCore

/// API keys. To make and remove them needs ALTER on the cluster, as passwords do, to see them DESCRIBE.
extension Broker {
    package func describeAccessKeys(client: ClientContext) -> Result<[AccessKey], BrokerError> {
        guard client.allows(.describe, on: .cluster) else { return .failure(.clusterAuthorizationFailed) }
        return .success(self.access.keys.all)
    }

    /// Keeps a key that was made. Answers when it is durable, and good on this broker.
    package func add(
        _ key: AccessKey, client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable (Result<Void, BrokerError>) -> Void
    ) {
        guard client.allows(.alter, on: .cluster) else {
            return loop.execute { then(.failure(.clusterAuthorizationFailed)) }
        }
        let audit = self.audit
        self.access.commit(on: loop) { records in
            guard records.keys.count < Limits.apiKeysMax else { return AccessDraft([], answer: false) }
            let change = StoreChange.put(key: AccessKeyRecord.key(of: key.id), value: AccessKeyRecord.encoded(key))
            return AccessDraft([change], answer: true)
        } then: { (result: Result<Bool, BrokerError>) in
            if case .success(true) = result {
                audit.note(.createKey, "API key \(key.id) of \(key.owner)", by: client)
            }
            then(
                result.flatMap { isMade in
                    isMade ? .success(()) : .failure(.policyViolation("at most \(Limits.apiKeysMax) API keys"))
                })
        }
    }

    /// From its removal on a key lets nobody in. False: there is none of that id.
    package func removeAccessKey(
        _ id: String, client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable (Result<Bool, BrokerError>) -> Void
    ) {
        guard client.allows(.alter, on: .cluster) else {
            return loop.execute { then(.failure(.clusterAuthorizationFailed)) }
        }
        let audit = self.audit
        self.access.commit(on: loop) { records in
            let isThere = records.keys[id: id] != nil
            return AccessDraft(isThere ? [.delete(key: AccessKeyRecord.key(of: id))] : [], answer: isThere)
        } then: { (result: Result<Bool, BrokerError>) in
            if case .success(true) = result { audit.note(.deleteKey, "API key \(id)", by: client) }
            then(result)
        }
    }
}
