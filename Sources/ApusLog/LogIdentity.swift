package import ApusCore

/// Whose log it is, and where it lives. Every file of the log says so too, so that a file that strayed is found out.
package struct LogIdentity: Hashable, Sendable {
    package let topicPartition: TopicPartition
    /// `topics/<topic id>/<partition>`: made of ids and numbers only, never of a name that a client chose.
    package let directory: DiskPath

    package init(_ topicPartition: TopicPartition) {
        self.topicPartition = topicPartition
        self.directory = TopicDirectory.path(of: topicPartition.topic).appending("\(topicPartition.partition)")
    }

    /// Whoever owns the records may take this file's being there for the word to go on without those that are damaged.
    /// The log itself only leaves it alone.
    package var acceptedDamage: DiskPath { self.directory.appending(FileName.acceptedDamageName) }
}

/// What a topic's configuration says about its logs. May be changed while the log is open: it holds from the next
/// append, job or retention on.
package struct LogConfiguration: Hashable, Sendable {
    /// A segment is closed before it would grow beyond this; one batch may be larger.
    package var segmentBytes: ByteCount
    /// A segment is closed when its first batch is older than this.
    package var segmentAge: Duration
    /// Segments whose newest record is older are removed; nil keeps them for ever.
    package var retentionAge: Duration?
    /// The oldest segments are removed while the rest still holds this much; nil keeps them for ever.
    package var retentionBytes: ByteCount?
    /// Bytes between two entries of the sparse index.
    package var indexIntervalBytes: ByteCount
    /// `durability = fsync`: every job ends with a sync. Otherwise the log is synced at checkpoints only.
    package var isDurable: Bool
    /// Bytes written after which a checkpoint bounds what recovery has to scan.
    package var checkpointBytes: ByteCount
    /// `cleanup.policy=compact`: of each key the newest record is kept; nil keeps all.
    package var compaction: CompactionPolicy?

    package init(
        segmentBytes: ByteCount = Limits.segmentBytesDefault, segmentAge: Duration = Limits.segmentAgeDefault,
        retentionAge: Duration? = Limits.retentionAgeDefault, retentionBytes: ByteCount? = nil,
        indexIntervalBytes: ByteCount = Limits.indexIntervalBytes, isDurable: Bool = true,
        checkpointBytes: ByteCount = Limits.checkpointBytes, compaction: CompactionPolicy? = nil
    ) {
        self.segmentBytes = segmentBytes
        self.segmentAge = segmentAge
        self.retentionAge = retentionAge
        self.retentionBytes = retentionBytes
        self.indexIntervalBytes = indexIntervalBytes
        self.isDurable = isDurable
        self.checkpointBytes = checkpointBytes
        self.compaction = compaction
    }
}
