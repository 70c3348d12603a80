/// Every configuration a topic has, by Kafka's name (and ours). One table: DescribeConfigs, validation, broker defaults
/// and the typed ``TopicConfiguration`` are all read from it.
///
/// Options that change nothing here are kept because clients, operators and tools set them; their documentation says
/// that they change nothing. An option whose effect somebody would rely on and that we do not have refuses instead.
enum TopicOption: String, CaseIterable, Sendable {
    case cleanupPolicy = "cleanup.policy"
    case compressionType = "compression.type"
    case compressionGzipLevel = "compression.gzip.level"
    case compressionLZ4Level = "compression.lz4.level"
    case compressionZstdLevel = "compression.zstd.level"
    case deleteRetention = "delete.retention.ms"
    case durability = "durability"
    case fileDeleteDelay = "file.delete.delay.ms"
    case flushMessages = "flush.messages"
    case flushAge = "flush.ms"
    case indexInterval = "index.interval.bytes"
    case batchBytesMax = "max.message.bytes"
    case compactionLagMax = "max.compaction.lag.ms"
    case timestampAfterMax = "message.timestamp.after.max.ms"
    case timestampBeforeMax = "message.timestamp.before.max.ms"
    case timestampType = "message.timestamp.type"
    case dirtyRatioMin = "min.cleanable.dirty.ratio"
    case compactionLagMin = "min.compaction.lag.ms"
    case inSyncReplicasMin = "min.insync.replicas"
    case preallocate = "preallocate"
    case presence = "apus.presence"
    case receipts = "apus.receipts"
    case retentionBytes = "retention.bytes"
    case retentionCeiling = "apus.retention.ceiling.ms"
    case retentionMode = "apus.retention.mode"
    case retentionAge = "retention.ms"
    case segmentBytes = "segment.bytes"
    case segmentIndexBytes = "segment.index.bytes"
    case segmentJitter = "segment.jitter.ms"
    case segmentAge = "segment.ms"
    case uncleanElection = "unclean.leader.election.enable"

    var name: String { self.rawValue }

    /// The broker's option that is the default for topics.
    var brokerName: String {
        switch self {
        case .cleanupPolicy: "log.cleanup.policy"
        case .deleteRetention: "log.cleaner.delete.retention.ms"
        case .fileDeleteDelay: "log.segment.delete.delay.ms"
        case .flushMessages: "log.flush.interval.messages"
        case .flushAge: "log.flush.interval.ms"
        case .indexInterval: "log.index.interval.bytes"
        case .batchBytesMax: "message.max.bytes"
        case .compactionLagMax: "log.cleaner.max.compaction.lag.ms"
        case .timestampAfterMax: "log.message.timestamp.after.max.ms"
        case .timestampBeforeMax: "log.message.timestamp.before.max.ms"
        case .timestampType: "log.message.timestamp.type"
        case .dirtyRatioMin: "log.cleaner.min.cleanable.ratio"
        case .compactionLagMin: "log.cleaner.min.compaction.lag.ms"
        case .preallocate: "log.preallocate"
        case .retentionBytes: "log.retention.bytes"
        case .retentionAge: "log.retention.ms"
        case .segmentBytes: "log.segment.bytes"
        case .segmentIndexBytes: "log.index.size.max.bytes"
        case .segmentJitter: "log.roll.jitter.ms"
        case .segmentAge: "log.roll.ms"
        case .compressionType, .compressionGzipLevel, .compressionLZ4Level, .compressionZstdLevel, .durability,
            .inSyncReplicasMin, .presence, .receipts, .retentionCeiling, .retentionMode, .uncleanElection:
            self.rawValue
        }
    }

    var definition: OptionDefinition { TopicOption.definitions[self] ?? .missing(self.name) }

    static let byBrokerName = Dictionary(uniqueKeysWithValues: TopicOption.allCases.map { ($0.brokerName, $0) })
}

/// What an option is: the same for topics and brokers.
struct OptionDefinition: Sendable {
    var type: ConfigurationType
    var value: String
    var rule: ConfigurationRule
    var documentation: String
    var isReadOnly = false

    init(
        _ type: ConfigurationType, _ value: String, _ rule: ConfigurationRule, _ documentation: String,
        isReadOnly: Bool = false
    ) {
        self.type = type
        self.value = value
        self.rule = rule
        self.documentation = documentation
        self.isReadOnly = isReadOnly
    }

    /// A row that somebody forgot in the table is our mistake, not a client's.
    static func missing(_ name: String) -> OptionDefinition {
        preconditionFailure("no definition of \(name)")
    }
}
