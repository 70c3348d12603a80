import ApusCore
import ApusLog
import ApusSubscriptions
import DequeModule

/// A partition's place in its shard, from the first request for it until it is closed again.
///
/// Owner: its shard; touched on that loop only.
final class PartitionSlot {
    /// Goes on with the open partition, or with why there is none.
    typealias Waiter = (Result<PartitionSlot, BrokerError>) -> Void

    /// Goes on with where a window begins, or with why that can not be told.
    typealias WindowWaiter = (Result<Offset, BrokerError>) -> Void

    enum State {
        /// The disk looks for the log.
        case opening
        case open
        /// The last job is under way; then the slot goes away, and a new one comes if somebody waits.
        case closing
        /// The log could not be opened; tried again after a while.
        case unopenable(BrokerError)
        /// The log failed. It stays so until the broker starts again: what is on the disk is not known any more.
        case failed(BrokerError)
        /// The topic was deleted.
        case gone
    }

    let id: TopicPartition
    /// Writes go through `lane`, cold reads through `readLane`, so that a read never waits for a sync,
    /// nor a write for reads.
    let lane: DiskLane
    let readLane: DiskLane
    /// As the last request saw it.
    var topic: Topic
    var state = State.opening
    /// Nil before it was opened.
    var partition: Partition?
    let tail = TailRing()
    /// Who waits for it to be opened, in order.
    var waiters = Deque<Waiter>()
    /// They go on just now, one after the other: who comes meanwhile goes behind them.
    var isProceeding = false
    var parked: [FetchPart] = []
    /// In the shard's list of partitions whose log may have a job.
    var isDirty = false
    /// A job is with the disk.
    var isInFlight = false
    /// A pass of compaction goes over its log.
    var isCompacting = false
    /// The shard's count of seconds before which it is not compacted again, after a pass that failed.
    var compactionRestsUntil: UInt32 = 0
    /// The disk was full twice in a row: wait before it is tried again.
    var isMending = false
    /// The shard's count of seconds when it was last used.
    var usedAt: UInt32 = 0
    var retentionAt: UInt32 = 0
    /// The generation of subscriptions that the next five were derived of; none yet.
    var generation: UInt64 = 0
    /// How long records stay; nil: for ever.
    var retention: Duration?
    /// Somebody may not read all that is there.
    var isWindowed = false
    /// How far back each of those who read here lately may read.
    var windowsOfReaders: [WindowReader: ReadWindow] = [:]
    /// The shard's count of seconds from which on a use by each of those who read here lately is told again.
    var usesNotedUntil: [ConsumerName: UInt32] = [:]
    var windows = PartitionWindows()
    /// Who waits for the time index, by the period that was asked for.
    var windowWaiters: [Duration: [WindowWaiter]] = [:]
    /// Reads that go to the disk threads before the page cache is asked again.
    fileprivate var readsNotCached = 0
    /// Its place in the shard's sweep.
    var sweepIndex = 0
    /// Called when nothing of it is with the disk any more, for the deletion of its topic.
    var whenAtRest: (() -> Void)?

    init(id: TopicPartition, topic: Topic, lane: DiskLane, readLane: DiskLane) {
        self.id = id
        self.topic = topic
        self.lane = lane
        self.readLane = readLane
    }
}

extension PartitionSlot {
    /// Whether a read is worth a look into the page cache. Who reads cold data finds the next of it cold, too.
    func mayBeCached() -> Bool {
        guard self.readsNotCached > 0 else { return true }
        self.readsNotCached -= 1
        return false
    }

    func wasNotCached() { self.readsNotCached = Limits.readsNotCached }

    /// For people, who know names, and for the file system, which knows ids.
    var label: String { "\(self.topic.name)-\(self.id.partition) (\(self.id))" }
}

/// What a shard's timer wheel holds.
enum ShardDeadline {
    case produce(ProduceOperation)
    case fetch(FetchPart)
    case deletion(ParkedDeletion)
}
