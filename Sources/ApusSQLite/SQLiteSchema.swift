/// The format of the coordinator store's file.
enum SQLiteSchema {
    /// Changes between two checkpoints: some megabytes of log.
    static let checkpointChanges = 4096

    static let format = SQLiteFormat(
        label: "apus-store",
        // "APUS"
        applicationID: 0x4150_5553,
        migrations: [
            """
            CREATE TABLE kv (
                key BLOB NOT NULL PRIMARY KEY,
                value BLOB NOT NULL,
                modified INTEGER NOT NULL,
                checksum INTEGER NOT NULL
            ) WITHOUT ROWID;
            CREATE TABLE counter (one INTEGER PRIMARY KEY CHECK (one = 1), revision INTEGER NOT NULL);
            INSERT INTO counter VALUES (1, 0);
            """
        ],
        content: "the names of all topics"
    )
}
