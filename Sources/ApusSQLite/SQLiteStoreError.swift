import GRDB

/// Why a database could not be opened or closed. Each says which file and what a person can do.
package enum SQLiteStoreError: Error, Hashable, Sendable, CustomStringConvertible {
    /// There is no file where one must be.
    case missing(path: String, content: String)
    /// It is a database, but not ours.
    case foreign(path: String)
    /// Written by a newer Apus.
    case newerFormat(path: String, version: Int, known: Int)
    /// Not a database, or a damaged one.
    case damaged(path: String, String)
    /// The file, its directory or its file system takes no changes.
    case readOnly(path: String, String)
    /// Another process has it for itself.
    case locked(path: String, String)
    /// No room on its file system.
    case full(path: String, String)
    /// The device failed, or something else that has no case of its own.
    case unavailable(path: String, String)

    package var description: String {
        switch self {
        case .missing(let path, let content):
            "\(path) is missing: \(content) are in it. Put it back from a copy of the data directory"
        case .foreign(let path): "\(path) is a database of another program"
        case .newerFormat(let path, let version, let known):
            "\(path) has format \(version), which a newer apus wrote; this one knows \(known)"
        case .damaged(let path, let what): "\(path) is damaged: \(what)"
        case .readOnly(let path, let what): "\(path) takes no changes: \(what)"
        case .locked(let path, let what): "\(path) is locked: \(what)"
        case .full(let path, let what): "there is no room for \(path): \(what)"
        case .unavailable(let path, let what): "\(path) cannot be used: \(what)"
        }
    }
}

extension SQLiteStoreError {
    /// What an error of SQLite means for who opens the file.
    init(_ error: any Error, at path: String) {
        if let error = error as? SQLiteStoreError {
            self = error
            return
        }
        guard let error = error as? DatabaseError else {
            self = .unavailable(path: path, "\(error)")
            return
        }
        let message = error.message ?? "no message"
        switch error.resultCode {
        case .SQLITE_CORRUPT, .SQLITE_NOTADB: self = .damaged(path: path, message)
        case .SQLITE_READONLY, .SQLITE_CANTOPEN, .SQLITE_PERM: self = .readOnly(path: path, message)
        case .SQLITE_BUSY, .SQLITE_LOCKED: self = .locked(path: path, message)
        case .SQLITE_FULL: self = .full(path: path, message)
        default: self = .unavailable(path: path, "\(error)")
        }
    }
}
