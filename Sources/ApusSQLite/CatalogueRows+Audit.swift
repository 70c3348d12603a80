import ApusCore
import GRDB

extension CatalogueRows {
    static func append(_ entry: AuditEntry, to database: Database) throws {
        let (kind, name) = self.columns(of: entry.subject)
        let statement = try database.cachedStatement(sql: "INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
        try statement.execute(arguments: [
            entry.number.rawValue, entry.version.rawValue, entry.at.rawValue, entry.actor.text, entry.action.rawValue,
            kind, name, entry.reason, entry.detail, self.checksum(of: entry),
        ])
    }

    static func removeAudit(before first: AuditNumber, in database: Database) throws {
        let statement = try database.cachedStatement(sql: "DELETE FROM audit WHERE number < ?")
        try statement.execute(arguments: [first.rawValue])
    }

    static func audit(_ query: AuditQuery, _ database: Database) throws -> CataloguePage<AuditEntry, AuditNumber> {
        let version = try CatalogueCounter.mustRead(database).version
        let limit = self.held(query.limit)
        var conditions = ["number > ?"]
        var arguments: StatementArguments = [query.after?.rawValue ?? 0]
        if let (kind, name) = query.subject.map({ self.columns(of: $0) }) {
            conditions.append("kind = ? AND name = ?")
            arguments += [kind, name]
        }
        arguments += [limit + 1]
        let statement = try database.cachedStatement(
            sql: """
                SELECT number, version, at, actor, action, kind, name, reason, detail, checksum FROM audit
                WHERE \(conditions.joined(separator: " AND ")) ORDER BY number LIMIT ?
                """)
        let rows = try Row.fetchCursor(statement, arguments: arguments)
        var items: [AuditEntry] = []
        while let row = try rows.next() {
            if items.count == limit { return CataloguePage(items: items, next: items.last?.number, version: version) }
            items.append(try self.entry(row))
        }
        return CataloguePage(items: items, next: nil, version: version)
    }

    private static func entry(_ row: Row) throws -> AuditEntry {
        guard
            let number = Int64.fromDatabaseValue(row[0]), let version = Int64.fromDatabaseValue(row[1]),
            let at = Int64.fromDatabaseValue(row[2]), let actor = String.fromDatabaseValue(row[3]),
            let action = String.fromDatabaseValue(row[4]).flatMap({ AuditEntry.Action(rawValue: $0) }),
            let kind = String.fromDatabaseValue(row[5]), let name = String.fromDatabaseValue(row[6]),
            let reason = String.fromDatabaseValue(row[7]), let detail = String.fromDatabaseValue(row[8])
        else { throw CatalogueDamage(text: "an audit entry is not of our form") }
        let entry = AuditEntry(
            number: AuditNumber(rawValue: number), version: CatalogueVersion(rawValue: version),
            at: Timestamp(rawValue: at), actor: ConsumerName(actor), action: action,
            subject: kind == "consumer" ? .consumer(ConsumerName(name)) : .subscription(SubscriptionName(name)),
            reason: reason, detail: detail)
        guard self.checksum(of: entry) == Int64.fromDatabaseValue(row[9]) else {
            throw CatalogueDamage(text: "audit entry \(number) has the wrong checksum")
        }
        return entry
    }

    private static func columns(of subject: CatalogueSubject) -> (kind: String, name: String) {
        switch subject {
        case .consumer(let name): ("consumer", name.text)
        case .subscription(let name): ("subscription", name.text)
        }
    }

    private static func checksum(of entry: AuditEntry) -> Int64 {
        let (kind, name) = self.columns(of: entry.subject)
        var checksum = RowChecksum("audit")
        checksum.add(entry.number.rawValue)
        checksum.add(entry.version.rawValue)
        checksum.add(entry.at.rawValue)
        for text in [entry.actor.text, entry.action.rawValue, kind, name, entry.reason, entry.detail] {
            checksum.add(text)
        }
        return checksum.value
    }
}
