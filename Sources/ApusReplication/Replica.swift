package import ApusCore

/// This broker's copy of one partition, as replication sees it: how far the log reaches, how far that is on the disk,
/// and how far consumers may read.
///
///     0 ─────────── high watermark ─────── durable end ─────── written end ─────── log end
///       promised, readable     fsynced            in the kernel        appended in memory
///
/// With `durability = fsync` the high watermark follows the durable end, with `page-cache` the written end. It is the
/// only bound that consumers and `acks` look at, so followers that must fetch before the watermark moves change this
/// type and nothing that calls it.
///
/// Pure: facts in (what the log did), actions out. Owner: the partition, on its shard's loop.
package struct Replica: Hashable, Sendable {
    /// What counts as written.
    package enum Durability: Hashable, Sendable {
        case fsync
        case pageCache
    }

    /// What a fact leads to.
    package enum Action: Hashable, Sendable {
        case none
        /// Acknowledge all that ends at or below this offset, and wake who waits to read up to it.
        case raiseHighWatermark(to: Offset)
    }

    package private(set) var leaderEpoch: Epoch
    package private(set) var logEnd: Offset
    package private(set) var writtenEnd: Offset
    package private(set) var durableEnd: Offset
    /// Never goes back while the replica lives (promise P4).
    package private(set) var highWatermark: Offset
    package private(set) var durability: Durability
    /// How many in-sync replicas `acks=all` asks for.
    package private(set) var inSyncReplicasMin: Int32

    /// A leader alone: what recovery found is all there is, and nobody else can disagree with it.
    ///
    /// `durableEnd` may lie below `logEnd` after a crash: what was found in the page cache is not promised to anybody
    /// before it is synced.
    package init(
        leading epoch: Epoch, logEnd: Offset, durableEnd: Offset, durability: Durability, inSyncReplicasMin: Int32
    ) {
        precondition(durableEnd <= logEnd, "a log is never durable past its end")
        self.leaderEpoch = epoch
        self.logEnd = logEnd
        self.writtenEnd = logEnd
        self.durableEnd = durableEnd
        self.durability = durability
        self.inSyncReplicasMin = inSyncReplicasMin
        self.highWatermark = durability == .fsync ? durableEnd : logEnd
    }

    /// The in-sync replicas: this one.
    package var inSyncReplicas: Int32 { 1 }

    /// Whether a produce that asks for all in-sync replicas may be taken at all. Asked before the append: a refusal
    /// must leave nothing behind (promise P2).
    package var hasEnoughReplicas: Bool { self.inSyncReplicas >= self.inSyncReplicasMin }

    /// The log took records in memory, up to this offset (exclusive).
    package mutating func appended(through end: Offset) {
        precondition(end >= self.logEnd, "an append never shortens the log")
        self.logEnd = end
    }

    /// The kernel has all below this offset.
    package mutating func written(through end: Offset) -> Action {
        precondition(end <= self.logEnd, "written past the end of the log")
        self.writtenEnd = max(self.writtenEnd, end)
        return self.raise()
    }

    /// The disk has all below this offset.
    package mutating func synced(through end: Offset) -> Action {
        precondition(end <= self.logEnd, "synced past the end of the log")
        self.durableEnd = max(self.durableEnd, end)
        self.writtenEnd = max(self.writtenEnd, end)
        return self.raise()
    }

    /// The log took back what the disk had no room for: nothing of it was promised or readable.
    package mutating func withdrawn(to end: Offset) {
        precondition(end >= self.highWatermark, "what was readable can not be withdrawn")
        precondition(end >= self.writtenEnd, "what was written can not be withdrawn")
        self.logEnd = min(self.logEnd, end)
    }

    /// The topic's configuration changed. A weaker promise may raise the watermark; a stronger one never lowers it.
    package mutating func configured(durability: Durability, inSyncReplicasMin: Int32) -> Action {
        self.durability = durability
        self.inSyncReplicasMin = inSyncReplicasMin
        return self.raise()
    }

    private mutating func raise() -> Action {
        let promised = self.durability == .fsync ? self.durableEnd : self.writtenEnd
        guard promised > self.highWatermark else { return .none }
        self.highWatermark = promised
        return .raiseHighWatermark(to: promised)
    }
}
