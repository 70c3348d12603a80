public import ApusCore

/// What can be done with topics. Got from ``ApusClient/topics``.
///
/// Every call throws `.unreachable`, `.timedOut`, `.closed` besides what it names.
public struct TopicAdmin: Sendable {
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

    /// - Parameter validateOnly: asks whether it would succeed, and makes nothing.
    /// - Throws: `.topicExists`, `.invalidArgument`, `.invalidConfiguration`.
    @discardableResult
    public func create(
        _ name: String, partitions: Int? = nil, replicationFactor: Int? = nil, configuration: [String: String] = [:],
        validateOnly: Bool = false
    ) async throws -> Created {
        throw ApusError(.unsupported, "not there yet")
    }

    /// Makes each topic by itself: some may fail. The results are in the order of the specifications.
    public func create(
        _ topics: [Specification], validateOnly: Bool = false
    ) async throws -> [Result<Created, ApusError>] {
        throw ApusError(.unsupported, "not there yet")
    }

    /// - Throws: `.unknownTopic`.
    public func delete(_ name: String) async throws {
        throw ApusError(.unsupported, "not there yet")
    }

    /// Deletes each topic by itself: some may fail. The results are in the order of the names.
    public func delete(_ names: [String]) async throws -> [Result<Void, ApusError>] {
        throw ApusError(.unsupported, "not there yet")
    }

    /// Every topic of the cluster, by name.
    public func list(includingInternal: Bool = false) async throws -> [TopicDescription] {
        throw ApusError(.unsupported, "not there yet")
    }

    /// - Throws: `.unknownTopic`.
    public func describe(_ name: String) async throws -> TopicDescription {
        throw ApusError(.unsupported, "not there yet")
    }

    /// Adds partitions until there are `count`. Keys then go to other partitions than before.
    /// - Throws: `.unknownTopic`, `.invalidArgument` when there are as many or more.
    public func grow(_ name: String, toPartitions count: Int, validateOnly: Bool = false) async throws {
        throw ApusError(.unsupported, "not there yet")
    }

    /// Every value of the topic's configuration, by name.
    /// - Throws: `.unknownTopic`.
    public func configuration(of name: String) async throws -> [ConfigurationEntry] {
        throw ApusError(.unsupported, "not there yet")
    }

    /// All the changes or none.
    /// - Throws: `.unknownTopic`, `.invalidConfiguration`.
    public func configure(_ name: String, _ changes: [ConfigurationChange], validateOnly: Bool = false) async throws {
        throw ApusError(.unsupported, "not there yet")
    }

    /// Deletes the records before an offset in each partition; nil for all that readers may see.
    /// - Returns: the oldest offset left in each partition.
    /// - Throws: `.unknownTopic`, `.offsetOutOfRange`.
    @discardableResult
    public func trim(
        _ name: String, before offsets: [PartitionIndex: Offset?]
    ) async throws -> [PartitionIndex: Offset] {
        throw ApusError(.unsupported, "not there yet")
    }

    /// An offset of each partition, by what is asked for. Partitions without an answer, such as a time after the last
    /// record, are not in the result.
    /// - Parameter partitions: nil for all.
    /// - Throws: `.unknownTopic`.
    public func offsets(
        of name: String, partitions: [PartitionIndex]? = nil, at question: OffsetQuestion,
        isolation: ReaderOptions.Isolation = .uncommitted
    ) async throws -> [PartitionIndex: OffsetDescription] {
        throw ApusError(.unsupported, "not there yet")
    }
}
