import ApusCore
import GRDB
import Glibc

/// The file's format, and what is checked before it is trusted.
enum SQLiteSchema {
    /// "APUS": SQLite keeps it in the file's header, for `file` and for us.
    private static let applicationID = 0x4150_5553
    static let version = 1
    /// Changes between two checkpoints: some megabytes of log.
    static let checkpointChanges = 4096

    private static let tables = """
        CREATE TABLE kv (
            key BLOB NOT NULL PRIMARY KEY,
            value BLOB NOT NULL,
            modified INTEGER NOT NULL,
            checksum INTEGER NOT NULL
        ) WITHOUT ROWID;
        CREATE TABLE counter (one INTEGER PRIMARY KEY CHECK (one = 1), revision INTEGER NOT NULL);
        INSERT INTO counter VALUES (1, 0);
        PRAGMA application_id = \(applicationID);
        PRAGMA user_version = \(version);
        """

    /// The open database and its revision.
    static func open(_ path: String, mustExist: Bool) throws(SQLiteStoreError) -> (DatabaseQueue, StoreRevision) {
        var status = stat()
        // SQLite would take an empty file for an empty database.
        if mustExist, stat(path, &status) != 0 || status.st_size == 0 { throw .missing(path: path) }
        var configuration = Configuration()
        configuration.label = "apus-store"
        configuration.busyMode = .timeout(2)
        configuration.foreignKeysEnabled = false
        do {
            let database = try DatabaseQueue(path: path, configuration: configuration)
            let revision = try database.writeWithoutTransaction { database in
                try self.check(database, path)
                return try self.prepare(database, path)
            }
            return (database, revision)
        } catch let error as SQLiteStoreError {
            throw error
        } catch let error as DatabaseError where [.SQLITE_CORRUPT, .SQLITE_NOTADB].contains(error.resultCode) {
            throw .damaged(path: path, error.message ?? "no message")
        } catch {
            throw .unavailable(path: path, "\(error)")
        }
    }

    /// Changes nothing: whose file is it, and is it whole?
    private static func check(_ database: Database, _ path: String) throws {
        let isNew = try Int.fetchOne(database, sql: "SELECT count(*) FROM sqlite_master") == 0
        let owner = try Int.fetchOne(database, sql: "PRAGMA application_id")
        if !isNew {
            guard owner == self.applicationID else { throw SQLiteStoreError.foreign(path: path) }
            let version = try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0
            guard version <= self.version else { throw SQLiteStoreError.newerFormat(path: path, version: version) }
        } else if owner != 0, owner != self.applicationID {
            throw SQLiteStoreError.foreign(path: path)
        }
        let verdict = try String.fetchOne(database, sql: "PRAGMA quick_check(1)")
        guard verdict == "ok" else { throw SQLiteStoreError.damaged(path: path, verdict ?? "the check said nothing") }
    }

    private static func prepare(_ database: Database, _ path: String) throws -> StoreRevision {
        try database.execute(sql: "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0")
        // SQLite may decline either without an error, and a commit would then promise what it does not keep.
        guard
            try String.fetchOne(database, sql: "PRAGMA journal_mode") == "wal",
            try Int.fetchOne(database, sql: "PRAGMA synchronous") == 2
        else { throw SQLiteStoreError.unavailable(path: path, "the file system does not let SQLite keep a log") }
        // The log may hold pages of which a sync failed in the last life: the kernel shows them, the disk does not have
        // them. Written into the database and synced there, they are worth what they seem.
        _ = try database.checkpoint(.truncate)
        if try Int.fetchOne(database, sql: "SELECT count(*) FROM sqlite_master") == 0 {
            try database.inTransaction(.immediate) {
                try database.execute(sql: self.tables)
                return .commit
            }
        }
        return try SQLiteRows.revision(of: database)
    }
}
