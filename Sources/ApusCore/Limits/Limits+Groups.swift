/// The coordinators of groups as a broker runs them. What a group itself may be is in `Limits.swift`.
extension Limits {
    /// Kafka's `offsets.topic.num.partitions`: partitions of `__consumer_offsets`, and so coordinators. A group's
    /// coordinator follows from its name and this number, so it never changes.
    public static let offsetsTopicPartitions: Int32 = 50
    /// Kafka's `offsets.topic.segment.bytes`.
    public static let offsetsTopicSegmentBytes = ByteCount.mebibytes(100)
    /// The least `message.timestamp.before.max.ms` of `__consumer_offsets`: a day.
    public static let offsetsTopicLateMin = Duration.seconds(24 * 3600)
    /// The largest batch of `__consumer_offsets`: a group's record is at most `groupStateBytesMax`, and a commit's are
    /// together somewhat longer than the request that holds it (`plainRequestBytesMax`).
    public static let offsetsTopicBatchBytesMax = ByteCount.mebibytes(16)
    /// Bytes of records of one coordinator that go into one batch; a larger write, which may not be parted, goes alone.
    public static let groupBatchBytes = ByteCount.mebibytes(1)
    /// The longest record of a consumer group. What a member has been given is written with an epoch for each
    /// partition, and what it is to give up beside it: at most three times as long as the target, which a batch holds.
    public static let consumerRecordBytesMax = ByteCount.mebibytes(4)
    /// What all groups of a broker, their members and their positions may take of the memory together, as counted by
    /// the four numbers below: about three million positions. One sum for all coordinators, because groups are spread
    /// over them by their names: a fiftieth for each would be full while the others are empty. Beyond it what is there
    /// can be moved and deleted, and nothing is added; what the records hold is loaded in any case.
    public static let groupMemoryMax = ByteCount.mebibytes(512)
    /// A position in its tables, without what the client keeps with it.
    public static let positionMemory = ByteCount.bytes(160)
    /// A member, or the tables of a group or of one of its topics.
    public static let memberMemory = ByteCount.bytes(512)
    /// A name of a topic in a list and in a table, without its bytes.
    public static let nameMemory = ByteCount.bytes(96)
    /// A partition that a member has or should have.
    public static let partitionMemory = ByteCount.bytes(64)
    /// What a coordinator reads at once of its partition when it is loaded. Other work of its loop goes on between.
    public static let groupLoadBytes = ByteCount.mebibytes(1)
    /// How long a coordinator waits to be loaded again after it could not be, at first and at most; it doubles between.
    public static let groupReloadPause = Duration.seconds(1)...Duration.seconds(30)
    /// How late the deadlines of groups may be looked at, so that many are looked at together.
    public static let groupDeadlineGrain = Duration.milliseconds(10)
    /// The shortest time between two words to the consumer manager that a group is used.
    public static let groupSeenPause = Duration.seconds(10)
    /// Groups whose positions the consumer manager is told in one turn of a loop after they were loaded.
    public static let groupsToldPerTurn = 200
    /// Groups that one request names (DescribeGroups, DeleteGroups, FindCoordinator, OffsetFetch).
    public static let groupsPerRequestMax = 10_000
}
