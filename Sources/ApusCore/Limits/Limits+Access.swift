// Rights, users, quotas and the audit log.
extension Limits {
    /// Filters of one DeleteAcls: each is held against every rule there is.
    public static let aclFiltersPerRequestMax = 1000
    /// A connection has so long to log in before it makes room for another, when too many have not logged in.
    public static let loginUndisturbed = Duration.seconds(2)

    /// Requests to change rights, users or quotas that one commit to the coordinator store takes.
    public static let accessRequestsPerCommitMax = 1_000
    /// How often such a request is decided again because another broker was faster, before it is refused.
    public static let accessConflictsMax = 5
    /// Entities (users, client ids, addresses) that have quotas.
    public static let quotaEntitiesMax = 10_000

    /// Topics that one principal may have made, where users log in (`apus.principal.topics.max`). Enough for one topic
    /// of every customer of a service; a client that has gone wild stops long before it costs a gibibyte.
    public static let topicsPerPrincipalMax = 10_000
    /// Partitions of the topics that one principal has made (`apus.principal.partitions.max`).
    public static let partitionsPerPrincipalMax = 100_000

    /// Records of the audit log that wait to be written; what comes then is counted as lost.
    public static let auditRecordsWaitingMax = 10_000
    /// Of these, room that only denials and failed logins have.
    public static let auditRecordsForDenials = 2_000
    /// Records of one batch of the audit log.
    public static let auditRecordsPerBatchMax = 500
    /// Keys and values of one batch of the audit log: well below what a topic takes.
    public static let auditBatchBytesMax = ByteCount.kibibytes(256)
    /// The least `max.message.bytes` of the audit log's topic: above the longest record, whose texts are escaped.
    public static let auditTopicBatchBytesMin = ByteCount.kibibytes(64)
    /// The least `segment.bytes` of the audit log's topic: a batch must fit.
    public static let auditSegmentBytesMin = ByteCount.mebibytes(1)
    /// The least `retention.ms` of the audit log's topic, whoever asks for less: 7 days.
    public static let auditRetentionMin = Duration.seconds(7 * 24 * 3600)
    /// The least `retention.bytes` of the audit log's topic: some millions of records.
    public static let auditRetentionBytesMin = ByteCount.gibibytes(1)
    /// How long one batch of the audit log may take.
    public static let auditWriteWaitMax = Duration.seconds(10)
    /// How long the audit log waits after it could not be written.
    public static let auditRetryPause = Duration.seconds(1)
    /// How long the audit log is kept where its topic says nothing: 90 days.
    public static let auditRetention = Duration.seconds(90 * 24 * 3600)
    /// Denials of one principal that are written down in a second, and failed logins of all; the rest are counted.
    public static let auditedDenialsPerSecondMax = 10
    /// Logins of one principal that are written down in a second.
    public static let auditedLoginsPerSecondMax = 100
    /// Changes of one principal that are written down in a second: more than anybody makes but by mistake or to hide
    /// one, and fewer than are written meanwhile.
    public static let auditedChangesPerSecondMax = 1_000
    /// Principals, each with one kind of record, that are counted at a time.
    public static let auditedPrincipalsMax = 10_000
    /// Partitions that one record names; the others are counted.
    public static let auditedPartitionsMax = 20
    /// Unicode scalars of one text in the audit log; the rest is cut.
    public static let auditTextScalarsMax = 1_024
}
