public import ApusCore

/// What can be done with topics. Got from ``ApusClient/topics``.
///
/// Every call throws `.unreachable`, `.timedOut`, `.closed` besides what it names.
public struct TopicAdmin: Sendable {
    let core: ClientCore

    /// A topic to be made.
    public struct Specification: Hashable, Sendable {
        public var name: String
        /// nil: the broker's default.
        public var partitions: Int?
        /// nil: the broker's default.
        public var replicationFactor: Int?
        public var configuration: [String: String]

        public init(
            _ name: String, partitions: Int? = nil, replicationFactor: Int? = nil, configuration: [String: String] = [:]
        ) {
            self.name = name
            self.partitions = partitions
            self.replicationFactor = replicationFactor
            self.configuration = configuration
        }
    }

    /// A topic that was made.
    public struct Created: Hashable, Sendable {
        public var name: String
        public var id: TopicID
        /// nil when the broker does not say.
        public var partitions: Int?
        public var replicationFactor: Int?
    }
}
