import ApusCore
import GRDB

/// What is stored can not have been written by us.
struct CatalogueDamage: Error {
    let text: String
}

/// What an error of SQLite means for the changes it ended.
struct CatalogueFailure {
    let error: CatalogueError
    /// The catalogue can not be trusted with another change.
    let isFinal: Bool

    /// `isCommitting`: the error came from the COMMIT itself, so the device may have the change or not.
    init(_ error: any Error, isCommitting: Bool) {
        switch error {
        case let error as CatalogueError: self.init(error, isFinal: false)
        case let damage as CatalogueDamage: self.init(.corrupt(damage.text), isFinal: true)
        case let error as DatabaseError: self.init(error, isCommitting)
        default: self.init(.unavailable("\(error)"), isFinal: true)
        }
    }

    private init(_ error: DatabaseError, _ isCommitting: Bool) {
        let text = "SQLite: \(error.message ?? "no message") (\(error.extendedResultCode))"
        switch error.resultCode {
        // These are rolled back whole; the next one may work.
        case .SQLITE_BUSY, .SQLITE_LOCKED: self.init(.busy(text), isFinal: false)
        case .SQLITE_FULL: self.init(.full(text), isFinal: false)
        case .SQLITE_READONLY, .SQLITE_PERM: self.init(.readOnly(text), isFinal: false)
        case .SQLITE_CANTOPEN, .SQLITE_TOOBIG, .SQLITE_NOMEM, .SQLITE_INTERRUPT:
            self.init(.unavailable(text), isFinal: false)
        case .SQLITE_CORRUPT, .SQLITE_NOTADB: self.init(.corrupt(text), isFinal: true)
        // The rules of ApusCore are checked before: a row that breaks a constraint means that what is there is not what
        // we wrote.
        case .SQLITE_CONSTRAINT, .SQLITE_MISMATCH: self.init(.corrupt(text), isFinal: true)
        default: self.init(isCommitting ? .unknown(text) : .unavailable(text), isFinal: true)
        }
    }

    private init(_ error: CatalogueError, isFinal: Bool) {
        self.error = error
        self.isFinal = isFinal
    }
}
