// Rights, users, quotas and the audit log.
extension Limits {
    /// Requests to change rights, users or quotas that one commit to the coordinator store takes.
    public static let accessRequestsPerCommitMax = 1_000
    /// How often such a request is decided again because another broker was faster, before it is refused.
    public static let accessConflictsMax = 5
}
