package import ApusCore
import GRDB
import Synchronization

/// The coordinator store of a broker that is alone: keys, values and revisions in one SQLite file.
///
/// Durable means synced: write-ahead log with `synchronous=FULL`, so a commit that was answered survives a power cut.
/// Everything happens on one serial queue of its own, in the order in which it was asked. Commits that come while one
/// is being synced share the next sync (each still holds or fails by itself), so a hundred thousand topics do not cost
/// a hundred thousand syncs.
package final class SQLiteCoordinatorStore: CoordinatorStore {
    private enum Request: Sendable {
        case read(prefix: String, then: @Sendable (Result<StoreSnapshot, StoreError>) -> Void)
        case commit(StoreTransaction, then: @Sendable (Result<StoreRevision, StoreError>) -> Void)
        case watch(StoreWatcher, after: StoreRevision)
    }

    private let line: SQLiteLine<Request, StoreError>
    private let history: Mutex<StoreHistory>

    /// Opens the store in this file, making it when there is none unless `mustExist`. Blocking.
    package init(at path: String, mustExist: Bool = false) throws(SQLiteStoreError) {
        let database = try SQLiteFile.open(path, SQLiteSchema.format, mustExist: mustExist)
        let revision: StoreRevision
        do {
            revision = try database.writeWithoutTransaction { try SQLiteRows.revision(of: $0) }
        } catch let error as SQLiteRows.Damage {
            throw .damaged(path: path, error.text)
        } catch {
            throw .unavailable(path: path, "\(error)")
        }
        self.line = SQLiteLine(database)
        self.history = Mutex(StoreHistory(startingAt: revision))
    }

    /// Does what is waiting, folds the log into the database and lets go of the files. Blocking; nothing may be asked
    /// afterwards.
    package func close() throws(SQLiteStoreError) {
        try self.line.close { self.run($0, on: $1) }
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
        self.line.ask(request) { self.run($0, on: $1) }
    }

    // MARK: On the queue

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
                let missed = self.history.withLock { $0.add(watcher, after: revision) }
                for (changes, revision) in missed { watcher.tell(changes, revision) }
            }
        }
        self.run(&commits, on: database)
    }

    private func run(_ commits: inout [SQLiteBatch.Commit], on database: Database) {
        guard !commits.isEmpty else { return }
        defer { commits.removeAll() }
        if let failure = self.line.failure {
            for commit in commits { commit.then(.failure(failure)) }
            return
        }
        let outcome = SQLiteBatch(commits.map(\.transaction)).run(on: database)
        if let failure = outcome.failure { self.line.failure = failure }
        let watchers = self.history.withLock { history in
            for applied in outcome.applied { history.append(applied.changes, at: applied.revision) }
            return history.watchers
        }
        for applied in outcome.applied {
            for watcher in watchers { watcher.tell(applied.changes, applied.revision) }
        }
        for (commit, answer) in zip(commits, outcome.answers) { commit.then(answer) }
        self.line.changed(outcome.applied.reduce(0) { $0 + $1.changes.count }, in: database) { error in
            let failure = SQLiteFailure(error, isCommitting: false)
            return failure.isFinal ? failure.error : nil
        }
    }
}
