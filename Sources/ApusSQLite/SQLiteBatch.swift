import ApusCore
import GRDB

/// Transactions that were waiting together: each holds or fails by its own conditions, seeing what those before it
/// did; all that hold are made durable by one sync.
struct SQLiteBatch {
    /// Commits of one batch; more wait for the next.
    static let commitsMax = 1024

    struct Commit: Sendable {
        var transaction: StoreTransaction
        var then: @Sendable (Result<StoreRevision, StoreError>) -> Void
    }

    struct Outcome {
        /// One for each transaction, in order.
        var answers: [Result<StoreRevision, StoreError>] = []
        /// What was changed, in order.
        var applied: [(changes: [StoreChange], revision: StoreRevision)] = []
        /// The store must take no more commits.
        var failure: StoreError?
    }

    private let transactions: [StoreTransaction]

    init(_ transactions: [StoreTransaction]) {
        self.transactions = transactions
    }

    func run(on database: Database) -> Outcome {
        var outcome = Outcome()
        var isCommitting = false
        do {
            try database.inTransaction(.immediate) {
                var revision = try SQLiteRows.revision(of: database)
                for transaction in self.transactions {
                    outcome.answers.append(try self.run(transaction, &revision, &outcome.applied, database))
                }
                isCommitting = true
                guard !outcome.applied.isEmpty else { return .rollback }
                try SQLiteRows.set(revision, in: database)
                return .commit
            }
            return outcome
        } catch let error as SQLiteRows.Damage {
            return self.failed(SQLiteFailure(corrupt: error.text))
        } catch {
            return self.failed(SQLiteFailure(error, isCommitting: isCommitting))
        }
    }

    private func run(
        _ transaction: StoreTransaction, _ revision: inout StoreRevision,
        _ applied: inout [(changes: [StoreChange], revision: StoreRevision)], _ database: Database
    ) throws -> Result<StoreRevision, StoreError> {
        for condition in transaction.conditions {
            let modified = try SQLiteRows.modified(condition.key, in: database) ?? .none
            guard modified == condition.modified else { return .failure(.conflict(key: condition.key)) }
        }
        guard !transaction.changes.isEmpty else { return .success(revision) }
        revision = StoreRevision(rawValue: revision.rawValue + 1)
        for change in transaction.changes { try SQLiteRows.apply(change, at: revision, to: database) }
        applied.append((transaction.changes, revision))
        return .success(revision)
    }

    /// Nothing of the batch holds, not even the conflicts: they were judged against what was rolled back.
    private func failed(_ failure: SQLiteFailure) -> Outcome {
        Outcome(
            answers: self.transactions.map { _ in .failure(failure.error) },
            failure: failure.isFinal ? failure.error : nil
        )
    }
}
