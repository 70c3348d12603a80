import ApusCore
import ApusLog

/// How many writes with idempotency keys the open partitions of a shard remember: counted once a second while there
/// are new ones, estimated from above in between.
///
/// A partition bounds its own; this bounds the memory of all. Owner: the shard.
struct ShardKeys {
    private var counted = 0
    private var asked = 0
    /// Something came since the count.
    fileprivate(set) var isStale = false

    /// Whether one more may come.
    mutating func takesMore() -> Bool {
        self.isStale = true
        guard self.counted + self.asked < Limits.keyedWritesPerShardMax else { return false }
        self.asked += 1
        return true
    }

    /// A partition was opened that remembers some.
    mutating func opened() { self.isStale = true }

    fileprivate mutating func counted(_ count: Int) {
        self = ShardKeys()
        self.counted = count
    }
}

extension Shard {
    /// Once a second. Where there is no room left, every partition forgets what it need not remember: a flood of keys
    /// to one costs the others no more than that.
    func countKeys() {
        guard self.keys.isStale else { return }
        func count() -> Int { self.sweep.reduce(0) { $0 + ($1.partition?.log.producers.keyedCount ?? 0) } }
        var kept = count()
        if kept >= Limits.keyedWritesPerShardMax {
            let wall = self.readRetentionClock()
            for slot in self.sweep {
                slot.partition?.log.expireKeys(wall: wall, window: Limits.keyedWriteWindowMin)
            }
            kept = count()
        }
        self.keys.counted(kept)
        // Full: what is old enough by the next second is forgotten then.
        if kept >= Limits.keyedWritesPerShardMax { self.keys.opened() }
    }
}
