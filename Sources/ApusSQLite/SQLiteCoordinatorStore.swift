package import ApusCore
import GRDB
import Synchronization

/// The coordinator store of a broker that is alone: keys, values and revisions in one SQLite file.
///
/// Durable means synced: write-ahead log with `synchronous=FULL`, so a commit that was answered survives a power cut.
/// Everything happens on one serial queue of its own, in the order in which it was asked. Commits that come while one
/// is being synced share the next sync (each still holds or fails by itself), so a hundred thousand topics do not cost
/// a hundred thousand syncs.
///
/// After an I/O error the store takes no more commits: what SQLite then believes to be in its log may not be on the
/// disk, and a later sync may lie about it. Opening it again folds the log into the database before anything else.
package final class SQLiteCoordinatorStore: CoordinatorStore {
    private enum Request: Sendable {
        case read(prefix: String, then: @Sendable (Result<StoreSnapshot, StoreError>) -> Void)
        case commit(StoreTransaction, then: @Sendable (Result<StoreRevision, StoreError>) -> Void)
        case watch(StoreWatcher, after: StoreRevision)
    }

    private struct State {
        var waiting: [Request] = []
        var isScheduled = false
        var history: StoreHistory
        /// Why no commit is taken any more.
        var failure: StoreError?
        var changesSinceCheckpoint = 0
    }

    private let database: DatabaseQueue
    private let state: Mutex<State>

    /// Opens the store in this file, making it when there is none unless `mustExist`. Blocking.
    package init(at path: String, mustExist: Bool = false) throws(SQLiteStoreError) {
        let (database, revision) = try SQLiteSchema.open(path, mustExist: mustExist)
        self.database = database
        self.state = Mutex(State(history: StoreHistory(startingAt: revision)))
    }

    /// Does what is waiting, folds the log into the database and lets go of the files. Blocking; nothing may be asked
    /// afterwards.
    package func close() throws(SQLiteStoreError) {
        do {
            try self.database.writeWithoutTransaction { database in
                self.runWaiting(on: database)
                if self.state.withLock({ $0.failure }) == nil { _ = try database.checkpoint(.truncate) }
            }
            try self.database.close()
        } catch {
            throw .unavailable(path: self.database.path, "\(error)")
        }
    }

    // MARK: Asking

    package func read(prefix: String, then: @escaping @Sendable (Result<StoreSnapshot, StoreError>) -> Void) {
        self.ask(.read(prefix: prefix, then: then))
    }

    package func commit(
        _ transaction: StoreTransaction, then: @escaping @Sendable (Result<StoreRevision, StoreError>) -> Void
    ) {
        self.ask(.commit(transaction, then: then))
    }

    /// `onChange` runs on the store's queue: it hands over and returns.
    ///
    /// `revision` comes from a read or commit of this process, not long ago: what happened before the store was opened,
    /// and more than ``StoreHistory/changesMax`` changes ago, is not kept.
    package func watch(
        prefix: String, after revision: StoreRevision,
        onChange: @escaping @Sendable ([StoreChange], StoreRevision) -> Void
    ) -> any StoreWatch {
        let watcher = StoreWatcher(prefix: prefix, onChange: onChange)
        self.ask(.watch(watcher, after: revision))
        return watcher
    }

    private func ask(_ request: Request) {
        let mustSchedule = self.state.withLock { state in
            state.waiting.append(request)
            defer { state.isScheduled = true }
            return !state.isScheduled
        }
        guard mustSchedule else { return }
        self.database.asyncWriteWithoutTransaction { database in
            self.runWaiting(on: database)
        }
    }

    // MARK: On the queue

    private func runWaiting(on database: Database) {
        while true {
            let requests = self.state.withLock { state in
                let requests = state.waiting
                state.waiting = []
                if requests.isEmpty { state.isScheduled = false }
                return requests
            }
            if requests.isEmpty { return }
            self.run(requests, on: database)
        }
    }

    /// In order, but commits that follow one another become one transaction of the database, with one sync.
    private func run(_ requests: [Request], on database: Database) {
        var commits: [SQLiteBatch.Commit] = []
        for request in requests {
            if case .commit(let transaction, let then) = request {
                commits.append(SQLiteBatch.Commit(transaction: transaction, then: then))
                if commits.count < SQLiteBatch.commitsMax { continue }
            }
            self.run(&commits, on: database)
            switch request {
            case .commit: continue
            case .read(let prefix, let then): then(SQLiteRows.read(prefix: prefix, from: database))
            case .watch(let watcher, let revision):
                let missed = self.state.withLock { $0.history.add(watcher, after: revision) }
                for (changes, revision) in missed { watcher.tell(changes, revision) }
            }
        }
        self.run(&commits, on: database)
    }

    private func run(_ commits: inout [SQLiteBatch.Commit], on database: Database) {
        guard !commits.isEmpty else { return }
        defer { commits.removeAll() }
        if let failure = self.state.withLock({ $0.failure }) {
            for commit in commits { commit.then(.failure(failure)) }
            return
        }
        let outcome = SQLiteBatch(commits.map(\.transaction)).run(on: database)
        let watchers = self.state.withLock { state in
            if let failure = outcome.failure { state.failure = failure }
            for applied in outcome.applied {
                state.changesSinceCheckpoint += applied.changes.count
                state.history.append(applied.changes, at: applied.revision)
            }
            return state.history.watchers
        }
        for applied in outcome.applied {
            for watcher in watchers { watcher.tell(applied.changes, applied.revision) }
        }
        for (commit, answer) in zip(commits, outcome.answers) { commit.then(answer) }
        self.checkpointWhenDue(database)
    }

    /// Folds the log into the database now and then. SQLite would do it by itself, but would keep a failure of that to
    /// itself too: the next checkpoint would find the lost pages clean and throw the log away.
    private func checkpointWhenDue(_ database: Database) {
        let isDue = self.state.withLock { state in
            guard state.failure == nil, state.changesSinceCheckpoint >= SQLiteSchema.checkpointChanges else {
                return false
            }
            state.changesSinceCheckpoint = 0
            return true
        }
        guard isDue else { return }
        do {
            _ = try database.checkpoint(.passive)
        } catch {
            let failure = SQLiteFailure(error, isCommitting: false)
            if failure.isFinal { self.state.withLock { $0.failure = failure.error } }
        }
    }
}
