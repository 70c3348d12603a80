public import ApusCore

/// Where reading starts, in each partition.
public enum ReaderStart: Hashable, Sendable {
    /// At the oldest record.
    case start
    /// Behind the newest record: only what comes from now on.
    case end
    /// At this offset.
    case offset(Offset)
    /// At an offset for each partition; a partition that is not named starts at its oldest record.
    case offsets([PartitionIndex: Offset])
    /// At the first record with this timestamp or a later one; at the end when there is none.
    case time(Timestamp)
    /// This many records before the end.
    case last(Int)
}

/// Where reading stops, in each partition. The sequence ends when all partitions did.
public enum ReaderEnd: Hashable, Sendable {
    case never
    /// At what is the end when reading starts.
    case end
    /// Before this offset.
    case offset(Offset)
    /// Before the first record with this timestamp or a later one; at what is the end now when there is none.
    case time(Timestamp)
}

public struct ReaderOptions: Sendable {
    /// Which records of transactions are seen.
    public enum Isolation: Hashable, Sendable {
        /// All of them, as they come.
        case uncommitted
        /// Those of committed transactions, once they are.
        case committed
    }

    /// What to do when the position is no longer, or not yet, in the log.
    public enum OutOfRange: Hashable, Sendable {
        /// The sequence throws `.offsetOutOfRange`.
        case fail
        /// Go on at the oldest record.
        case start
        /// Go on at the end.
        case end
    }

    public var isolation: Isolation = .uncommitted
    public var whenOutOfRange: OutOfRange = .fail
    /// Most bytes of one fetch from one broker (one batch may go over).
    public var fetchBytesMax: ByteCount = .mebibytes(8)
    /// Most bytes of one partition in one fetch (one batch may go over).
    public var partitionBytesMax: ByteCount = .mebibytes(4)
    /// The broker answers as soon as it has this much …
    public var fetchBytesMin: ByteCount = .bytes(1)
    /// … or when it has waited this long.
    public var fetchWaitMax: Duration = .milliseconds(500)
    /// Bytes fetched ahead of the loop that reads. What is on its way may come on top of it.
    public var bufferedBytesMax: ByteCount = .mebibytes(16)
    /// Most bytes one batch may decompress to.
    public var decompressedBytesMax: ByteCount = .mebibytes(64)
    /// Whether the checksum of every batch is checked.
    public var verifiesChecksums: Bool = true

    public init() {}
}
