/// What a client may do, as Metadata, DescribeCluster and DescribeTopicPartitions tell it: a bit for each of Kafka's
/// ACL operations. Without authorization everybody may do everything that there is for clients.
enum AuthorizedOperations {
    /// Not asked for.
    static let unknown = Int32.min
    /// Read, write, create, delete, alter, describe, describe configs, alter configs.
    static let topic = Self.bits([3, 4, 5, 6, 7, 8, 10, 11])
    /// Create, alter, describe, describe configs, alter configs, idempotent write.
    static let cluster = Self.bits([5, 7, 8, 10, 11, 12])

    private static func bits(_ operations: [Int32]) -> Int32 {
        operations.reduce(0) { $0 | (1 << $1) }
    }
}
