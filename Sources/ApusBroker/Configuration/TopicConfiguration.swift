package import ApusCore
package import ApusLog
package import ApusSubscriptions
package import KafkaWire

/// A topic's configuration as it holds now: what was set on the topic, else the broker's defaults, else Kafka's.
///
/// A class because a million topics without a setting of their own share one.
package final class TopicConfiguration: Sendable {
    /// When a record counts as written (design promise P1).
    package enum Durability: String, Hashable, Sendable {
        /// fdatasync returned. The default.
        case fsync
        /// The kernel has it: survives a kill of the broker, not a power cut.
        case pageCache = "page-cache"
    }

    package enum TimestampType: String, Hashable, Sendable {
        case createTime = "CreateTime"
        case logAppendTime = "LogAppendTime"
    }

    /// `cleanup.policy` has `delete` in it: old records go by age and size.
    package let deletes: Bool
    /// `cleanup.policy` has `compact` in it: of each key the newest record stays.
    package let compaction: CompactionPolicy?
    /// Nil: kept whatever their age.
    package let retentionAge: Duration?
    /// What subscriptions may add to that, and whether reading frees.
    package let retentionPolicy: RetentionPolicy
    /// Nil: kept whatever their size. For each partition.
    package let retentionBytes: ByteCount?
    package let segmentBytes: ByteCount
    package let segmentAge: Duration
    package let indexIntervalBytes: ByteCount
    /// The largest batch taken.
    package let batchBytesMax: ByteCount
    package let timestampType: TimestampType
    /// How far before the broker's clock a producer's time may be; nil: any.
    package let timestampBeforeMax: Duration?
    /// How far after the broker's clock a producer's time may be; nil: any.
    package let timestampAfterMax: Duration?
    package let inSyncReplicasMin: Int32
    /// What batches are rewritten to; nil keeps them as they came.
    package let compression: CompressionCodec?
    package let durability: Durability
    /// Who is in its channels at the endpoint servers is recorded.
    package let keepsPresence: Bool
    /// Clients of the endpoint servers may confirm what they have seen.
    package let keepsReceipts: Bool
    /// What was set on the topic itself, by name.
    package let overrides: [String: String]

    /// All values must have passed their option's rule.
    init(overrides: [String: String], value: (TopicOption) -> String) {
        func number(_ option: TopicOption) -> Int64 { Int64(value(option)) ?? Int64.max }
        func duration(_ option: TopicOption) -> Duration? {
            let milliseconds = number(option)
            return milliseconds < 0 || milliseconds == .max ? nil : .milliseconds(milliseconds)
        }
        let policies = ConfigurationRule.parts(of: value(.cleanupPolicy))
        self.deletes = policies.contains("delete")
        self.compaction =
            policies.contains("compact")
            ? CompactionPolicy(
                dirtyRatioMin: Double(value(.dirtyRatioMin)) ?? 0.5, lagMin: duration(.compactionLagMin) ?? .zero,
                lagMax: duration(.compactionLagMax), tombstoneAge: duration(.deleteRetention) ?? .seconds(24 * 3600))
            : nil
        self.retentionAge = duration(.retentionAge)
        self.retentionPolicy = RetentionPolicy(
            floor: duration(.retentionAge), ceiling: duration(.retentionCeiling),
            mode: RetentionPolicy.Mode(rawValue: value(.retentionMode)) ?? .time)
        let retentionBytes = number(.retentionBytes)
        self.retentionBytes = retentionBytes < 0 ? nil : ByteCount(rawValue: Int(clamping: retentionBytes))
        self.segmentBytes = ByteCount(rawValue: Int(clamping: number(.segmentBytes)))
        self.segmentAge = duration(.segmentAge) ?? .seconds(Int64.max / 1_000_000)
        self.indexIntervalBytes = ByteCount(rawValue: Int(clamping: number(.indexInterval)))
        self.batchBytesMax = ByteCount(rawValue: Int(clamping: number(.batchBytesMax)))
        self.timestampType = TimestampType(rawValue: value(.timestampType)) ?? .createTime
        self.timestampBeforeMax = duration(.timestampBeforeMax)
        self.timestampAfterMax = duration(.timestampAfterMax)
        self.inSyncReplicasMin = Int32(clamping: number(.inSyncReplicasMin))
        self.durability = Durability(rawValue: value(.durability)) ?? .fsync
        self.keepsPresence = value(.presence) == "true"
        self.keepsReceipts = value(.receipts) == "true"
        let compression = value(.compressionType)
        self.compression = compression == "uncompressed" ? CompressionCodec.none : CompressionCodec(name: compression)
        self.overrides = overrides
    }
}
