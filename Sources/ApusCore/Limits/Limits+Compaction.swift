/// Bounds of compaction (`cleanup.policy=compact`).
extension Limits {
    /// Memory for the keys of one pass of compaction, in bytes: 24 for each key, and a quarter of them stays empty.
    /// While the table grows it takes half as much again. One pass runs at a time for each shard.
    public static let compactionKeysBytesMax = ByteCount.mebibytes(24)
    /// Bytes that a pass reads before its disk thread is free for something else, and before it looks whether it shall
    /// end.
    public static let compactionStepBytes = ByteCount.mebibytes(2)
    /// Bytes that are read from a segment, or written to one, at once.
    public static let compactionPieceBytes = ByteCount.mebibytes(1)
    /// Bytes a second that one shard's passes read; they write at most as much. Produce and fetch have the rest of the
    /// disk.
    public static let compactionBytesPerSecond = 64 << 20
    /// How long a log is left alone after a pass over it failed.
    public static let compactionRetryPause = Duration.seconds(900)
    /// Bytes that one batch may decompress to for compaction to look into it; a larger one stays as it is.
    public static let compactionBatchBytesMax = ByteCount.mebibytes(64)
    /// The range of offsets of one segment.
    public static let segmentOffsetsMax = Int64(Int32.max)
}
