import ApusCore

extension TopicOption {
    private static let int = Int64(Int32.max)
    private static let long = Int64.max
    private static let unused = "No effect here: "

    /// One row an option: type, Kafka's default (or ours), what is allowed, what it does.
    static let definitions: [TopicOption: OptionDefinition] = [
        .cleanupPolicy: OptionDefinition(
            .list, "delete", .list(["delete", "compact"]),
            "What happens to old records: 'delete' removes them by age and size, 'compact' keeps the newest record of "
                + "each key; 'compact,delete' does both. A compacted topic takes no records without a key."
        ),
        .compressionType: OptionDefinition(
            .string, "producer", .choice(["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"]),
            "How batches are kept: 'producer' keeps the bytes as they came; any other value rewrites batches to it."
        ),
        .compressionGzipLevel: OptionDefinition(
            .int, "-1", .number(-1...9), unused + "gzip is always written at its default level."
        ),
        .compressionLZ4Level: OptionDefinition(
            .int, "9", .number(1...17), unused + "lz4 is always written at its fast level."
        ),
        .compressionZstdLevel: OptionDefinition(
            .int, "3", .number(-131_072...22), unused + "zstd is always written at its default level, 3."
        ),
        .deleteRetention: OptionDefinition(
            .long, "86400000", .number(0...long),
            "How long, in milliseconds, a record without a value (its key is gone) stays after compaction first met it."
        ),
        .durability: OptionDefinition(
            .string, "fsync", .choice(["fsync", "page-cache"]),
            "When a record counts as written: 'fsync' when it is on the disk, 'page-cache' when the kernel has it "
                + "(survives a kill of the broker, not a power cut)."
        ),
        .fileDeleteDelay: OptionDefinition(
            .long, "60000", .number(0...long), unused + "files of deleted segments are removed at once."
        ),
        .flushMessages: OptionDefinition(
            .long, String(long), .number(1...long), unused + "durability decides when records are flushed."
        ),
        .flushAge: OptionDefinition(
            .long, String(long), .number(0...long), unused + "durability decides when records are flushed."
        ),
        .indexInterval: OptionDefinition(
            .int, "32768", .number(0...int), "Bytes of records between two entries of a segment's sparse index."
        ),
        .batchBytesMax: OptionDefinition(
            .int, "1048588", .number(0...int), "The largest record batch taken from a producer, in bytes."
        ),
        .compactionLagMax: OptionDefinition(
            .long, String(long), .number(1...long),
            "The age, in milliseconds, at which a record is compacted whatever min.cleanable.dirty.ratio says."
        ),
        .timestampAfterMax: OptionDefinition(
            .long, "3600000", .number(0...long),
            "How far a producer's time may be ahead of the broker's clock, in milliseconds."
        ),
        .timestampBeforeMax: OptionDefinition(
            .long, String(long), .number(0...long),
            "How far a producer's time may be behind the broker's clock, in milliseconds."
        ),
        .timestampType: OptionDefinition(
            .string, "CreateTime", .choice(["CreateTime", "LogAppendTime"]),
            "Whose clock stamps the records: the producer's (CreateTime) or the broker's (LogAppendTime)."
        ),
        .dirtyRatioMin: OptionDefinition(
            .double, "0.5", .fraction,
            "A partition is compacted when more than this part of its bytes, 0 to 1, never was."
        ),
        .compactionLagMin: OptionDefinition(
            .long, "0", .number(0...long), "How long, in milliseconds, a record is left alone by compaction."
        ),
        .inSyncReplicasMin: OptionDefinition(
            .int, "1", .number(1...int),
            "How many in-sync replicas must hold a record before a produce with acks=all is answered."
        ),
        .preallocate: OptionDefinition(.boolean, "true", .boolean, unused + "segments are always preallocated."),
        .presence: OptionDefinition(
            .boolean, "false", .boolean,
            "Whether it is recorded who is in the channels of this topic at the endpoint servers, in __presence."
        ),
        .receipts: OptionDefinition(
            .boolean, "false", .boolean,
            "Whether clients of the endpoint servers may confirm what they have seen of this topic."
        ),
        .retentionBytes: OptionDefinition(
            .long, "-1", .number(-1...long), "How many bytes each partition keeps; -1 is no bound by size."
        ),
        .retentionAge: OptionDefinition(
            .long, "604800000", .number(-1...long),
            "How long records are kept for everybody, in milliseconds; -1 is for ever. Subscriptions may ask for more."
        ),
        .retentionCeiling: OptionDefinition(
            .long, String(Limits.retentionCeilingDefault.wholeMilliseconds), .number(-1...long),
            "The longest that subscriptions can make records stay, in milliseconds; -1 is without end. It does not "
                + "shorten retention.ms."
        ),
        .retentionMode: OptionDefinition(
            .string, "time", .choice(["time", "consumed"]),
            "What frees records: their age alone ('time'), or that every subscription has read them ('consumed'), "
                + "between retention.ms and apus.retention.ceiling.ms."
        ),
        .segmentBytes: OptionDefinition(
            .int, String(Limits.segmentBytesDefault.rawValue),
            .number(Int64(Limits.segmentBytesMin.rawValue)...int),
            "The size at which a segment file is closed and the next begun. Retention deletes whole segments."
        ),
        .segmentIndexBytes: OptionDefinition(
            .int, "10485760", .number(4...int), unused + "an index is as large as its segment needs."
        ),
        .segmentJitter: OptionDefinition(.long, "0", .number(0...long), unused + "segments roll without jitter."),
        .segmentAge: OptionDefinition(
            .long, "604800000", .number(1...long),
            "The age, in milliseconds, at which a segment file is closed even when it is not full."
        ),
        .uncleanElection: OptionDefinition(
            .boolean, "false", .choice(["false"]),
            "A replica that may have lost acknowledged records never leads; 'true' is refused."
        ),
    ]
}
