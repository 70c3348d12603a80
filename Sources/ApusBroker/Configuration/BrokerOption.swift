import ApusCore

/// The broker's own options, beside its defaults for topics (``TopicOption/brokerName``).
enum BrokerOption: String, CaseIterable, Sendable {
    case brokerID = "broker.id"
    case nodeID = "node.id"
    case clusterID = "cluster.id"
    case logDirectories = "log.dirs"
    case listeners = "advertised.listeners"
    case partitions = "num.partitions"
    case replicationFactor = "default.replication.factor"
    case autoCreate = "auto.create.topics.enable"
    case deleteTopics = "delete.topic.enable"
    case requestBytesMax = "socket.request.max.bytes"
    case requestMemory = "queued.max.request.bytes"
    case fetchBytesMax = "fetch.max.bytes"
    case retentionCheck = "log.retention.check.interval.ms"
    case producerExpiration = "producer.id.expiration.ms"
    case tailCache = "apus.tail.cache.bytes"
    case freeBytesFloor = "apus.free.bytes.floor"
    case topicsPerPrincipal = "apus.principal.topics.max"
    case partitionsPerPrincipal = "apus.principal.partitions.max"
    case subscriptionGrace = "apus.subscription.grace.ms"
    case groupInitialDelay = "group.initial.rebalance.delay.ms"
    case groupSessionTimeoutMin = "group.min.session.timeout.ms"
    case groupSessionTimeoutMax = "group.max.session.timeout.ms"
    case groupMembersMax = "group.max.size"
    case offsetsRetention = "offsets.retention.minutes"
    case offsetMetadataBytesMax = "offset.metadata.max.bytes"
    case consumerSessionTimeout = "group.consumer.session.timeout.ms"
    case consumerHeartbeatInterval = "group.consumer.heartbeat.interval.ms"
    case consumerMembersMax = "group.consumer.max.size"

    var definition: OptionDefinition {
        let bytes = ConfigurationRule.number(0...Int64.max)
        func fixed(_ type: ConfigurationType, _ value: String, _ text: String) -> OptionDefinition {
            OptionDefinition(type, value, .text, text, isReadOnly: true)
        }
        return switch self {
        case .brokerID: fixed(.int, "0", "This broker's number in its cluster.")
        case .nodeID: fixed(.int, "0", "The same as broker.id.")
        case .clusterID: fixed(.string, "", "The cluster's name, made at the first start of its first broker.")
        case .logDirectories: fixed(.string, "", "The data directory.")
        case .listeners: fixed(.string, "", "Where clients reach this broker.")
        case .partitions:
            OptionDefinition(
                .int, "1", .number(1...Int64(Limits.partitionsPerTopicMax)),
                "Partitions of a topic whose creator does not say how many."
            )
        case .replicationFactor:
            OptionDefinition(.int, "1", .number(1...1), "Replicas of a topic whose creator does not say how many.")
        case .autoCreate:
            OptionDefinition(.boolean, "true", .boolean, "Whether asking for a topic that is not there creates it.")
        case .deleteTopics: OptionDefinition(.boolean, "true", .boolean, "Whether topics may be deleted.")
        case .requestBytesMax:
            fixed(.int, String(Limits.frameBytesMax.rawValue), "The largest request taken, in bytes.")
        case .requestMemory:
            OptionDefinition(
                .long, String(Limits.requestMemoryDefault.rawValue), bytes,
                "Memory for requests in work; sockets are not read beyond it.", isReadOnly: true
            )
        case .fetchBytesMax:
            fixed(.int, String(Limits.fetchBytesMax.rawValue), "The largest answer to a fetch, in bytes.")
        case .retentionCheck:
            OptionDefinition(
                .long, String(Limits.retentionSweepPeriod.wholeMilliseconds), .number(1000...86_400_000),
                "How often retention looks at a partition.", isReadOnly: true
            )
        case .producerExpiration:
            fixed(
                .int, String(Limits.producerIdleMax.wholeMilliseconds), "How long a silent producer is remembered."
            )
        case .tailCache:
            OptionDefinition(
                .long, String(Limits.tailCacheDefault.rawValue), bytes,
                "Memory for the newest batches, kept for readers at the tail.", isReadOnly: true
            )
        case .freeBytesFloor:
            OptionDefinition(
                .long, String(Limits.freeBytesFloorDefault.rawValue), bytes,
                "Free space below which produce is refused.", isReadOnly: true
            )
        case .topicsPerPrincipal:
            OptionDefinition(
                .int, String(Limits.topicsPerPrincipalMax), .number(-1...Int64(Int32.max)),
                "Topics that one principal may have made, where users log in; -1 is no bound. Super users have none."
            )
        case .partitionsPerPrincipal:
            OptionDefinition(
                .int, String(Limits.partitionsPerPrincipalMax), .number(-1...Int64(Int32.max)),
                "Partitions that the topics of one principal may have together; -1 is no bound. Super users have none."
            )
        case .subscriptionGrace:
            OptionDefinition(
                .long, String(Limits.subscriptionGraceAfterStart.wholeMilliseconds), .number(0...86_400_000),
                "After a start, no subscription and no position expires before its readers had so long to come back.",
                isReadOnly: true
            )
        case .groupInitialDelay, .groupSessionTimeoutMin, .groupSessionTimeoutMax, .groupMembersMax,
            .offsetsRetention, .offsetMetadataBytesMax, .consumerSessionTimeout, .consumerHeartbeatInterval,
            .consumerMembersMax:
            self.groupDefinition
        }
    }
}
