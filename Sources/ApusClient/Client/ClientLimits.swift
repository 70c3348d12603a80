public import ApusCore

/// The client's own bounds, by name and with their units.
public enum ClientLimits {
    /// The largest answer taken from a broker: what a broker may send to one fetch, and room for one batch more.
    public static let responseBytesMax = ByteCount.mebibytes(64)
    /// The largest record, so that the request around it stays below the largest frame a broker takes.
    public static let recordBytesMax = ByteCount.mebibytes(15)
    /// Batches beyond the first that one produce request carries, in bytes.
    public static let produceRequestBytesMax = ByteCount.mebibytes(4)
    /// Records taken from a sequence for one lock of the producer.
    public static let recordsPerLockMax = 256
    /// Partitions of one fetch from which on a fetch session is asked for (KIP-227): fewer are named each time.
    public static let fetchSessionPartitionsMin = 4
    /// How long a topic that should be made on demand may stay unknown before the broker is believed.
    public static let topicCreationWait = Duration.seconds(5)
    /// After a batch was too large for its topic, those that follow are smaller; so often they may double again, up to
    /// what the options say. A topic that still takes no more refuses one batch, which is then sent in two.
    public static let batchGrowthPeriod = Duration.seconds(300)
    /// Positions that one request sets: a broker takes no more at once.
    public static let positionsPerRequestMax = 10_000
    /// How long one message of a login may wait for its answer.
    static let loginWaitMax = Duration.seconds(30)
    /// What brokers are told this client is.
    static let softwareVersion = "0.1.0"
}
