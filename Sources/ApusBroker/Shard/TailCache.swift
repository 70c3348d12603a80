import ApusCore
import DequeModule
import NIOCore

/// The newest batches of one partition, as the very buffers that were produced. Owner: its partition's shard.
final class TailRing {
    struct Batch {
        var base: Offset
        /// The offset behind it.
        var end: Offset
        var bytes: ByteBuffer
        /// Its number in the shard's queue; never reused.
        var sequence: UInt64
    }

    fileprivate(set) var batches = Deque<Batch>()

    /// Whole batches from the one that holds `offset`, all below `end`, up to `limit` bytes but at least one. Nil when
    /// `offset` is older than what is here.
    func read(from offset: Offset, below end: Offset, upTo limit: ByteCount) -> [ByteBuffer]? {
        guard let oldest = self.batches.first, offset >= oldest.base else { return nil }
        var low = 0
        var high = self.batches.count
        while low < high {
            let middle = (low + high) / 2
            if self.batches[middle].end <= offset { low = middle + 1 } else { high = middle }
        }
        var found: [ByteBuffer] = []
        var byteCount = 0
        for index in low..<self.batches.count {
            let batch = self.batches[index]
            guard batch.end <= end else { break }
            guard found.isEmpty || byteCount + batch.bytes.readableBytes <= limit.rawValue else { break }
            byteCount += batch.bytes.readableBytes
            found.append(batch.bytes)
        }
        return found
    }
}

/// What a shard keeps in memory of its partitions' ends, so that readers at the tail never wait for a disk: one budget
/// of bytes for all of them, the oldest batch of all leaves first.
struct TailCache {
    private struct Entry {
        var ring: TailRing
        var sequence: UInt64
    }

    /// What a batch costs beside its bytes: an entry here, one in its ring, the buffer's own head.
    private static let overhead = 160

    let limit: ByteCount
    private(set) var byteCount = ByteCount.zero
    private var queue = Deque<Entry>()
    private var live = 0
    private var sequence: UInt64 = 0

    init(limit: ByteCount) {
        self.limit = limit
    }

    mutating func append(_ bytes: ByteBuffer, base: Offset, end: Offset, to ring: TailRing) {
        let cost = bytes.readableBytes + Self.overhead
        guard cost <= self.limit.rawValue else {
            // Readers must find no gap: what is in the ring ends before this batch.
            self.removeAll(of: ring)
            return
        }
        self.sequence += 1
        ring.batches.append(TailRing.Batch(base: base, end: end, bytes: bytes, sequence: self.sequence))
        self.queue.append(Entry(ring: ring, sequence: self.sequence))
        self.live += 1
        self.byteCount = self.byteCount + .bytes(cost)
        while self.byteCount > self.limit, let oldest = self.queue.popFirst() { self.evict(oldest) }
        self.dropDead()
    }

    /// The log took back everything at and above `end`.
    mutating func withdraw(from end: Offset, of ring: TailRing) {
        while let last = ring.batches.last, last.end > end {
            ring.batches.removeLast()
            self.forget(last)
        }
    }

    /// Compaction has been over everything below `end`: readers shall not go on seeing what it took away.
    mutating func removeAll(of ring: TailRing, below end: Offset) {
        while let first = ring.batches.first, first.end <= end {
            ring.batches.removeFirst()
            self.forget(first)
        }
        self.dropDead()
    }

    mutating func removeAll(of ring: TailRing) {
        for batch in ring.batches { self.forget(batch) }
        ring.batches.removeAll()
        self.dropDead()
    }

    private mutating func evict(_ entry: Entry) {
        guard let first = entry.ring.batches.first, first.sequence == entry.sequence else { return }
        entry.ring.batches.removeFirst()
        self.forget(first)
    }

    private mutating func forget(_ batch: TailRing.Batch) {
        self.live -= 1
        self.byteCount = self.byteCount - .bytes(batch.bytes.readableBytes + Self.overhead)
    }

    /// Entries whose batch has gone otherwise must not pile up behind one that stays.
    private mutating func dropDead() {
        guard self.queue.count > 1024, self.queue.count > 2 * self.live else { return }
        var kept = Deque<Entry>(minimumCapacity: self.live)
        for entry in self.queue {
            guard let first = entry.ring.batches.first, let last = entry.ring.batches.last,
                entry.sequence >= first.sequence, entry.sequence <= last.sequence
            else { continue }
            kept.append(entry)
        }
        self.queue = kept
    }
}

extension ByteBuffer {
    /// These bytes in a buffer that does not keep a much larger one alive. A slice of at least a quarter of its frame
    /// is left as it is: copying it would cost more than it frees.
    func detached() -> ByteBuffer {
        guard self.readableBytes * 4 < self.storageCapacity else { return self }
        var copy = ByteBufferAllocator().buffer(capacity: self.readableBytes)
        copy.writeImmutableBuffer(self)
        return copy
    }
}
