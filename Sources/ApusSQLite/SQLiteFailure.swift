import ApusCore
import GRDB

/// What an error of SQLite means for the commits it ended.
struct SQLiteFailure {
    let error: StoreError
    /// The store can not be trusted with another commit.
    let isFinal: Bool

    /// `isCommitting`: the error came from the COMMIT itself, so the device may have the change or not.
    init(_ error: any Error, isCommitting: Bool) {
        guard let error = error as? DatabaseError else {
            self.error = .unavailable("\(error)")
            self.isFinal = true
            return
        }
        let text = "SQLite: \(error.message ?? "no message") (\(error.extendedResultCode))"
        switch error.resultCode {
        case .SQLITE_BUSY, .SQLITE_LOCKED, .SQLITE_FULL, .SQLITE_READONLY, .SQLITE_CANTOPEN, .SQLITE_PERM,
            .SQLITE_TOOBIG, .SQLITE_NOMEM, .SQLITE_INTERRUPT:
            // Rolled back whole; the next one may work.
            self.error = .unavailable(text)
            self.isFinal = false
        case .SQLITE_CORRUPT, .SQLITE_NOTADB:
            self.error = .corrupt(text)
            self.isFinal = true
        default:
            self.error = isCommitting ? .unknown(text) : .unavailable(text)
            self.isFinal = true
        }
    }

    init(corrupt text: String) {
        self.error = .corrupt(text)
        self.isFinal = true
    }
}
