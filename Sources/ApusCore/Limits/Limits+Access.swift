// Rights, users, quotas and the audit log.
extension Limits {
    /// Requests to change rights, users or quotas that one commit to the coordinator store takes.
    public static let accessRequestsPerCommitMax = 1_000
    /// How often such a request is decided again because another broker was faster, before it is refused.
    public static let accessConflictsMax = 5
    /// Entities (users, client ids, addresses) that have quotas.
    public static let quotaEntitiesMax = 10_000

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
