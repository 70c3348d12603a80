package import ApusAccess
package import ApusCore
package import NIOCore
import Logging
import Synchronization

/// Who may do what, as it is now: rules, users and quotas, from the coordinator store, for every thread.
///
/// Asking is reading a value that was published; a connection keeps its client's view and pays one atomic load for each
/// request to see that it still holds. Changes go through ``commit(on:_:done:then:)`` and come back from the store,
/// whoever made them, so all brokers publish the same.
///
/// What a change takes grows with the rules there are, a hundred thousand perhaps: hashes, a new order, new tables. It
/// is done on the loop `aside`, which serves nobody; the loops that do go on with the rules before, and then with the
/// new.
///
/// Owner of what is published. The records behind it are ``BrokerAccessRecords``'s.
package final class BrokerAccess: QuotaSource {
    /// False: nobody has to log in, and everybody may do everything. Rules can be made all the same, for later.
    package let isAuthorizing: Bool
    package let superUsers: Set<Principal>

    private struct Published {
        var acls: AclSet
        var users: ScramUsers?
        var keys = AccessKeys()
        var quotas: QuotaRules
    }

    private let published: Mutex<Published>
    private let aclsVersion = Atomic<Int64>(0)
    private let quotasVersion = Atomic<Int64>(0)
    private let keysVersion = Atomic<Int64>(0)
    private let listeners = Mutex<[@Sendable () -> Void]>([])
    private let records: BrokerAccessRecords
    let audit: BrokerAudit

    init(_ settings: BrokerSettings, ports: BrokerPorts, aside loop: any EventLoop, audit: BrokerAudit) {
        self.audit = audit
        self.isAuthorizing = settings.isAuthorizing
        self.superUsers = settings.superUsers
        // Until the store was read nobody may do anything.
        self.published = Mutex(
            Published(
                acls: AclSet(version: .none, acls: [], superUsers: settings.superUsers), users: nil,
                quotas: QuotaRules(fallback: settings.quotas)))
        self.records = BrokerAccessRecords(
            store: ports.store, randomness: ports.randomness, loop: loop, logger: ports.logger,
            quotaFallback: settings.quotas)
    }

    /// Reads the store and follows it from then on. Nothing is served before it has answered, on the loop aside, and if
    /// it fails the broker does not start.
    func start(then: @escaping @Sendable (BrokerError?) -> Void) {
        self.records.start(
            publish: { [weak self] records, changed in self?.publish(records, changed) }, then: then)
    }

    /// Stops following the store.
    func stop() { self.records.stop() }

    // MARK: Asking

    /// Moves when the rules do.
    package var version: StoreRevision {
        StoreRevision(rawValue: self.aclsVersion.load(ordering: .acquiring))
    }

    /// Moves when the quotas do.
    package var quotaVersion: StoreRevision {
        StoreRevision(rawValue: self.quotasVersion.load(ordering: .acquiring))
    }

    /// Moves when API keys are made or removed. Read it before ``keys``: what is read then is as new or newer.
    package var keyVersion: StoreRevision {
        StoreRevision(rawValue: self.keysVersion.load(ordering: .acquiring))
    }

    package var acls: AclSet { self.published.withLock { $0.acls } }
    package var quotas: QuotaRules { self.published.withLock { $0.quotas } }

    /// What logins with a password ask.
    package var users: ScramUsers {
        guard let users = self.published.withLock({ $0.users }) else {
            preconditionFailure("nothing is served before the users were read")
        }
        return users
    }

    package var keys: AccessKeys { self.published.withLock { $0.keys } }

    /// A client that has just logged in, or need not.
    /// - Parameter channels: what its token bounds it to.
    package func client(
        _ principal: Principal, clientID: String = "", address: String, channels: ChannelGrants? = nil
    ) -> ClientContext {
        let view = self.view(of: principal, from: HostAddress(address))
        return ClientContext(
            principal: principal, clientID: clientID, address: address, access: view.bounded(by: channels),
            audit: self.audit)
    }

    package func view(of principal: Principal, from host: HostAddress?) -> AccessView {
        self.isAuthorizing ? self.acls.view(of: principal, from: host) : .open
    }

    /// Puts the rules of now in place of those of then, if there are newer ones. To be called before each request.
    package func renew(_ client: inout ClientContext) {
        guard !client.access.isUnrestricted, client.access.version != self.version else { return }
        let (host, channels) = (client.access.host, client.access.channels)
        client.access = self.acls.view(of: client.principal, from: host).bounded(by: channels)
    }

    // MARK: Changing

    /// Has somebody decide on what is to change, with all that is known now, and makes it durable: all of it or
    /// nothing. Decides again, with newer knowledge, when another broker was faster. Answers when it is published here.
    ///
    /// - Parameters:
    ///   - decide: on the loop aside; may run more than once.
    ///   - done: on the loop aside, before `then`, when it is durable: for what takes as long as there is much of it.
    package func commit<Answer: Sendable>(
        on loop: any EventLoop, _ decide: @escaping @Sendable (AccessRecords) -> AccessDraft<Answer>,
        done: @escaping @Sendable (Answer) -> Void = { _ in },
        then: @escaping @Sendable (Result<Answer, BrokerError>) -> Void
    ) {
        let request = BrokerAccessRecords.Request { records in
            let draft = decide(records)
            return BrokerAccessRecords.Decided(changes: draft.changes) { error in
                if error == nil { done(draft.answer) }
                loop.execute { then(error.map { .failure($0) } ?? .success(draft.answer)) }
            }
        } refuse: { error in
            loop.execute { then(.failure(error)) }
        }
        self.records.submit(request)
    }

    // MARK: Publishing

    /// `told` runs on the loop aside after rules were published; it hands over and returns.
    func onChange(_ told: @escaping @Sendable () -> Void) {
        self.listeners.withLock { $0.append(told) }
    }

    private func publish(_ records: AccessRecords, _ changed: BrokerAccessRecords.Changed) {
        let acls = changed.acls ? records.aclSet(superUsers: self.superUsers) : nil
        self.published.withLock { published in
            if let acls { published.acls = acls }
            published.users = records.users
            published.keys = records.keys
            published.quotas = records.quotas
        }
        if changed.quotas { self.quotasVersion.store(records.revision.rawValue, ordering: .releasing) }
        if changed.keys { self.keysVersion.store(records.revision.rawValue, ordering: .releasing) }
        guard let acls else { return }
        self.aclsVersion.store(acls.version.rawValue, ordering: .releasing)
        for told in self.listeners.withLock({ $0 }) { told() }
    }
}
