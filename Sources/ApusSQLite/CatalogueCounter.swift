import ApusCore
import GRDB

/// The numbers that are given out, and how many entries there are. A batch reads it first and writes it last.
struct CatalogueCounter: Hashable {
    var version = CatalogueVersion.none
    var subscriptionLast: Int64 = 0
    /// The oldest entry that is kept.
    var auditFirst: Int64 = 1
    var auditLast: Int64 = 0
    var consumers = 0
    var subscriptions = 0

    private static let columns =
        "version, subscription_last, audit_first, audit_last, consumers, subscriptions, checksum"

    /// The counter of a catalogue; nil when it is new.
    static func read(_ database: Database) throws -> CatalogueCounter? {
        let statement = try database.cachedStatement(sql: "SELECT \(self.columns) FROM counter")
        guard let row = try Row.fetchOne(statement) else { return nil }
        let numbers = (0..<7).map { Int64.fromDatabaseValue(row[$0]) }
        guard
            let version = numbers[0], let subscription = numbers[1], let first = numbers[2], let last = numbers[3],
            let consumers = numbers[4], let subscriptions = numbers[5]
        else { throw CatalogueDamage(text: "the counter is not of our form") }
        let counter = CatalogueCounter(
            version: CatalogueVersion(rawValue: version), subscriptionLast: subscription, auditFirst: first,
            auditLast: last, consumers: Int(clamping: consumers), subscriptions: Int(clamping: subscriptions))
        guard counter.checksum == numbers[6] else { throw CatalogueDamage(text: "the counter has the wrong checksum") }
        return counter
    }

    /// The counter; a catalogue without one is damaged.
    static func mustRead(_ database: Database) throws -> CatalogueCounter {
        guard let counter = try self.read(database) else { throw CatalogueDamage(text: "the counter is missing") }
        return counter
    }

    func write(to database: Database) throws {
        let statement = try database.cachedStatement(sql: "REPLACE INTO counter VALUES (1, ?, ?, ?, ?, ?, ?, ?)")
        try statement.execute(arguments: [
            self.version.rawValue, self.subscriptionLast, self.auditFirst, self.auditLast, self.consumers,
            self.subscriptions, self.checksum,
        ])
    }

    private var checksum: Int64 {
        var checksum = RowChecksum("counter")
        checksum.add(self.version.rawValue)
        checksum.add(self.subscriptionLast)
        checksum.add(self.auditFirst)
        checksum.add(self.auditLast)
        checksum.add(Int64(self.consumers))
        checksum.add(Int64(self.subscriptions))
        return checksum.value
    }
}
