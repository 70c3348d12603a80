import ApusCore
import DequeModule
import KafkaWire
import NIOCore

/// Where records become batches: one open batch a partition, full ones queued behind each other.
///
/// Owner: the producer, under its lock. Senders append; the event loop collects what is ready. It decides which
/// partition a record goes to, when a batch is full, when it has lingered, and when there is no room.
struct Accumulator: Sendable {
    struct Bounds: Sendable {
        /// A batch is closed before it grows over this many bytes, unless it is one record.
        var batchBytesMax: Int
        /// The largest record.
        var recordBytesMax: Int
        /// Nothing is taken while this much is held.
        var bufferedBytesMax: Int
        var linger: Duration
        var codec: CompressionCodec
    }

    enum Answer: Hashable, Sendable {
        /// It was taken. With `wakes`, the event loop has something to do, and was not told yet.
        case taken(wakes: Bool)
        /// There is no room now.
        case full
        /// How many partitions the topic has must be learned first.
        case unknownTopic(String)
    }

    private struct Lane: Sendable {
        let topic: Int
        let partition: PartitionIndex
        var open: OpenBatch?
        var closed: Deque<OpenBatch> = []
        /// What is open does not linger: somebody waits for it.
        var isUrgent = false
        var isActive = false
        /// Bytes of the batch before, as a guess for the next one.
        var byteCountHint = 1024

        var isEmpty: Bool { self.open == nil && self.closed.isEmpty }
    }

    private struct Topic: Sendable {
        let name: String
        var lanes: [LaneID]
        /// The partition for records without a key, until its batch is closed.
        var sticky: Int
        var next = 0
        /// What the broker has not refused lately, and at most the bound of all.
        var batchBytesMax: Int
        /// When it may grow again.
        var growsAt = Instant(nanoseconds: 0)
    }

    let bounds: Bounds
    let topicDefault: String?
    let partitioner: Partitioner
    private var lanes: [Lane] = []
    private var topics: [Topic] = []
    private var topicByName: [String: Int] = [:]
    private var topicLast = 0
    /// Lanes that hold something.
    private var active: [LaneID] = []
    private var chance: SplitMix
    private var numberNext: UInt64 = 0
    private var cursor = 0
    private var isWakePending = false
    /// Bytes of what was taken and not yet released, on its way or not.
    private(set) var bufferedBytes = 0

    init(bounds: Bounds, topicDefault: String?, partitioner: Partitioner, seed: UInt64) {
        self.bounds = bounds
        self.topicDefault = topicDefault
        self.partitioner = partitioner
        self.chance = SplitMix(seed: seed)
    }

    // MARK: Topics

    /// The number of partitions became known, or grew. Partitions never go away.
    /// - Returns: the lanes that are new, in order.
    @discardableResult
    mutating func learned(_ topic: String, partitions count: Int) -> [LaneID] {
        precondition(count > 0)
        let index: Int
        if let known = self.topicByName[topic] {
            index = known
        } else {
            index = self.topics.count
            self.topics.append(
                Topic(
                    name: topic, lanes: [], sticky: self.chance.next(below: count),
                    batchBytesMax: self.bounds.batchBytesMax))
            self.topicByName[topic] = index
        }
        var added: [LaneID] = []
        while self.topics[index].lanes.count < count {
            let lane = LaneID(index: self.lanes.count)
            let partition = PartitionIndex(rawValue: Int32(self.topics[index].lanes.count))
            self.lanes.append(Lane(topic: index, partition: partition))
            self.topics[index].lanes.append(lane)
            added.append(lane)
        }
        return added
    }

    var isEmpty: Bool { self.active.allSatisfy { self.lanes[$0.index].isEmpty } }

    func isKnown(_ topic: String) -> Bool { self.topicByName[topic] != nil }

    func address(of lane: LaneID) -> (topic: String, partition: PartitionIndex) {
        let lane = self.lanes[lane.index]
        return (self.topics[lane.topic].name, lane.partition)
    }

    /// A batch of this many bytes is small enough for the topic of that lane, as far as is known.
    mutating func shrink(_ lane: LaneID, batchBytesMax: Int, at now: Instant) {
        let topic = self.lanes[lane.index].topic
        self.topics[topic].batchBytesMax = min(self.topics[topic].batchBytesMax, max(1, batchBytesMax))
        self.topics[topic].growsAt = now.advanced(by: ClientLimits.batchGrowthPeriod)
    }

    // MARK: Appending

    /// Takes a record, unless there is no room or its topic is not known.
    /// - Parameter reply: who waits for this record; its batch then does not linger.
    mutating func append(
        _ record: ProducerRecord, at now: Instant, wall: Timestamp, reply: Reply<DeliveryReceipt>? = nil
    ) throws(ApusError) -> Answer {
        guard let name = record.topic ?? self.topicDefault else {
            throw ApusError(.invalidArgument, "neither the record nor the producer names a topic")
        }
        let size = RecordBatchBuilder.byteCountMax(
            key: record.key, value: record.value, headers: record.wireHeaders)
        guard size <= self.bounds.recordBytesMax else {
            throw ApusError(
                .recordTooLarge,
                "\(name): a record of \(size) bytes is more than a client sends (\(self.bounds.recordBytesMax) bytes); "
                    + "send it in pieces", topic: name)
        }
        guard self.bufferedBytes < self.bounds.bufferedBytesMax else { return .full }
        guard let topic = self.index(of: name) else { return .unknownTopic(name) }
        let lane = try self.lane(for: record, topic: topic)

        var wakes = reply != nil
        var before = self.lanes[lane.index].open?.byteCount ?? 0
        if before > 0, before + size > self.topics[topic].batchBytesMax {
            self.close(lane)
            wakes = true
            before = 0
        }
        if before == 0 {
            self.open(lane, at: now)
            wakes = true
            before = self.lanes[lane.index].open?.byteCount ?? 0
        }
        self.lanes[lane.index].open?.append(record, timestamp: record.timestamp ?? wall, reply: reply)
        self.bufferedBytes += (self.lanes[lane.index].open?.byteCount ?? 0) - before
        if reply != nil { self.lanes[lane.index].isUrgent = true }
        return .taken(wakes: self.wake(if: wakes))
    }

    /// Most records go where the one before went: to compare two short names is cheaper than to hash one.
    private mutating func index(of name: String) -> Int? {
        if self.topics.indices.contains(self.topicLast), self.topics[self.topicLast].name == name {
            return self.topicLast
        }
        guard let index = self.topicByName[name] else { return nil }
        self.topicLast = index
        return index
    }

    private mutating func lane(for record: ProducerRecord, topic: Int) throws(ApusError) -> LaneID {
        let count = self.topics[topic].lanes.count
        if let partition = record.partition {
            guard partition.rawValue >= 0, Int(partition.rawValue) < count else {
                throw ApusError(
                    .unknownTopic, "\(self.topics[topic].name) has \(count) partitions, there is no \(partition)",
                    topic: self.topics[topic].name)
            }
            return self.topics[topic].lanes[Int(partition.rawValue)]
        }
        switch self.partitioner {
        case .standard:
            guard let key = record.key else { return self.topics[topic].lanes[self.topics[topic].sticky] }
            return self.topics[topic].lanes[Murmur2.partition(of: key, count: count)]
        case .roundRobin:
            let next = self.topics[topic].next
            self.topics[topic].next = (next + 1) % count
            return self.topics[topic].lanes[next % count]
        case .custom(let choose):
            let choice = choose(self.topics[topic].name, record.key.map { Array($0.readableBytesView) }, count)
            let remainder = choice % count
            return self.topics[topic].lanes[remainder < 0 ? remainder + count : remainder]
        }
    }

    private mutating func open(_ lane: LaneID, at now: Instant) {
        self.grow(self.lanes[lane.index].topic, at: now)
        let batch = OpenBatch(
            number: BatchNumber(rawValue: self.numberNext), lane: lane, openedAt: now, codec: self.bounds.codec,
            byteCountHint: self.lanes[lane.index].byteCountHint
        )
        self.numberNext += 1
        self.bufferedBytes += batch.byteCount
        self.lanes[lane.index].open = batch
        guard !self.lanes[lane.index].isActive else { return }
        self.lanes[lane.index].isActive = true
        self.active.append(lane)
    }

    /// Somebody may have raised the topic's limit, or the batch that was refused was an odd one.
    private mutating func grow(_ topic: Int, at now: Instant) {
        guard self.topics[topic].batchBytesMax < self.bounds.batchBytesMax, now >= self.topics[topic].growsAt else {
            return
        }
        self.topics[topic].batchBytesMax = min(self.topics[topic].batchBytesMax * 2, self.bounds.batchBytesMax)
        self.topics[topic].growsAt = now.advanced(by: ClientLimits.batchGrowthPeriod)
    }

    private mutating func close(_ lane: LaneID) {
        guard let batch = self.lanes[lane.index].open.take() else { return }
        self.lanes[lane.index].byteCountHint = batch.byteCount
        self.lanes[lane.index].closed.append(batch)
        self.lanes[lane.index].isUrgent = false
        self.leave(lane)
    }

    /// Records without a key go elsewhere from now on: to spread them by batches, not one by one, keeps batches full.
    private mutating func leave(_ lane: LaneID) {
        let topic = self.lanes[lane.index].topic
        let count = self.topics[topic].lanes.count
        guard count > 1, self.topics[topic].sticky == Int(self.lanes[lane.index].partition.rawValue) else { return }
        self.topics[topic].sticky = (self.topics[topic].sticky + 1 + self.chance.next(below: count - 1)) % count
    }

    private mutating func wake(if wakes: Bool) -> Bool {
        guard wakes, !self.isWakePending else { return false }
        self.isWakePending = true
        return true
    }

    // MARK: Collecting

    struct Collected: Sendable {
        var batches: [OpenBatch] = []
        /// When the next batch that still lingers will have.
        var lingersUntil: Instant?
    }

    /// Takes out what is ready, at most one batch of each lane: what is full, urgent or has lingered.
    ///
    /// It begins with the lane after the one it ended at last time, so that busy lanes do not starve others.
    /// - Parameters:
    ///   - bytesMax: bytes over which no further batch is taken.
    ///   - isFirst: the first one is taken whatever its size.
    ///   - mayLeave: whether a batch of this lane may be taken now.
    mutating func collect(at now: Instant, bytesMax: Int, isFirst: Bool, mayLeave: (LaneID) -> Bool) -> Collected {
        self.isWakePending = false
        self.forgetEmptyLanes()
        var collected = Collected()
        var bytes = 0
        let start = self.active.isEmpty ? 0 : self.cursor % self.active.count
        for step in self.active.indices {
            let index = (start + step) % self.active.count
            let lane = self.active[index]
            // A lane from which nothing may leave is looked at again when an answer comes, not by the clock.
            guard mayLeave(lane) else { continue }
            guard let size = self.readyByteCount(lane, at: now) else {
                let until = self.lanes[lane.index].open?.openedAt.advanced(by: self.bounds.linger)
                if let until { collected.lingersUntil = min(collected.lingersUntil ?? until, until) }
                continue
            }
            guard (bytes == 0 && isFirst) || bytes + size <= bytesMax else {
                self.cursor = index
                return collected
            }
            bytes += size
            if self.lanes[lane.index].closed.isEmpty { self.close(lane) }
            if let batch = self.lanes[lane.index].closed.popFirst() { collected.batches.append(batch) }
        }
        return collected
    }

    private mutating func forgetEmptyLanes() {
        self.active.removeAll { lane in
            let isEmpty = self.lanes[lane.index].isEmpty
            if isEmpty { self.lanes[lane.index].isActive = false }
            return isEmpty
        }
    }

    /// Bytes of the batch that is ready; nil when none is.
    private func readyByteCount(_ lane: LaneID, at now: Instant) -> Int? {
        if let batch = self.lanes[lane.index].closed.first { return batch.byteCount }
        guard let open = self.lanes[lane.index].open,
            self.lanes[lane.index].isUrgent || open.openedAt.advanced(by: self.bounds.linger) <= now
        else { return nil }
        return open.byteCount
    }

    /// Takes out what waited too long and was never sent.
    mutating func expire(openedBefore moment: Instant) -> [OpenBatch] {
        var expired: [OpenBatch] = []
        for lane in self.active {
            while let first = self.lanes[lane.index].closed.first, first.openedAt < moment {
                self.lanes[lane.index].closed.removeFirst()
                expired.append(first)
            }
            if self.lanes[lane.index].closed.isEmpty, let open = self.lanes[lane.index].open, open.openedAt < moment {
                self.lanes[lane.index].open = nil
                self.lanes[lane.index].isUrgent = false
                expired.append(open)
            }
        }
        return expired
    }

    /// Takes out everything: the producer is closed.
    mutating func drain() -> [OpenBatch] {
        let all = self.active.flatMap { lane in
            Array(self.lanes[lane.index].closed) + [self.lanes[lane.index].open].compactMap { $0 }
        }
        for lane in self.active {
            self.lanes[lane.index].closed = []
            self.lanes[lane.index].open = nil
        }
        return all
    }

    /// What is open does not linger any longer.
    /// - Returns: whether the event loop has something to do, and was not told yet.
    mutating func hurry() -> Bool {
        for lane in self.active { self.lanes[lane.index].isUrgent = true }
        return self.wake(if: !self.active.isEmpty)
    }

    /// The number that the next batch will have: all batches so far are below it.
    var horizon: BatchNumber { BatchNumber(rawValue: self.numberNext) }

    /// A batch that was collected is done with.
    mutating func release(byteCount: Int) {
        self.bufferedBytes -= byteCount
        precondition(self.bufferedBytes >= 0, "more bytes were released than taken")
    }
}
