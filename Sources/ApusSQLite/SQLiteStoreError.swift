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
    /// Locked, no space, or the device failed.
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
        case .unavailable(let path, let what): "\(path) cannot be used: \(what)"
        }
    }
}
