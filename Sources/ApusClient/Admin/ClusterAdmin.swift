public import ApusCore

/// What can be asked of the cluster and its brokers. Got from ``ApusClient/cluster``.
///
/// Every call throws `.unreachable`, `.timedOut`, `.closed` besides what it names.
public struct ClusterAdmin: Sendable {
    public func describe() async throws -> ClusterDescription {
        throw ApusError(.unsupported, "not there yet")
    }

    /// Every value of a broker's configuration, by name.
    public func configuration(of broker: BrokerID) async throws -> [ConfigurationEntry] {
        throw ApusError(.unsupported, "not there yet")
    }

    /// All the changes or none.
    /// - Throws: `.invalidConfiguration`.
    public func configure(
        _ broker: BrokerID, _ changes: [ConfigurationChange], validateOnly: Bool = false
    ) async throws {
        throw ApusError(.unsupported, "not there yet")
    }

    /// Where a broker keeps its partitions, and how large they are.
    /// - Parameter topics: nil for all.
    public func logDirectories(of broker: BrokerID, topics: [String]? = nil) async throws -> [LogDirectoryDescription] {
        throw ApusError(.unsupported, "not there yet")
    }
}
