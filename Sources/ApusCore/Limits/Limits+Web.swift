/// Bounds of the HTTP door: what a connection may send, how long it may take, what an answer may hold.
extension Limits {
    /// Header fields of one request, trailers included.
    public static let webHeadersMax = 100
    /// One header field, or the request's target: the longest bearer token, and some.
    public static let webHeaderFieldBytesMax = ByteCount.kibibytes(20)
    /// All header fields of one request and its target.
    public static let webHeaderBytesMax = ByteCount.kibibytes(32)
    /// Bytes that may come without being part of anything: an unfinished head, or the extensions of a chunk. Above what
    /// one read brings beside a whole head.
    public static let webUnusedBytesMax = ByteCount.kibibytes(128)
    /// The whole body of a request that is read as one. A stream of lines has no bound.
    public static let webBodyBytesMax = ByteCount.mebibytes(16)
    /// The same where the request does not say how long it is, and so all of it must be set aside beforehand.
    public static let webBodyUntoldBytesMax = ByteCount.mebibytes(1)
    /// Requests with a longer body are worked on beside the event loop.
    public static let webLoopBodyBytesMax = ByteCount.kibibytes(16)
    /// Memory for bodies that are being read or handled, all connections together. Of its own, so that slow bodies keep
    /// no client of the Kafka port waiting.
    public static let webBodyMemory = ByteCount.mebibytes(64)
    /// Bytes of lines that a stream writes at a time.
    public static let webStreamBatchBytes = ByteCount.kibibytes(256)
    /// One line of a stream.
    public static let webLineBytesMax = ByteCount.mebibytes(1)
    /// Records of one write that is no stream.
    public static let webRecordsPerWriteMax = 10_000

    /// How long a client may take for a request's head, from its first byte or from the connection's beginning.
    public static let webHeadWaitMax = Duration.seconds(10)
    /// How long a connection may be open without a request, and a stream without a byte.
    public static let webIdleMax = Duration.seconds(60)
    /// A body may take so long, and a second more for each `webBodyBytesPerSecondMin` of it.
    public static let webBodyWaitMax = Duration.seconds(20)
    public static let webBodyBytesPerSecondMin = ByteCount.kibibytes(16)
    /// How long a client may take nothing of an answer that is there.
    public static let webUnreadWaitMax = Duration.seconds(30)
    /// How long what a client still sends is thrown away, so that it reads why it was refused.
    public static let webLingerMax = Duration.seconds(2)
    /// How often a connection is held against the bounds of time.
    public static let webCheckPeriod = Duration.seconds(1)

    /// The longest wait of a read for records.
    public static let webReadWaitMax = Duration.seconds(60)
    /// Bytes of records that one read looks at where the client does not say.
    public static let webReadBytesDefault = ByteCount.mebibytes(1)
    /// The same where it does.
    public static let webReadBytesMax = ByteCount.mebibytes(8)
    /// Partitions that one read looks at.
    public static let webReadPartitionsMax = 1_000
    /// Memory for what reads over HTTP find, until it was sent.
    public static let webReplyMemory = ByteCount.mebibytes(64)
    /// How long a write may take before its fate is unknown.
    public static let webWriteWaitMax = Duration.seconds(30)
    /// Items of one page of a list.
    public static let webPageItemsMax = 1_000
    /// The same where the client does not say.
    public static let webPageItemsDefault = 100
    /// How long a request of one who is over his quota is kept waiting before it is refused instead.
    public static let webThrottleHeldMax = Duration.seconds(1)
    /// How long a connection's credentials are believed before they are checked again. So long somebody whose password
    /// was taken away goes on.
    public static let webLoginRemembered = Duration.seconds(5)
    /// Passwords and tokens that are checked at once, or wait for it.
    public static let webLoginsInFlightMax = 128

    /// Origins of pages that may connect besides the server's own.
    public static let webOriginsMax = 100
    /// Patterns of channels that one token names in its claim, all lists together.
    public static let tokenPatternsMax = 200
    /// API keys of the cluster.
    public static let apiKeysMax = 10_000
    /// The secret of an API key, before it is written as text.
    public static let apiKeySecretBytes = ByteCount.bytes(32)
    /// What people call an API key.
    public static let apiKeyNameBytesMax = ByteCount.bytes(100)
    /// How long a ticket is good.
    public static let webTicketLifetime = Duration.seconds(30)
    /// Tickets of this node that nobody has used yet.
    public static let webTicketsMax = 10_000
    /// A ticket, before it is written as text.
    public static let webTicketBytes = ByteCount.bytes(32)
    /// Records of one pull.
    public static let webPullRecordsMax = 1_000
    /// The longest wait of a pull for records.
    public static let webPullWaitMax = Duration.seconds(60)
    /// Time series of `/metrics` that have a topic's or a group's name in them. What is beyond is left out, and said.
    public static let metricsSeriesMax = 20_000
    /// An idempotency key of a write, without its quotes.
    public static let idempotencyKeyBytesMax = ByteCount.bytes(255)
    /// Writes with an idempotency key that one partition remembers; the oldest go. About 100 bytes of memory each.
    public static let keyedWritesPerPartitionMax = 10_000
    /// The same for all open partitions of one shard.
    public static let keyedWritesPerShardMax = 500_000
    /// No write is forgotten before that, whatever comes: where there is no room for more, more is refused. Twice
    /// what a write may take.
    public static let keyedWriteWindowMin = Duration.seconds(60)
    /// How long a write with a key is remembered where there is room.
    public static let keyedWriteWindowMax = Duration.seconds(24 * 3600)
    /// The first of the producer ids that are made of idempotency keys; clients are given those below.
    public static let keyedProducerIDFirst: Int64 = 1 << 62
}
