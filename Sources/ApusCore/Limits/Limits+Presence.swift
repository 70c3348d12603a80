/// Bounds of presence (who is in which channel), of receipts, and of what begins with the newest record of each key.
extension Limits {
    /// How long an endpoint server may say nothing before its clients count as gone. It says something every third of
    /// it.
    public static let presenceLease = Duration.seconds(10)
    /// Joins and leaves of an endpoint server wait so long for others, and are told together.
    public static let presenceReportPause = Duration.milliseconds(50)
    /// The least time between two receipts of one connection that are told and written; those between are one.
    public static let receiptPause = Duration.seconds(1)
    /// How long an endpoint server waits before it tells again what could not be taken.
    public static let presenceRetryPause = Duration.milliseconds(500)
    /// How long it waits for an answer, before it tells the same again.
    public static let presenceAnswerWaitMax = Duration.seconds(5)
    /// How late an endpoint server may be with what is to be told, so that much is told together.
    public static let presenceTimerGrain = Duration.milliseconds(1)
    /// A user's name as it is recorded, in bytes; the rest is cut.
    public static let presenceUserBytesMax = ByteCount.kibibytes(1)
    /// How long an endpoint server that stops may take to tell who has gone.
    public static let presenceDrainWaitMax = Duration.seconds(3)
    /// Joins, leaves and receipts of one report.
    public static let presenceChangesPerReportMax = 1_000
    /// The texts of one report, in bytes.
    public static let presenceReportBytesMax = ByteCount.kibibytes(256)
    /// The texts of one join, leave or receipt, in bytes.
    public static let presenceChangeBytesMax = ByteCount.kibibytes(16)
    /// Records that are written together, in bytes, before anything in them is escaped.
    public static let presenceWriteBytesMax = ByteCount.mebibytes(1)
    /// Reports that are being written, all together, in bytes of their records. Beyond it an endpoint server comes
    /// again.
    public static let presenceWritesBytesMax = ByteCount.mebibytes(32)
    /// Connections in channels, all together: one in three channels counts three times. Who comes then is in his
    /// channel, and is not recorded.
    public static let presencePlacesMax = 200_000
    /// The same of one endpoint server.
    public static let presencePlacesPerNodeMax = 100_000
    /// The texts that are kept for them, in bytes.
    public static let presenceTextBytesMax = ByteCount.mebibytes(64)
    /// Endpoint servers, those included that are being declared gone.
    public static let presenceNodesMax = 1_000
    /// An endpoint server's name, in bytes.
    public static let presenceNodeNameBytesMax = ByteCount.bytes(255)
    /// Clients of endpoint servers that are gone who leave in one write.
    public static let presenceLeavesPerWriteMax = 1_000
    /// Partitions of which one connection confirms what it has seen in one channel.
    public static let receiptPartitionsMax = 256
    /// Connections in one answer to who is in a channel, or who has seen what.
    public static let presencePageMax = 1_000
    /// The same where the client says nothing.
    public static let presencePageDefault = 100
    /// A segment of `__presence`: small, so that what is over is compacted.
    public static let presenceSegmentBytes = ByteCount.mebibytes(16)
    /// The largest batch of `__presence`: escaping makes at most six bytes of one (``presenceWriteBytesMax``).
    public static let presenceBatchBytesMax = ByteCount.mebibytes(8)
    /// How long compaction leaves a join or leave alone, for readers who want to see each.
    public static let presenceKept = Duration.seconds(3600)
    /// What is read at once of `__presence` after a start.
    public static let presenceLoadBytes = ByteCount.mebibytes(1)

    /// Keys whose newest record one subscription or read is given first (`last value`).
    public static let lastValuesMax = 100_000
    /// What is remembered of them while they are looked for, in bytes of their keys.
    public static let lastValueKeyBytesMax = ByteCount.mebibytes(8)
    /// Offsets of such records that the clients of one event loop wait for, all together: 8 bytes each.
    public static let lastValuesHeldPerLoopMax = 4_000_000
    /// Subscriptions of one event loop that look for the newest record of each key at the same time; others
    /// wait for their turn.
    public static let lastValueScansPerLoopMax = 8
}
