/// Why the store could not be opened or closed. Each says which file and what a person can do.
package enum SQLiteStoreError: Error, Hashable, Sendable, CustomStringConvertible {
    /// There is no store where one must be.
    case missing(path: String)
    /// It is a database, but not ours.
    case foreign(path: String)
    /// Written by a newer Apus.
    case newerFormat(path: String, version: Int)
    /// Not a database, or a damaged one.
    case damaged(path: String, String)
    /// Locked, read-only, no space, or the device failed.
    case unavailable(path: String, String)

    package var description: String {
        switch self {
        case .missing(let path):
            "\(path) is missing: the names of all topics are in it. Put it back from a copy of the data directory"
        case .foreign(let path): "\(path) is a database of another program"
        case .newerFormat(let path, let version):
            "\(path) has format \(version), which a newer apus wrote; this one knows \(SQLiteSchema.version)"
        case .damaged(let path, let what): "\(path) is damaged: \(what)"
        case .unavailable(let path, let what): "\(path) cannot be used: \(what)"
        }
    }
}
