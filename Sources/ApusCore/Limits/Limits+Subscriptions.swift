extension Limits {
    /// A segment that is still written to is closed once all of it was read, where reading frees, from this size on.
    public static let freedSegmentBytesMin = ByteCount.mebibytes(1)
    /// Topics of one question about who holds what.
    public static let holdingsTopicsMax = 10
    /// What `apus.retention.ceiling.ms` is where nobody says: 30 days.
    public static let retentionCeilingDefault = Duration.seconds(30 * 24 * 3600)
    /// Different periods of which a partition remembers where they begin; the one not asked for longest goes first.
    public static let windowPeriodsPerPartitionMax = 64
    /// Readers of which a partition remembers how far back they may read; beyond it all are derived again.
    public static let windowReadersPerPartitionMax = 256
    /// How often a broker that could not read the catalogue tries again.
    public static let catalogueRetryPeriod = Duration.seconds(5)
    /// Consumer groups that wait to be written into the catalogue; who comes meanwhile is taken at its next sign of
    /// life.
    public static let groupsUnregisteredMax = 20_000
    /// Topics that they name together. Sixteen bytes each, and a little: the names are the topics' own.
    public static let topicsUnregisteredMax = 500_000
    /// Groups of which the catalogue is told at the same time.
    public static let groupRegistrationsInFlightMax = 256
    /// Positions kept of groups that the catalogue does not know yet.
    public static let positionsUnclaimedMax = 1_000_000
}
