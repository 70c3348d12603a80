import ApusCore
import GRDB

extension CatalogueRows {
    private static let select = """
        SELECT s.id, s.name, s.owner, s.pattern, s.delivery, s.start, s.start_at, s.period, s.expiry, s.origin,
            s.filter, s.dead_letter_topic, s.push_endpoint, s.created_at, s.version, s.checksum, u.used_at, u.checksum
        FROM subscription s LEFT JOIN subscription_use u ON u.subscription = s.id
        """

    static func subscription(_ name: SubscriptionName, in database: Database) throws -> RegisteredSubscription? {
        let statement = try database.cachedStatement(sql: "\(self.select) WHERE s.name = ?")
        return try Row.fetchOne(statement, arguments: [name.text]).map { try self.subscription($0, in: database) }
    }

    static func subscriptions(
        _ query: SubscriptionQuery, _ database: Database
    ) throws -> CataloguePage<RegisteredSubscription, SubscriptionName> {
        let version = try CatalogueCounter.mustRead(database).version
        if let named = query.named {
            let found = try self.subscription(named, in: database).flatMap {
                query.asks(for: $0.subscription) ? $0 : nil
            }
            return CataloguePage(items: found.map { [$0] } ?? [], next: nil, version: version)
        }
        var conditions = ["s.name > ?"]
        var arguments: StatementArguments = [query.after?.text ?? ""]
        if let owner = query.owner {
            conditions.append("s.owner = ?")
            arguments += [owner.text]
        }
        if let delivery = query.delivery {
            conditions.append("s.delivery = ?")
            arguments += [delivery.rawValue]
        }
        if let topic = query.topic {
            // Patterns are tried on what comes out.
            conditions.append(
                "(s.pattern IS NOT NULL OR s.id IN (SELECT subscription FROM subscription_topic WHERE topic = ?))")
            arguments += [topic]
        }
        let statement = try database.cachedStatement(
            sql: "\(self.select) WHERE \(conditions.joined(separator: " AND ")) ORDER BY s.name")
        let rows = try Row.fetchCursor(statement, arguments: arguments)
        let limit = self.held(query.limit)
        var items: [RegisteredSubscription] = []
        var topics = 0
        while let row = try rows.next() {
            let item = try self.subscription(row, in: database)
            guard query.asks(for: item.subscription) else { continue }
            if items.count == limit || topics > Limits.cataloguePageTopicsMax {
                return CataloguePage(items: items, next: items.last?.subscription.name, version: version)
            }
            topics += item.subscription.interest.names.count
            items.append(item)
        }
        return CataloguePage(items: items, next: nil, version: version)
    }

    /// How many a consumer owns, counted up to `limit`.
    static func owned(by owner: ConsumerName, upTo limit: Int, in database: Database) throws -> Int {
        let statement = try database.cachedStatement(
            sql: "SELECT count(*) FROM (SELECT 1 FROM subscription WHERE owner = ? LIMIT ?)")
        return try Int.fetchOne(statement, arguments: [owner.text, limit]) ?? 0
    }

    static func put(_ entry: RegisteredSubscription, in database: Database) throws {
        let subscription = entry.subscription
        var startAt: Int64?
        if case .time(let time) = subscription.start { startAt = time.rawValue }
        let statement = try database.cachedStatement(
            sql: """
                INSERT INTO subscription VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                ON CONFLICT (id) DO UPDATE SET owner = excluded.owner, pattern = excluded.pattern,
                    delivery = excluded.delivery, start = excluded.start, start_at = excluded.start_at,
                    period = excluded.period, expiry = excluded.expiry, origin = excluded.origin,
                    filter = excluded.filter, dead_letter_topic = excluded.dead_letter_topic,
                    push_endpoint = excluded.push_endpoint, version = excluded.version, checksum = excluded.checksum
                """)
        try statement.execute(arguments: [
            entry.id.rawValue, subscription.name.text, subscription.owner.text, subscription.interest.pattern?.text,
            subscription.delivery.rawValue, self.word(for: subscription.start), startAt,
            subscription.period?.wholeMilliseconds, subscription.expiry?.wholeMilliseconds,
            subscription.origin.rawValue, subscription.filter, subscription.deadLetterTopic,
            subscription.pushEndpoint, entry.createdAt.rawValue, entry.version.rawValue, self.checksum(of: entry),
        ])
        try self.putTopics(of: entry, in: database)
    }

    static func remove(_ id: SubscriptionID, in database: Database) throws {
        let statement = try database.cachedStatement(sql: "DELETE FROM subscription WHERE id = ?")
        try statement.execute(arguments: [id.rawValue])
    }

    /// Notes a use unless a later one is noted already. An id that is gone is passed over.
    static func note(_ use: SubscriptionUse, in database: Database) throws {
        let statement = try database.cachedStatement(
            sql: """
                INSERT INTO subscription_use SELECT ?, ?, ? WHERE EXISTS (SELECT 1 FROM subscription WHERE id = ?)
                ON CONFLICT (subscription) DO UPDATE SET used_at = excluded.used_at, checksum = excluded.checksum
                WHERE excluded.used_at > used_at
                """)
        try statement.execute(arguments: [
            use.id.rawValue, use.at.rawValue, self.checksum(of: use), use.id.rawValue,
        ])
    }

    private static func putTopics(of entry: RegisteredSubscription, in database: Database) throws {
        let delete = try database.cachedStatement(sql: "DELETE FROM subscription_topic WHERE subscription = ?")
        try delete.execute(arguments: [entry.id.rawValue])
        let insert = try database.cachedStatement(sql: "INSERT INTO subscription_topic VALUES (?, ?)")
        for topic in entry.subscription.interest.names {
            try insert.execute(arguments: [entry.id.rawValue, topic])
        }
    }

    private static func word(for start: Subscription.Start) -> String {
        switch start {
        case .earliest: "earliest"
        case .latest: "latest"
        case .time: "time"
        }
    }

    // MARK: Reading a row

    private static func subscription(_ row: Row, in database: Database) throws -> RegisteredSubscription {
        guard
            let id = Int64.fromDatabaseValue(row[0]), let name = String.fromDatabaseValue(row[1]),
            let created = Int64.fromDatabaseValue(row[13]), let version = Int64.fromDatabaseValue(row[14]),
            let used = Int64.fromDatabaseValue(row[16]),
            let subscription = try self.stated(row, SubscriptionID(rawValue: id), name, database)
        else { throw CatalogueDamage(text: "a subscription is not of our form") }
        let entry = RegisteredSubscription(
            id: SubscriptionID(rawValue: id), subscription: subscription, version: CatalogueVersion(rawValue: version),
            createdAt: Timestamp(rawValue: created), usedAt: Timestamp(rawValue: used))
        let use = SubscriptionUse(id: entry.id, at: entry.usedAt)
        guard self.checksum(of: entry) == Int64.fromDatabaseValue(row[15]),
            self.checksum(of: use) == Int64.fromDatabaseValue(row[17])
        else { throw CatalogueDamage(text: "subscription '\(name)' has the wrong checksum") }
        return entry
    }

    /// Nil: a column is not of our form.
    private static func stated(
        _ row: Row, _ id: SubscriptionID, _ name: String, _ database: Database
    ) throws -> Subscription? {
        guard
            let owner = String.fromDatabaseValue(row[2]),
            let delivery = String.fromDatabaseValue(row[4]).flatMap({ Subscription.Delivery(rawValue: $0) }),
            let start = self.start(row[5], at: row[6]),
            let origin = String.fromDatabaseValue(row[9]).flatMap({ Subscription.Origin(rawValue: $0) })
        else { return nil }
        let interest: TopicInterest
        if let pattern = String.fromDatabaseValue(row[3]) {
            // A pattern that is none is damage, whatever is wrong with it.
            guard let pattern = try? TopicPattern(pattern) else { return nil }
            interest = .pattern(pattern)
        } else {
            let statement = try database.cachedStatement(
                sql: "SELECT topic FROM subscription_topic WHERE subscription = ? ORDER BY topic")
            interest = .names(try String.fetchAll(statement, arguments: [id.rawValue]))
        }
        return Subscription(
            name: SubscriptionName(name), owner: ConsumerName(owner), interest: interest, delivery: delivery,
            start: start, period: Int64.fromDatabaseValue(row[7]).map { .milliseconds($0) },
            expiry: Int64.fromDatabaseValue(row[8]).map { .milliseconds($0) }, origin: origin,
            filter: String.fromDatabaseValue(row[10]), deadLetterTopic: String.fromDatabaseValue(row[11]),
            pushEndpoint: String.fromDatabaseValue(row[12]))
    }

    private static func start(_ word: DatabaseValue, at time: DatabaseValue) -> Subscription.Start? {
        switch String.fromDatabaseValue(word) {
        case "earliest": .earliest
        case "latest": .latest
        case "time": Int64.fromDatabaseValue(time).map { .time(Timestamp(rawValue: $0)) }
        default: nil
        }
    }

    private static func checksum(of entry: RegisteredSubscription) -> Int64 {
        let subscription = entry.subscription
        var checksum = RowChecksum("subscription")
        checksum.add(entry.id.rawValue)
        checksum.add(subscription.name.text)
        checksum.add(subscription.owner.text)
        checksum.add(subscription.interest.pattern?.text)
        checksum.add(Int64(subscription.interest.names.count))
        for topic in subscription.interest.names { checksum.add(topic) }
        checksum.add(subscription.delivery.rawValue)
        checksum.add(subscription.start.description)
        checksum.add(subscription.period)
        checksum.add(subscription.expiry)
        checksum.add(subscription.origin.rawValue)
        checksum.add(subscription.filter)
        checksum.add(subscription.deadLetterTopic)
        checksum.add(subscription.pushEndpoint)
        checksum.add(entry.createdAt.rawValue)
        checksum.add(entry.version.rawValue)
        return checksum.value
    }

    private static func checksum(of use: SubscriptionUse) -> Int64 {
        var checksum = RowChecksum("subscription_use")
        checksum.add(use.id.rawValue)
        checksum.add(use.at.rawValue)
        return checksum.value
    }
}
