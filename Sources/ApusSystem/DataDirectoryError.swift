package import ApusCore

/// Why a data directory was refused. Nothing in it was changed, made or deleted. Each reads as one clear line.
package enum DataDirectoryError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Another process serves it now.
    case inUse(path: String, process: Int32?)
    case notADirectory(path: String)
    /// The directory to make it in is missing, or may not be written.
    case cannotCreate(path: String, String)
    case notWritable(path: String)
    case wrongOwner(path: String, owner: UInt32, us: UInt32)
    /// It holds something, and nothing says that it is ours.
    case notOurs(path: String, found: String)
    /// It holds our data, but not the file that says whose.
    case identityMissing(path: String)
    case identityDamaged(path: String, String)
    case newerFormat(path: String, format: Int)
    case otherBroker(path: String, found: BrokerID, expected: BrokerID)
    case otherCluster(path: String, found: String, expected: String)
    /// It should hold data, and is empty or missing: perhaps its disk is not mounted.
    case emptyButExpected(path: String)
    case failed(path: String, String)

    package var description: String {
        switch self {
        case .inUse(let path, let process):
            let who = process.map { "process \($0)" } ?? "another process"
            return "data directory \(path) is in use by \(who)"
        case .notADirectory(let path): return "\(path) is not a directory"
        case .cannotCreate(let path, let why): return "cannot make the data directory \(path): \(why)"
        case .notWritable(let path): return "data directory \(path) cannot be written by this user"
        case .wrongOwner(let path, let owner, let us):
            return "data directory \(path) belongs to user \(owner), this process runs as user \(us)"
        case .notOurs(let path, let found):
            return "directory \(path) is not empty (\(found)) and holds no Apus data: choose another"
        case .identityMissing(let path):
            return "data directory \(path) holds data, but no \(DirectoryIdentity.fileName): put it back from a copy"
        case .identityDamaged(let path, let what):
            return "\(path)/\(DirectoryIdentity.fileName) is damaged (\(what)): put it back from a copy"
        case .newerFormat(let path, let format):
            return "data directory \(path) has format \(format), which a newer apus wrote; this one knows "
                + "\(DirectoryIdentity.formatVersion)"
        case .otherBroker(let path, let found, let expected):
            return "data directory \(path) is broker \(found)'s, this is broker \(expected)"
        case .otherCluster(let path, let found, let expected):
            return "data directory \(path) is of cluster \(found), this broker is of cluster \(expected)"
        case .emptyButExpected(let path):
            return "data directory \(path) must hold data and does not: is its disk mounted?"
        case .failed(let path, let what): return "data directory \(path): \(what)"
        }
    }
}
