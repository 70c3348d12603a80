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
    /// Records of one batch of the audit log.
    public static let auditRecordsPerBatchMax = 500
    /// How long one batch of the audit log may take.
    public static let auditWriteWaitMax = Duration.seconds(10)
    /// How long the audit log waits after it could not be written.
    public static let auditRetryPause = Duration.seconds(1)
    /// How long the audit log is kept where its topic says nothing: 90 days.
    public static let auditRetention = Duration.seconds(90 * 24 * 3600)
    /// Denials of one principal that are written down in a second; the rest are counted.
    public static let auditedDenialsPerSecondMax = 10
    /// Principals whose denials are counted at a time.
    public static let auditedPrincipalsMax = 10_000
    /// Unicode scalars of one text in the audit log; the rest is cut.
    public static let auditTextScalarsMax = 1_024
}
