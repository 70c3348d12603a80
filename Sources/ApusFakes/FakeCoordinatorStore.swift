package import ApusCore
import Synchronization

/// The coordinator store in memory: everything the port promises, and nothing survives.
///
/// Answers and changes come on the thread of the caller, changes in the order of their commits. Watchers must not call
/// back into the store.
package final class FakeCoordinatorStore: CoordinatorStore {
    fileprivate struct Watcher {
        var prefix: String
        var onChange: @Sendable ([StoreChange], StoreRevision) -> Void
    }

    fileprivate struct State {
        /// By bytes: to Swift two spellings of one letter are one string, to a store they are two keys.
        var entries: [[UInt8]: StoreEntry] = [:]
        var revision = StoreRevision.none
        /// For watchers that begin at an older revision.
        var history: [(changes: [StoreChange], revision: StoreRevision)] = []
        var watchers: [Int: Watcher] = [:]
        var watcherNext = 0
        var failure: StoreError?
    }

    fileprivate let state = Mutex(State())
    /// Held while watchers are told, so that they hear of commits in order.
    private let telling = Mutex(())

    package init() {}

    /// Every read and commit fails with this until it is nil again; nothing is changed meanwhile.
    package var failure: StoreError? {
        get { self.state.withLock { $0.failure } }
        set { self.state.withLock { $0.failure = newValue } }
    }

    package func read(prefix: String, then: @escaping @Sendable (Result<StoreSnapshot, StoreError>) -> Void) {
        let answer = self.state.withLock { state -> Result<StoreSnapshot, StoreError> in
            if let failure = state.failure { return .failure(failure) }
            let entries = state.entries.values.filter { $0.key.isUnder(prefix) }
                .sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
            return .success(StoreSnapshot(entries: entries, revision: state.revision))
        }
        then(answer)
    }

    package func commit(
        _ transaction: StoreTransaction, then: @escaping @Sendable (Result<StoreRevision, StoreError>) -> Void
    ) {
        let answer = self.telling.withLock { _ -> Result<StoreRevision, StoreError> in
            let (answer, watchers) = self.state.withLock { $0.commit(transaction) }
            for watcher in watchers { watcher() }
            return answer
        }
        then(answer)
    }

    package func watch(
        prefix: String, after revision: StoreRevision,
        onChange: @escaping @Sendable ([StoreChange], StoreRevision) -> Void
    ) -> any StoreWatch {
        self.telling.withLock { _ in
            let (number, missed) = self.state.withLock { state in
                state.watcherNext += 1
                state.watchers[state.watcherNext] = Watcher(prefix: prefix, onChange: onChange)
                return (state.watcherNext, state.history.filter { $0.revision > revision })
            }
            for (changes, revision) in missed {
                let seen = changes.filter { $0.key.isUnder(prefix) }
                if !seen.isEmpty { onChange(seen, revision) }
            }
            return FakeWatch(store: self, number: number)
        }
    }
}

extension FakeCoordinatorStore.State {
    fileprivate mutating func commit(
        _ transaction: StoreTransaction
    ) -> (Result<StoreRevision, StoreError>, [() -> Void]) {
        if let failure = self.failure { return (.failure(failure), []) }
        for condition in transaction.conditions
        where self.entries[Array(condition.key.utf8)]?.modified ?? .none != condition.modified {
            return (.failure(.conflict(key: condition.key)), [])
        }
        let revision = StoreRevision(rawValue: self.revision.rawValue + 1)
        self.revision = revision
        for change in transaction.changes {
            switch change {
            case .put(let key, let value):
                self.entries[Array(key.utf8)] = StoreEntry(key: key, value: value, modified: revision)
            case .delete(let key): self.entries[Array(key.utf8)] = nil
            }
        }
        self.history.append((transaction.changes, revision))
        let told = self.watchers.sorted { $0.key < $1.key }.compactMap { _, watcher -> (() -> Void)? in
            let seen = transaction.changes.filter { $0.key.isUnder(watcher.prefix) }
            return seen.isEmpty ? nil : { watcher.onChange(seen, revision) }
        }
        return (.success(revision), told)
    }
}

private struct FakeWatch: StoreWatch {
    let store: FakeCoordinatorStore
    let number: Int

    func cancel() {
        self.store.state.withLock { $0.watchers[self.number] = nil }
    }
}

extension StoreChange {
    fileprivate var key: String {
        switch self {
        case .put(let key, _), .delete(let key): key
        }
    }
}

extension String {
    fileprivate func isUnder(_ prefix: String) -> Bool { self.utf8.starts(with: prefix.utf8) }
}
