public import ApusCore

/// How a producer collects, sends and repeats. The defaults never lose, repeat or reorder a record that was
/// acknowledged.
public struct ProducerOptions: Sendable {
    /// When a batch counts as delivered.
    public enum Acknowledgment: Hashable, Sendable {
        /// When it is written to the socket. It may be lost, and nobody will know.
        case none
        /// When the leader has it.
        case leader
        /// When as many in-sync replicas as the topic asks for have it as durably as the topic promises.
        case all
    }

    /// The topic of records that name none.
    public var topic: String?
    public var acknowledgment: Acknowledgment = .all
    /// Idempotence (KIP-98): a retry never makes a duplicate or changes the order. Needs `.all`.
    /// nil: on with `.all`, off otherwise.
    public var isIdempotent: Bool?
    public var compression: Compression = .none
    /// A batch is sent when it has this many bytes (before compression) …
    /// Keep it below the topic's `max.message.bytes` (1 MiB by default).
    public var batchBytesMax: ByteCount = .bytes(1_000_000)
    /// … or when its first record has waited this long.
    public var linger: Duration = .milliseconds(5)
    /// Bytes of records that wait or are on their way; `send` suspends beyond it.
    public var bufferedBytesMax: ByteCount = .mebibytes(32)
    /// Requests on their way to one broker, 1 to 5.
    public var requestsInFlightMax: Int = 5
    /// From `send` to success or failure, with all retries between. A record on its way by then is given up as one that
    /// may have been written (``ApusError/isIndefinite``).
    public var deliveryTimeout: Duration = .seconds(120)
    /// How long the broker may wait for the other replicas. The answer is awaited longer than that.
    public var requestTimeout: Duration = .seconds(30)
    public var partitioner: Partitioner = .standard
    /// Told of every batch, delivered or failed, on the client's event loop: be quick, never wait.
    public var onDelivery: (@Sendable (Delivery) -> Void)?

    public init(
        topic: String? = nil, linger: Duration = .milliseconds(5), compression: Compression = .none,
        acknowledgment: Acknowledgment = .all
    ) {
        self.topic = topic
        self.linger = linger
        self.compression = compression
        self.acknowledgment = acknowledgment
    }
}

extension ProducerOptions {
    func check() throws(ApusError) {
        guard (1...5).contains(self.requestsInFlightMax) else {
            throw ApusError(.invalidArgument, "requestsInFlightMax is 1 to 5, not \(self.requestsInFlightMax)")
        }
        guard self.isIdempotent != true || self.acknowledgment == .all else {
            throw ApusError(.invalidArgument, "an idempotent producer needs the acknowledgment of all")
        }
        guard self.batchBytesMax.rawValue > 0, self.batchBytesMax <= ClientLimits.recordBytesMax,
            self.bufferedBytesMax.rawValue > 0
        else {
            throw ApusError(
                .invalidArgument, "batchBytesMax is 1 to \(ClientLimits.recordBytesMax), bufferedBytesMax 1 or more")
        }
        guard self.linger >= .zero, self.deliveryTimeout > .zero, self.requestTimeout > .zero else {
            throw ApusError(.invalidArgument, "linger is 0 or more, time-outs are more than 0")
        }
    }
}

/// How the records of a batch are compressed.
public enum Compression: String, Hashable, Sendable, CaseIterable {
    case none, gzip, snappy, lz4, zstd
}

/// Which partition a record without one goes to.
public enum Partitioner: Sendable {
    /// By the key's hash, as Kafka's Java client does; without a key, one partition until its batch is sent, then
    /// another (KIP-480).
    case standard
    /// Each record to the next partition in turn, whatever its key.
    case roundRobin
    /// As told by the function: topic, key, number of partitions (1 or more). Its answer is taken modulo that number.
    case custom(@Sendable (_ topic: String, _ key: [UInt8]?, _ partitions: Int) -> Int)
}
