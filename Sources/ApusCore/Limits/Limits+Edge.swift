/// Bounds of the edge: channels, cursors, and what clients send and are sent there.
extension Limits {
    /// The name of a channel as it is written, in bytes of UTF-8, escapes counted as they stand.
    public static let channelNameBytesMax = ByteCount.bytes(1024)
    /// Lengths that the prefixes of one topic's channels may have: a record's key is looked up once for each.
    public static let channelPrefixLengthsMax = 32

    /// Arrays and objects inside one another in what an edge client sends and in a record's value. Deeper values are
    /// delivered as text. At most 64: the scanner keeps one bit for each level.
    public static let edgeJSONDepthMax = 64
    /// Members of an object that an edge client sends, at the levels that are read.
    public static let edgeJSONMembersMax = 128

    /// A cursor as text, in bytes: 10,000 partitions whose offsets differ as much as they can fit.
    public static let cursorTextBytesMax = ByteCount.kibibytes(160)
    /// Keys that cursors may be signed with: the present one and those before it.
    public static let cursorKeysMax = 4
    /// Up to so many partitions every push names all of them: that costs no more than a push's other fields.
    public static let cursorPartitionsCheap = 8
    /// What one partition adds to a cursor's text, about.
    public static let cursorBytesPerPartition = ByteCount.bytes(5)
    /// Cursors that one client brings to resume one channel: a whole one, and the steps since.
    public static let cursorsPerResumeMax = 1024

    /// A message of an edge client, in bytes, in how many pieces it may come.
    public static let edgeMessageBytesMax = ByteCount.mebibytes(1)
    /// Operations in one message, each in a line of its own.
    public static let edgeLinesPerMessageMax = 256
    /// What an edge client calls itself, in bytes.
    public static let edgeClientNameBytesMax = ByteCount.bytes(255)
    /// The key of a record that an edge client writes, in bytes.
    public static let edgeKeyBytesMax = ByteCount.kibibytes(64)
    /// A record's content type, in bytes. A longer one stays a header like others.
    public static let edgeContentTypeBytesMax = ByteCount.bytes(255)
    /// Where a reader begins, as text, in bytes; cursors have a bound of their own.
    public static let edgeStartBytesMax = ByteCount.bytes(64)
    /// Records that a client may let come at a time.
    public static let edgeCreditMax = 1_000_000
    /// Records of one `read`.
    public static let edgeReadRecordsMax = 1_000
    /// The same where the client says nothing.
    public static let edgeReadRecordsDefault = 100

    /// How long an edge client may take to say who it is.
    public static let edgeConnectWaitMax = Duration.seconds(5)
    /// How long a request for a WebSocket or an event stream may go unanswered: who asks must be known, and what he may
    /// read found.
    public static let edgeKnockWaitMax = Duration.seconds(20)
    /// How often a quiet connection is pinged. A client that answers nothing for twice as long is gone.
    public static let edgePingPeriod = Duration.seconds(25)
    /// Channels of one connection.
    public static let edgeChannelsPerConnectionMax = 1_000
    /// Operations of one connection that are not answered yet. More of them are refused.
    public static let edgeOperationsInFlightMax = 256
    /// What one connection's socket has not taken yet, in bytes. Beyond it the subscriptions' own rule says what
    /// becomes of them; answers alone beyond it close the connection.
    public static let edgeBytesOwedMax = ByteCount.mebibytes(1)
    /// What one connection reads of the log at a time for clients that catch up, in bytes as they are stored. One batch
    /// may go over it.
    public static let edgeCatchUpBytesMax = ByteCount.kibibytes(256)
    /// What is pushed live while a client that catches up is read for, and held back for it, in bytes. Beyond it the
    /// client reads that, too.
    public static let edgeHeldBytesMax = ByteCount.kibibytes(256)
    /// Pieces that one message of an edge client may come in.
    public static let edgeFragmentsPerMessageMax = 1_024
    /// What the reader of a partition takes at a time, and one `read`, in bytes as they are stored. One batch may go
    /// over it.
    public static let edgeLiveReadBytesMax = ByteCount.kibibytes(256)
    /// Keys and values of one live push, in bytes; one record may go over it.
    public static let edgePushBytesMax = ByteCount.kibibytes(256)
    /// Keys and values that one partition's piece of the past, or one `read`, has after decompression. One record may
    /// go over it.
    public static let edgeCatchUpContentBytesMax = ByteCount.mebibytes(4)
    /// Messages of one connection whose operations are under way, in bytes: beyond it the connection is not read.
    public static let edgeRequestBytesMax = ByteCount.mebibytes(1)
    /// The same for all connections of one event loop, with messages that are not whole yet. Beyond it a client that
    /// has more than ``edgeRequestBytesFree`` is closed, to come again.
    public static let edgeRequestMemoryPerLoop = ByteCount.mebibytes(64)
    /// What every connection may have of it however full it is.
    public static let edgeRequestBytesFree = ByteCount.kibibytes(16)
    /// How long a client's `write` may wait for its promise.
    public static let edgeWriteWaitMax = Duration.seconds(30)
    /// Sockets that are written to, or clients that are given a piece of the past, before the others of the loop have
    /// their turn.
    public static let edgeFlushesPerTickMax = 512
    /// Bytes that are written to sockets before the others of the loop have their turn. One socket's may go over it.
    public static let edgeFlushBytesPerTickMax = ByteCount.mebibytes(4)
    /// How long work that was chopped waits, so that sockets are looked at in between: what an event loop is told to do
    /// at once, it does before it looks.
    public static let edgeTurnWait = Duration.microseconds(50)
    /// Reads of a partition that are answered at once before the others of the loop have their turn.
    public static let edgeReadsPerTurnMax = 4
    /// What was read of the past for one client is kept so long for others who stand at the same place.
    public static let edgePastKeptFor = Duration.seconds(1)
    /// What is kept so on one event loop. The oldest goes first.
    public static let edgePastMemoryPerLoop = ByteCount.mebibytes(16)
    /// Pushes whose frames an event loop keeps for a moment, for those who are given them one after the other.
    public static let edgeFramesKeptPerLoop = 8
    /// What is copied into one buffer to be written at once; more is written from where it is.
    public static let edgeJoinedWriteBytesMax = ByteCount.kibibytes(16)
    /// How long a connection that was told its end may take to take it.
    public static let edgeCloseWaitMax = Duration.seconds(2)
    /// How long a socket may take nothing of what it is owed.
    public static let edgeUnreadWaitMax = Duration.seconds(30)
    /// How long browsers wait before they open an event stream again, at least.
    public static let edgeRetryWait = Duration.seconds(2)
    /// Over how long the clients of a node that stops are spread when they are told to move.
    public static let edgeMoveSpreadMax = Duration.seconds(10)

    /// Channels of one event stream.
    public static let edgeChannelsPerStreamMax = 64
    /// Up to this length every event of a stream of several channels carries its id, whatever its own length.
    public static let edgeStreamIDBytesCheap = ByteCount.bytes(512)
    /// The id of such a stream's events at the beginning: less than a header field, so that it can come back.
    public static let edgeStreamIDBytesMax = ByteCount.kibibytes(16)
    /// Parts of ``connectionSweepPeriod`` in which the connections of a loop are looked at, so that they are not all
    /// asked in one go.
    public static let edgeSweepSlices = 16
    /// Shorter messages are not compressed: their frame would hardly be shorter.
    public static let edgeDeflatedBytesMin = ByteCount.bytes(128)
}
