package import ApusCore
package import NIOCore

/// Where to read in one partition, and how much.
package struct FetchEntry: Sendable {
    package var topic: TopicReference
    package var partition: PartitionIndex
    package var offset: Offset
    /// The most bytes from this partition (one batch may go over it, KIP-74).
    package var bytesMax: ByteCount
    /// The leader epoch the client knows; `.none` skips the check (KIP-320).
    package var currentLeaderEpoch: Epoch
    /// The epoch of the last record the client has; `.none` skips the divergence check (KIP-595).
    package var lastFetchedEpoch: Epoch

    package init(
        topic: TopicReference, partition: PartitionIndex, offset: Offset, bytesMax: ByteCount,
        currentLeaderEpoch: Epoch = .none, lastFetchedEpoch: Epoch = .none
    ) {
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.bytesMax = bytesMax
        self.currentLeaderEpoch = currentLeaderEpoch
        self.lastFetchedEpoch = lastFetchedEpoch
    }
}

/// Up to where a reader sees (Kafka's `isolation_level`).
package enum IsolationLevel: Hashable, Sendable {
    /// Up to the high watermark.
    case uncommitted
    /// Up to the last stable offset: free of open transactions.
    case committed
}

/// When a fetch is answered, and with how much at most.
package struct FetchLimits: Hashable, Sendable {
    /// Wait until this many bytes are there, all partitions together; 0 or less never waits.
    package var bytesMin: ByteCount
    /// The most bytes of the whole answer; held at ``Limits/fetchBytesMax``.
    package var bytesMax: ByteCount
    /// The longest wait for `bytesMin`; held at ``Limits/fetchWaitMax``.
    package var waitMax: Duration
    package var isolation: IsolationLevel

    package init(bytesMin: ByteCount, bytesMax: ByteCount, waitMax: Duration, isolation: IsolationLevel = .uncommitted)
    {
        self.bytesMin = bytesMin
        self.bytesMax = bytesMax
        self.waitMax = waitMax
        self.isolation = isolation
    }
}

/// The answer for one ``FetchEntry``, at the same place in the answer's array.
package struct FetchResult: Sendable {
    package var error: BrokerError?
    /// -1 with an error that leaves it unknown.
    package var highWatermark: Offset
    package var lastStableOffset: Offset
    package var logStartOffset: Offset
    /// Whole batches as they were produced, in order, with their final offsets and epochs; one behind the other on the
    /// wire. The first may begin below the asked offset: the client skips to it.
    package var batches: [ByteBuffer]
    /// Set when the client's last epoch and offset are not in this log: the client must truncate to here.
    package var divergingEpoch: EpochEnd?

    package init(
        error: BrokerError? = nil, highWatermark: Offset = Offset(rawValue: -1),
        lastStableOffset: Offset = Offset(rawValue: -1), logStartOffset: Offset = Offset(rawValue: -1),
        batches: [ByteBuffer] = [], divergingEpoch: EpochEnd? = nil
    ) {
        self.error = error
        self.highWatermark = highWatermark
        self.lastStableOffset = lastStableOffset
        self.logStartOffset = logStartOffset
        self.batches = batches
        self.divergingEpoch = divergingEpoch
    }

    package var byteCount: ByteCount {
        ByteCount(rawValue: self.batches.reduce(0) { $0 + $1.readableBytes })
    }
}

/// The largest known epoch up to the one asked for, and the offset at which it ends.
package struct EpochEnd: Hashable, Sendable {
    package var epoch: Epoch
    package var endOffset: Offset

    package init(epoch: Epoch, endOffset: Offset) {
        self.epoch = epoch
        self.endOffset = endOffset
    }
}
