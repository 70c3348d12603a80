import ApusCore
import GRDB

/// The format of the catalogue's file. Times are milliseconds since 1970, durations milliseconds.
///
/// Plain relations, so that a person with the `sqlite3` tool can read who holds what. SQLite does not notice a flipped
/// bit inside a value, so each row carries a CRC-32C of all that it says (`RowChecksum`).
enum CatalogueSchema {
    static func format(bytesMax: ByteCount) -> SQLiteFormat {
        SQLiteFormat(
            label: "apus-catalogue",
            // "APUC"
            applicationID: 0x4150_5543,
            migrations: [self.tables],
            hasForeignKeys: true,
            bytesMax: bytesMax,
            // The quick one does not hold indexes against their tables, and lookups go by them.
            check: "integrity_check(1)",
            content: "all consumers and subscriptions"
        )
    }

    private static let tables = """
        CREATE TABLE counter (
            one INTEGER PRIMARY KEY CHECK (one = 1),
            version INTEGER NOT NULL,
            subscription_last INTEGER NOT NULL,
            audit_first INTEGER NOT NULL,
            audit_last INTEGER NOT NULL,
            consumers INTEGER NOT NULL,
            subscriptions INTEGER NOT NULL,
            checksum INTEGER NOT NULL
        ) STRICT;

        CREATE TABLE consumer (
            name TEXT NOT NULL PRIMARY KEY CHECK (length(name) > 0),
            details TEXT NOT NULL,
            subscriptions_max INTEGER CHECK (subscriptions_max >= 0),
            created_at INTEGER NOT NULL,
            version INTEGER NOT NULL,
            checksum INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE subscription (
            id INTEGER PRIMARY KEY,
            name TEXT NOT NULL UNIQUE CHECK (length(name) > 0),
            owner TEXT NOT NULL REFERENCES consumer (name) ON DELETE RESTRICT ON UPDATE RESTRICT,
            pattern TEXT,
            delivery TEXT NOT NULL CHECK (delivery IN ('stream', 'queue')),
            start TEXT NOT NULL CHECK (start IN ('earliest', 'latest', 'time')),
            start_at INTEGER CHECK ((start = 'time') = (start_at IS NOT NULL)),
            period INTEGER CHECK (period > 0),
            expiry INTEGER CHECK (expiry > 0),
            origin TEXT NOT NULL CHECK (origin IN ('declared', 'group')),
            filter TEXT,
            dead_letter_topic TEXT,
            push_endpoint TEXT,
            created_at INTEGER NOT NULL,
            version INTEGER NOT NULL,
            checksum INTEGER NOT NULL
        ) STRICT;
        CREATE INDEX subscription_owner ON subscription (owner, name);
        CREATE INDEX subscription_pattern ON subscription (name) WHERE pattern IS NOT NULL;

        CREATE TABLE subscription_topic (
            subscription INTEGER NOT NULL REFERENCES subscription (id) ON DELETE CASCADE,
            topic TEXT NOT NULL,
            PRIMARY KEY (subscription, topic)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX subscription_topic_topic ON subscription_topic (topic);

        CREATE TABLE subscription_use (
            subscription INTEGER PRIMARY KEY REFERENCES subscription (id) ON DELETE CASCADE,
            used_at INTEGER NOT NULL,
            checksum INTEGER NOT NULL
        ) STRICT;

        CREATE TABLE audit (
            number INTEGER PRIMARY KEY,
            version INTEGER NOT NULL,
            at INTEGER NOT NULL,
            actor TEXT NOT NULL,
            action TEXT NOT NULL CHECK (action IN ('created', 'changed', 'removed')),
            kind TEXT NOT NULL CHECK (kind IN ('consumer', 'subscription')),
            name TEXT NOT NULL,
            reason TEXT NOT NULL,
            detail TEXT NOT NULL,
            checksum INTEGER NOT NULL
        ) STRICT;
        CREATE INDEX audit_subject ON audit (kind, name);
        """
}
