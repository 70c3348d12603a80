import ApusCore
import GRDB
import Glibc

/// What a database of ours looks like.
struct SQLiteFormat: Sendable {
    /// Of its queue, for debuggers.
    var label: String
    /// SQLite keeps it in the file's header, for `file` and for us.
    var applicationID: Int
    /// From each format version to the next, from nothing on. Never change one that was released: append.
    var migrations: [String]
    var hasForeignKeys = false
    /// The file grows no further.
    var bytesMax: ByteCount?
    /// The pragma that looks for damage, and answers "ok".
    var check = "quick_check(1)"
    /// For the error: what is lost with the file.
    var content: String

    var version: Int { self.migrations.count }
}

/// Opens a database of ours: whose file is it, is it whole, is what SQLite promises kept?
enum SQLiteFile {
    /// - Parameter isReadOnly: reads only, and makes or migrates nothing.
    static func open(
        _ path: String, _ format: SQLiteFormat, mustExist: Bool, isReadOnly: Bool = false
    ) throws(SQLiteStoreError) -> DatabaseQueue {
        var status = stat()
        // SQLite would take an empty file for an empty database.
        if mustExist || isReadOnly, stat(path, &status) != 0 || status.st_size == 0 {
            throw .missing(path: path, content: format.content)
        }
        if !mustExist, !isReadOnly { self.makeForOwner(path) }
        var configuration = Configuration()
        configuration.label = format.label
        configuration.busyMode = .timeout(2)
        configuration.foreignKeysEnabled = format.hasForeignKeys
        configuration.readonly = isReadOnly
        do {
            let database = try DatabaseQueue(
                path: self.name(of: path, isReadOnly: isReadOnly), configuration: configuration)
            try database.writeWithoutTransaction { database in
                let version = try self.check(database, path, format)
                if isReadOnly {
                    guard version == format.version else {
                        throw SQLiteStoreError.unavailable(path: path, "it has an old format and cannot be written to")
                    }
                } else {
                    try self.prepare(database, path, format)
                    try self.migrate(database, from: version, format)
                }
            }
            return database
        } catch {
            throw SQLiteStoreError(error, at: path)
        }
    }

    /// What SQLite is told to open.
    ///
    /// On a file system that takes no changes SQLite can not make the shared memory that goes with a log, and would not
    /// even read. Where there is no log, there is nothing to be shared: then it is told that nothing changes.
    private static func name(of path: String, isReadOnly: Bool) -> String {
        // SQLite keeps the log beside the file itself, not beside a link to it.
        var path = path
        if let real = realpath(path, nil) {
            path = String(cString: real)
            free(real)
        }
        let directory = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
        var log = stat()
        guard isReadOnly, access(directory, W_OK) != 0, stat(path + "-wal", &log) != 0 || log.st_size == 0 else {
            return path
        }
        // In a URI these have a meaning (RFC 3986).
        let escaped = path.replacing("%", with: "%25").replacing("?", with: "%3f").replacing("#", with: "%23")
        return "file:\(escaped)?immutable=1"
    }

    /// What is in it (hashes of passwords, who may do what) is nobody's but the owner's: the file is there, with no
    /// right for others, before SQLite makes one that all may read. Its log gets the same rights from SQLite. What goes
    /// wrong here goes wrong again when the file is opened, and is told then; a file that is there stays as it is.
    private static func makeForOwner(_ path: String) {
        let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        if descriptor >= 0 { _ = Glibc.close(descriptor) }
    }

    /// Changes nothing. Answers the format's version, 0 for an empty file.
    private static func check(_ database: Database, _ path: String, _ format: SQLiteFormat) throws -> Int {
        let isNew = try Int.fetchOne(database, sql: "SELECT count(*) FROM sqlite_master") == 0
        let owner = try Int.fetchOne(database, sql: "PRAGMA application_id")
        var version = 0
        if !isNew {
            guard owner == format.applicationID else { throw SQLiteStoreError.foreign(path: path) }
            version = try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0
            guard version <= format.version else {
                throw SQLiteStoreError.newerFormat(path: path, version: version, known: format.version)
            }
            guard version > 0 else { throw SQLiteStoreError.damaged(path: path, "it does not tell its format") }
        } else if owner != 0, owner != format.applicationID {
            throw SQLiteStoreError.foreign(path: path)
        }
        let verdict = try String.fetchOne(database, sql: "PRAGMA \(format.check)")
        guard verdict == "ok" else { throw SQLiteStoreError.damaged(path: path, verdict ?? "the check said nothing") }
        if format.hasForeignKeys, try Row.fetchOne(database, sql: "PRAGMA foreign_key_check") != nil {
            throw SQLiteStoreError.damaged(path: path, "an entry refers to one that is not there")
        }
        return version
    }

    private static func prepare(_ database: Database, _ path: String, _ format: SQLiteFormat) throws {
        try database.execute(sql: "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0")
        // SQLite may decline either without an error, and a commit would then promise what it does not keep.
        guard
            try String.fetchOne(database, sql: "PRAGMA journal_mode") == "wal",
            try Int.fetchOne(database, sql: "PRAGMA synchronous") == 2
        else { throw SQLiteStoreError.unavailable(path: path, "the file system does not let SQLite keep a log") }
        if let bytesMax = format.bytesMax {
            let page = max(1, try Int.fetchOne(database, sql: "PRAGMA page_size") ?? 4096)
            try database.execute(sql: "PRAGMA max_page_count = \(max(1, bytesMax.rawValue / page))")
        }
        // The log may hold pages of which a sync failed in the last life: the kernel shows them, the disk does not have
        // them. Written into the database and synced there, they are worth what they seem.
        _ = try database.checkpoint(.truncate)
    }

    /// All steps or none.
    private static func migrate(_ database: Database, from version: Int, _ format: SQLiteFormat) throws {
        guard version < format.version else { return }
        try database.inTransaction(.immediate) {
            for migration in format.migrations[version...] { try database.execute(sql: migration) }
            try database.execute(
                sql: """
                    PRAGMA application_id = \(format.applicationID);
                    PRAGMA user_version = \(format.version);
                    """)
            return .commit
        }
    }
}
