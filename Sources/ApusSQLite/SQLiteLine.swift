import GRDB
import Synchronization

/// Requests to one database, done in the order in which they came, on a serial queue of its own; with what ends it.
///
/// After an I/O error no more changes are taken: what SQLite then believes to be in its log may not be on the disk, and
/// a later sync may lie about it. Opening it again folds the log into the database before anything else.
final class SQLiteLine<Request: Sendable, Failure: Error>: Sendable {
    private struct State {
        var waiting: [Request] = []
        var isScheduled = false
        var failure: Failure?
        var changesSinceCheckpoint = 0
    }

    let database: DatabaseQueue
    private let state = Mutex(State())

    init(_ database: DatabaseQueue) {
        self.database = database
    }

    /// Why no change is taken any more.
    var failure: Failure? {
        get { self.state.withLock { $0.failure } }
        set { self.state.withLock { $0.failure = $0.failure ?? newValue } }
    }

    /// Hands the request over. `run` gets it on the queue, with all that came meanwhile.
    func ask(_ request: Request, run: @escaping @Sendable ([Request], Database) -> Void) {
        let mustSchedule = self.state.withLock { state in
            state.waiting.append(request)
            defer { state.isScheduled = true }
            return !state.isScheduled
        }
        guard mustSchedule else { return }
        self.database.asyncWriteWithoutTransaction { self.runWaiting(on: $0, run) }
    }

    /// Does what is waiting, folds the log into the database and lets go of the files. Blocking; nothing may be asked
    /// afterwards.
    func close(run: ([Request], Database) -> Void) throws(SQLiteStoreError) {
        do {
            try self.database.writeWithoutTransaction { database in
                self.runWaiting(on: database, run)
                if self.failure == nil, !database.configuration.readonly { _ = try database.checkpoint(.truncate) }
            }
            try self.database.close()
        } catch {
            throw .unavailable(path: self.database.path, "\(error)")
        }
    }

    /// Folds the log into the database now and then. SQLite would do it by itself, but would keep a failure of that to
    /// itself too: the next checkpoint would find the lost pages clean and throw the log away.
    func changed(_ count: Int, in database: Database, failed: (any Error) -> Failure?) {
        let isDue = self.state.withLock { state in
            state.changesSinceCheckpoint += count
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
            if let failure = failed(error) { self.failure = failure }
        }
    }

    private func runWaiting(on database: Database, _ run: ([Request], Database) -> Void) {
        while true {
            let requests = self.state.withLock { state in
                let requests = state.waiting
                state.waiting = []
                if requests.isEmpty { state.isScheduled = false }
                return requests
            }
            if requests.isEmpty { return }
            run(requests, database)
        }
    }
}
