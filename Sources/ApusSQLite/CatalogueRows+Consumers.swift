import ApusCore
import GRDB

/// Entries as rows.
enum CatalogueRows {
    private static let consumerColumns = "name, details, subscriptions_max, created_at, version, checksum"

    static func consumer(_ name: ConsumerName, in database: Database) throws -> RegisteredConsumer? {
        let statement = try database.cachedStatement(sql: "SELECT \(self.consumerColumns) FROM consumer WHERE name = ?")
        return try Row.fetchOne(statement, arguments: [name.text]).map { try self.consumer($0) }
    }

    static func consumers(
        _ query: ConsumerQuery, _ database: Database
    ) throws -> CataloguePage<RegisteredConsumer, ConsumerName> {
        let version = try CatalogueCounter.mustRead(database).version
        if let named = query.named {
            let found = try self.consumer(named, in: database)
            let isAsked = query.after.map { $0 < named } ?? true
            return CataloguePage(items: isAsked ? found.map { [$0] } ?? [] : [], next: nil, version: version)
        }
        let limit = self.held(query.limit)
        let statement = try database.cachedStatement(
            sql: "SELECT \(self.consumerColumns) FROM consumer WHERE name > ? ORDER BY name LIMIT ?")
        let rows = try Row.fetchCursor(statement, arguments: [query.after?.text ?? "", limit + 1])
        var items: [RegisteredConsumer] = []
        while let row = try rows.next() {
            if items.count == limit {
                return CataloguePage(items: items, next: items.last?.consumer.name, version: version)
            }
            items.append(try self.consumer(row))
        }
        return CataloguePage(items: items, next: nil, version: version)
    }

    static func put(_ entry: RegisteredConsumer, in database: Database) throws {
        // Not REPLACE: that would delete the row, and subscriptions refer to it.
        let statement = try database.cachedStatement(
            sql: """
                INSERT INTO consumer VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET
                    details = excluded.details, subscriptions_max = excluded.subscriptions_max,
                    created_at = excluded.created_at, version = excluded.version, checksum = excluded.checksum
                """)
        try statement.execute(arguments: [
            entry.consumer.name.text, entry.consumer.details, entry.consumer.subscriptionsMax,
            entry.createdAt.rawValue, entry.version.rawValue, self.checksum(of: entry),
        ])
    }

    static func remove(_ name: ConsumerName, in database: Database) throws {
        let statement = try database.cachedStatement(sql: "DELETE FROM consumer WHERE name = ?")
        try statement.execute(arguments: [name.text])
    }

    /// Items of a page.
    static func held(_ limit: Int) -> Int { min(max(1, limit), Limits.cataloguePageMax) }

    private static func consumer(_ row: Row) throws -> RegisteredConsumer {
        guard
            let name = String.fromDatabaseValue(row[0]), let details = String.fromDatabaseValue(row[1]),
            let created = Int64.fromDatabaseValue(row[3]), let version = Int64.fromDatabaseValue(row[4])
        else { throw CatalogueDamage(text: "a consumer is not of our form") }
        let entry = RegisteredConsumer(
            consumer: Consumer(
                name: ConsumerName(name), details: details, subscriptionsMax: Int.fromDatabaseValue(row[2])),
            version: CatalogueVersion(rawValue: version), createdAt: Timestamp(rawValue: created))
        guard self.checksum(of: entry) == Int64.fromDatabaseValue(row[5]) else {
            throw CatalogueDamage(text: "consumer '\(name)' has the wrong checksum")
        }
        return entry
    }

    private static func checksum(of entry: RegisteredConsumer) -> Int64 {
        var checksum = RowChecksum("consumer")
        checksum.add(entry.consumer.name.text)
        checksum.add(entry.consumer.details)
        checksum.add(entry.consumer.subscriptionsMax.map { Int64($0) })
        checksum.add(entry.createdAt.rawValue)
        checksum.add(entry.version.rawValue)
        return checksum.value
    }
}
