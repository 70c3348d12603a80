extension Limits {
    /// How often a broker that could not read the catalogue tries again.
    public static let catalogueRetryPeriod = Duration.seconds(5)
    /// Consumer groups that wait to be written into the catalogue; who comes meanwhile is taken at its next sign of
    /// life.
    public static let groupsUnregisteredMax = 20_000
    /// Groups of which the catalogue is told at the same time.
    public static let groupRegistrationsInFlightMax = 256
    /// Positions kept of groups that the catalogue does not know yet.
    public static let positionsUnclaimedMax = 1_000_000
}
