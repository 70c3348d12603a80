import ApusAccess
import ApusCore
import DequeModule
import Logging
import NIOCore

/// Keeps ``AccessRecords`` up with the coordinator store, and brings changes there.
///
/// **One key orders all changes.** Every commit writes `access/change` and asks that nobody else has since this broker
/// last saw it. So a decision was made on all that there was, limits on the number of rules hold, and a deletion
/// deletes what its filter was shown.
///
/// Requests that wait while a commit is under way are decided one after the other on a draft and go together in the
/// next. What is committed is taken over when the store tells of it, like any other broker's change.
///
/// Unchecked because: `loop` never changes, and all other state is touched on it only, which every entry asserts.
final class BrokerAccessRecords: @unchecked Sendable {
    struct Changed {
        var acls = false
        var quotas = false
        var users = false
        var keys = false

        static let all = Changed(acls: true, quotas: true, users: true, keys: true)
    }

    /// One request's wish. `answer` is called once, with what went wrong, if anything did.
    struct Decided {
        var changes: [StoreChange]
        var answer: (BrokerError?) -> Void
    }

    struct Request: Sendable {
        /// May be asked more than once.
        let decide: @Sendable (AccessRecords) -> Decided
        /// In place of `decide`, when it can not even be asked.
        let refuse: @Sendable (BrokerError) -> Void
    }

    private let loop: any EventLoop
    private let store: any CoordinatorStore
    private let randomness: any Randomness
    private let logger: Logger
    private let quotaFallback: [QuotaKind: Double]

    /// Nil until the store was read.
    private var records: AccessRecords?
    private var mockSecret: Secret?
    /// When the key that orders all changes was last written, as far as we have heard.
    private var changeSeen = StoreRevision.none
    /// The revision at which each prefix was read: the watch may tell again of what was in it already.
    private var readAt: [String: StoreRevision] = [:]
    private var watch: (any StoreWatch)?
    private var publish: (AccessRecords, Changed) -> Void = { _, _ in }
    private var waiting = Deque<Request>()
    /// From a commit until the store has told of what it changed.
    private var isCommitting = false
    private var isFlushScheduled = false
    /// Committed, and not yet told of by the store.
    private var committed: (revision: StoreRevision, fate: Fate)?

    init(
        store: any CoordinatorStore, randomness: any Randomness, loop: any EventLoop, logger: Logger,
        quotaFallback: [QuotaKind: Double]
    ) {
        self.store = store
        self.randomness = randomness
        self.loop = loop
        self.logger = logger
        self.quotaFallback = quotaFallback
    }

    // MARK: Start

    /// Reads what there is, publishes it, and follows the store from there. From any thread; answers on the loop.
    func start(
        publish: @escaping @Sendable (AccessRecords, Changed) -> Void,
        then: @escaping @Sendable (BrokerError?) -> Void
    ) {
        self.loop.execute {
            self.publish = publish
            self.readSecret(triesLeft: 3) { secret in
                switch secret {
                case .failure(let error): then(error)
                case .success(let secret):
                    self.mockSecret = secret
                    self.readAll { error in
                        if error == nil { self.follow() }
                        then(error)
                    }
                }
            }
        }
    }

    func stop() {
        self.loop.execute {
            self.watch?.cancel()
            self.watch = nil
        }
    }

    /// The cluster's secret for unknown users, made by whichever broker comes first.
    private func readSecret(
        triesLeft: Int, then: @escaping @Sendable (Result<Secret, BrokerError>) -> Void
    ) {
        self.ask(ScramRecord.mockSecretKey) { result in
            switch result {
            case .failure(let error): return then(.failure(error))
            case .success(let snapshot):
                if let entry = snapshot.entries.first(where: { $0.key == ScramRecord.mockSecretKey }) {
                    guard entry.value.count >= 32 else {
                        return then(.failure(.storeUnavailable("\(ScramRecord.mockSecretKey) is damaged")))
                    }
                    return then(.success(Secret(entry.value)))
                }
            }
            let bytes = (0..<4).flatMap { _ in
                let bits = self.randomness.next()
                return (0..<8).map { UInt8(truncatingIfNeeded: bits >> (8 * $0)) }
            }
            let condition = StoreTransaction.Condition(key: ScramRecord.mockSecretKey, modified: .none)
            let making = StoreTransaction(
                conditions: [condition], changes: [.put(key: ScramRecord.mockSecretKey, value: bytes)])
            self.store.commit(making) { result in
                self.loop.execute {
                    switch result {
                    case .success: then(.success(Secret(bytes)))
                    // Another broker was faster, or the answer was lost: what is there now counts.
                    case .failure(.conflict) where triesLeft > 0, .failure(.unknown) where triesLeft > 0:
                        self.readSecret(triesLeft: triesLeft - 1, then: then)
                    case .failure(let error): then(.failure(BrokerError(error)))
                    }
                }
            }
        }
    }

    /// Reads all there is and takes it in place of what there was.
    private func readAll(then: @escaping @Sendable (BrokerError?) -> Void) {
        guard let mockSecret = self.mockSecret else { preconditionFailure("the secret is read first") }
        let empty = AccessRecords(mockSecret: mockSecret, quotaFallback: self.quotaFallback)
        self.read(AccessRecords.prefixes[...], into: empty, at: [:]) { result in
            switch result {
            case .failure(let error): then(error)
            case .success(let (records, readAt)):
                self.ask(StoreKey.accessChange) { result in
                    switch result {
                    case .failure(let error): return then(error)
                    case .success(let snapshot):
                        let entry = snapshot.entries.first { $0.key == StoreKey.accessChange }
                        self.changeSeen = entry?.modified ?? .none
                        self.readAt = readAt
                        self.readAt[StoreKey.accessChange] = snapshot.revision
                    }
                    self.took(records, .all, unreadableBefore: self.records?.unreadable ?? [])
                    then(nil)
                }
            }
        }
    }

    private typealias ReadResult = Result<(AccessRecords, [String: StoreRevision]), BrokerError>

    private func read(
        _ prefixes: ArraySlice<String>, into records: AccessRecords, at readAt: [String: StoreRevision],
        then: @escaping @Sendable (ReadResult) -> Void
    ) {
        guard let prefix = prefixes.first else { return then(.success((records, readAt))) }
        let rest = prefixes.dropFirst()
        self.ask(prefix) { result in
            switch result {
            case .failure(let error): then(.failure(error))
            case .success(let snapshot):
                var (records, readAt) = (records, readAt)
                records.read(snapshot)
                readAt[prefix] = snapshot.revision
                self.read(rest, into: records, at: readAt, then: then)
            }
        }
    }

    private func ask(_ prefix: String, then: @escaping @Sendable (Result<StoreSnapshot, BrokerError>) -> Void) {
        self.store.read(prefix: prefix) { result in
            self.loop.execute { then(result.mapError { BrokerError($0) }) }
        }
    }

    // MARK: Following

    private func follow() {
        let first = self.readAt.values.min() ?? .none
        // One watch for all, so that the changes of one commit come together and in order.
        self.watch = self.store.watch(prefix: "", after: first) { changes, revision in
            let ours = changes.filter { Self.prefix(of: $0.key) != nil }
            guard !ours.isEmpty else { return }
            self.loop.execute { self.changed(ours, at: revision) }
        }
    }

    private func changed(_ changes: [StoreChange], at revision: StoreRevision) {
        // Taken out, so that what changes is changed in place and not in a copy of all rules.
        guard var records = self.records.take() else { return }
        let unreadable = records.unreadable
        var changed = Changed()
        var fresh: [StoreChange] = []
        for change in changes {
            guard let prefix = Self.prefix(of: change.key), revision > self.readAt[prefix] ?? .none else { continue }
            switch prefix {
            case StoreKey.accessChange: self.changeSeen = revision
            case AclRecord.prefix: changed.acls = true
            case QuotaRecord.prefix: changed.quotas = true
            case AccessKeyRecord.prefix: changed.keys = true
            default: changed.users = true
            }
            if prefix != StoreKey.accessChange { fresh.append(change) }
        }
        records.apply(fresh, at: revision)
        self.took(records, changed, unreadableBefore: unreadable)
        if let committed = self.committed, committed.revision <= revision { self.ended(committed.fate, nil) }
    }

    private func took(_ records: AccessRecords, _ changed: Changed, unreadableBefore known: Set<String>) {
        for key in records.unreadable.subtracting(known) {
            self.logger.error(
                "a rule, user or quota can not be read; while it is a rule, only super users may do anything",
                metadata: ["key": "\(key)"])
        }
        self.records = records
        self.publish(records, changed)
    }

    private static func prefix(of key: String) -> String? {
        if key == StoreKey.accessChange { return StoreKey.accessChange }
        return AccessRecords.prefixes.first { key.hasPrefix($0) }
    }

    // MARK: Changing

    /// From any thread.
    func submit(_ request: Request) {
        self.loop.execute { self.enqueue(request) }
    }

    private func enqueue(_ request: Request) {
        guard self.waiting.count < Limits.registryRequestsWaitingMax else {
            return request.refuse(.overloaded("too many requests wait for the coordinator store"))
        }
        self.waiting.append(request)
        guard !self.isCommitting, !self.isFlushScheduled else { return }
        self.isFlushScheduled = true
        // At the end of this tick, so that what arrives in it goes together.
        self.loop.execute {
            self.isFlushScheduled = false
            self.flush()
        }
    }

    private func flush() {
        guard !self.isCommitting, !self.waiting.isEmpty else { return }
        var requests: [Request] = []
        while requests.count < Limits.accessRequestsPerCommitMax, let request = self.waiting.popFirst() {
            requests.append(request)
        }
        self.commit(requests, triesLeft: Limits.accessConflictsMax)
    }

    /// Decides on a draft, each request seeing what those before it did.
    private func commit(_ requests: [Request], triesLeft: Int) {
        guard var draft = self.records else { preconditionFailure("decided before the store was read") }
        self.isCommitting = true
        var changes: [StoreChange] = []
        var answers: [(BrokerError?) -> Void] = []
        for (index, request) in requests.enumerated() {
            let decided = request.decide(draft)
            // After the last nobody looks, and the first change to the draft is a copy of all rules.
            if index + 1 < requests.count { draft.apply(decided.changes, at: draft.revision) }
            changes += decided.changes
            answers.append(decided.answer)
        }
        let fate = Fate(requests: requests, answers: answers)
        guard !changes.isEmpty else { return self.ended(fate, nil) }
        let transaction = StoreTransaction(
            conditions: [StoreTransaction.Condition(key: StoreKey.accessChange, modified: self.changeSeen)],
            changes: changes + [.put(key: StoreKey.accessChange, value: [1])])
        self.store.commit(transaction) { result in
            self.loop.execute { self.finished(fate, result, triesLeft: triesLeft) }
        }
    }

    private func finished(_ fate: Fate, _ result: Result<StoreRevision, StoreError>, triesLeft: Int) {
        switch result {
        case .success(let revision) where self.changeSeen < revision: self.committed = (revision, fate)
        case .success: self.ended(fate, nil)
        case .failure(.conflict) where triesLeft > 0:
            // Another broker was faster. Its change may not have come to us yet, so it is read.
            self.readAll { error in
                if let error { return self.ended(fate, error) }
                self.commit(fate.requests, triesLeft: triesLeft - 1)
            }
        case .failure(let error): self.ended(fate, BrokerError(error))
        }
    }

    private func ended(_ fate: Fate, _ error: BrokerError?) {
        self.isCommitting = false
        self.committed = nil
        for answer in fate.answers { answer(error) }
        self.flush()
    }

    /// A commit on its way. Touched on the loop only, hence unchecked.
    private final class Fate: @unchecked Sendable {
        let requests: [Request]
        let answers: [(BrokerError?) -> Void]

        init(requests: [Request], answers: [(BrokerError?) -> Void]) {
            self.requests = requests
            self.answers = answers
        }
    }
}

extension StoreChange {
    fileprivate var key: String {
        switch self {
        case .put(let key, _), .delete(let key): key
        }
    }
}
