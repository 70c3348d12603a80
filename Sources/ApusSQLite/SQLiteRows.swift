import ApusCore
import CApus
import Foundation
import GRDB

/// Keys and values as rows. SQLite does not notice a flipped bit inside a value, so each row carries a CRC-32C of all
/// that it says.
enum SQLiteRows {
    struct Damage: Error {
        let text: String
    }

    static func revision(of database: Database) throws -> StoreRevision {
        guard let revision = try Int64.fetchOne(database, sql: "SELECT revision FROM counter"), revision >= 0 else {
            throw Damage(text: "the revision is missing")
        }
        return StoreRevision(rawValue: revision)
    }

    static func read(prefix: String, from database: Database) -> Result<StoreSnapshot, StoreError> {
        do {
            let revision = try self.revision(of: database)
            let statement = try self.select(prefix, database)
            var entries: [StoreEntry] = []
            let rows = try Row.fetchCursor(statement)
            while let row = try rows.next() { entries.append(try self.entry(row, upTo: revision)) }
            return .success(StoreSnapshot(entries: entries, revision: revision))
        } catch let error as Damage {
            return .failure(.corrupt(error.text))
        } catch {
            return .failure(SQLiteFailure(error, isCommitting: false).error)
        }
    }

    /// Nil: there is no such key.
    static func modified(_ key: String, in database: Database) throws -> StoreRevision? {
        let statement = try database.cachedStatement(sql: "SELECT modified FROM kv WHERE key = ?")
        return try Int64.fetchOne(statement, arguments: [Data(key.utf8)]).map(StoreRevision.init)
    }

    static func apply(_ change: StoreChange, at revision: StoreRevision, to database: Database) throws {
        switch change {
        case .put(let key, let value):
            let statement = try database.cachedStatement(sql: "REPLACE INTO kv VALUES (?, ?, ?, ?)")
            let checksum = Int64(self.checksum(Array(key.utf8), value, revision.rawValue))
            try statement.execute(arguments: [Data(key.utf8), Data(value), revision.rawValue, checksum])
        case .delete(let key):
            let statement = try database.cachedStatement(sql: "DELETE FROM kv WHERE key = ?")
            try statement.execute(arguments: [Data(key.utf8)])
        }
    }

    static func set(_ revision: StoreRevision, in database: Database) throws {
        let statement = try database.cachedStatement(sql: "UPDATE counter SET revision = ?")
        try statement.execute(arguments: [revision.rawValue])
    }

    private static func select(_ prefix: String, _ database: Database) throws -> Statement {
        let columns = "SELECT key, value, modified, checksum FROM kv"
        var end = Array(prefix.utf8)
        // UTF-8 has no byte 0xFF, so the last one can always be raised.
        guard let last = end.popLast() else { return try database.cachedStatement(sql: "\(columns) ORDER BY key") }
        end.append(last + 1)
        let statement = try database.cachedStatement(sql: "\(columns) WHERE key >= ? AND key < ? ORDER BY key")
        try statement.setArguments([Data(prefix.utf8), Data(end)])
        return statement
    }

    private static func entry(_ row: Row, upTo revision: StoreRevision) throws -> StoreEntry {
        guard
            let key = Data.fromDatabaseValue(row[0]), let value = Data.fromDatabaseValue(row[1]),
            let modified = Int64.fromDatabaseValue(row[2]), let checksum = Int64.fromDatabaseValue(row[3]),
            let name = String(bytes: key, encoding: .utf8)
        else { throw Damage(text: "a row is not of our form") }
        let bytes = Array(value)
        guard checksum == Int64(self.checksum(Array(key), bytes, modified)), modified <= revision.rawValue else {
            throw Damage(text: "the entry \(name) has the wrong checksum")
        }
        return StoreEntry(key: name, value: bytes, modified: StoreRevision(rawValue: modified))
    }

    private static func checksum(_ key: [UInt8], _ value: [UInt8], _ modified: Int64) -> UInt32 {
        let crc = withUnsafeBytes(of: modified.littleEndian) { capus_crc32c(0, $0.baseAddress, $0.count) }
        // The key's length is in it too, so that no byte can move between key and value.
        let length = withUnsafeBytes(of: UInt64(key.count).littleEndian) { capus_crc32c(crc, $0.baseAddress, $0.count) }
        let named = key.withUnsafeBytes { capus_crc32c(length, $0.baseAddress, $0.count) }
        return value.withUnsafeBytes { capus_crc32c(named, $0.baseAddress, $0.count) }
    }
}
