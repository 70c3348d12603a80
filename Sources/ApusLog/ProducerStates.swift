package import ApusCore
package import KafkaWire

/// What idempotent producers wrote to one partition lately, so that a batch sent again is not stored again (KIP-98).
///
/// For each producer id: its epoch and its last five batches. Kafka's clients keep at most five requests in flight, so
/// whatever they send again is among these. The rules, in the order they are asked:
///
/// 1. The epoch and both sequences equal one of the five: a duplicate; it is answered as it was the first time.
/// 2. An older epoch is refused. 3. A newer epoch must start at sequence 0.
/// 4. A producer nobody remembers (expired, or its records are gone) may go on with any sequence.
/// 5. Otherwise the sequence must follow the last one; after 2,147,483,647 comes 0.
///
/// Writes with an idempotency key have ids and rules of their own: ``KeyedWrites``.
package struct ProducerStates: Hashable, Sendable {
    package struct Batch: Hashable, Sendable {
        package var firstSequence: Int32
        package var lastSequence: Int32
        package var baseOffset: Offset
        package var lastOffset: Offset
        package var timestamp: Timestamp
    }

    package struct Producer: Hashable, Sendable {
        package var id: Int64
        package var epoch: Int16
        /// Oldest first. Up to five that are on the disk, and those that are not yet.
        package var batches: [Batch] = []
        /// What must come next, when there is no batch to tell; nil when anything may.
        var nextSequence: Int32?
        /// There were more batches than are kept.
        var hasOlder = false
        /// Wall clock of the last append.
        package var lastAppendAt: Timestamp
        /// Orders producers by who wrote least recently.
        var lastOffset: Offset

        package var lastSequence: Int32? { self.batches.last?.lastSequence }

        var sequenceExpected: Int32? {
            guard let last = self.batches.last else { return self.nextSequence }
            return last.lastSequence == .max ? 0 : last.lastSequence + 1
        }
    }

    package enum Verdict: Hashable, Sendable {
        case append
        /// It is in the log already. Answer with these, once `lastOffset` is as durable as was promised.
        case duplicate(baseOffset: Offset, lastOffset: Offset, timestamp: Timestamp)
    }

    private var producers: [Int64: Producer] = [:]
    private var keyed = KeyedWrites()

    package init() {}

    /// What a state file holds.
    init(_ producers: [Producer]) {
        for producer in producers where producer.id < Limits.keyedProducerIDFirst {
            self.producers[producer.id] = producer
        }
        self.keyed = KeyedWrites(producers.filter { $0.id >= Limits.keyedProducerIDFirst })
    }

    /// Of clients.
    package var count: Int { self.producers.count }
    /// Writes that are known by an idempotency key.
    package var keyedCount: Int { self.keyed.count }

    /// Those of clients, by id: the same log always gives the same list.
    package var sorted: [Producer] { self.producers.values.sorted { $0.id < $1.id } }
    /// With the writes that have a key behind them, in the order of their offsets.
    var all: [Producer] { self.sorted + self.keyed.producers }

    package func verdict(on header: RecordBatchHeader) throws(ProducerError) -> Verdict {
        guard header.producerID >= 0, !header.attributes.isControl else { return .append }
        guard !header.isKeyed else { return try self.keyed.verdict(on: header) }
        guard let known = self.producers[header.producerID] else { return .append }
        guard header.producerEpoch >= known.epoch else {
            throw .invalidEpoch(sent: header.producerEpoch, current: known.epoch)
        }
        guard header.producerEpoch == known.epoch else {
            guard header.baseSequence == 0 else { throw .outOfOrder(sent: header.baseSequence, expected: 0) }
            return .append
        }
        for batch in known.batches
        where batch.firstSequence == header.baseSequence && batch.lastSequence == header.lastSequence {
            return .duplicate(
                baseOffset: batch.baseOffset, lastOffset: batch.lastOffset, timestamp: batch.timestamp
            )
        }
        if let expected = known.sequenceExpected, header.baseSequence != expected {
            throw .outOfOrder(sent: header.baseSequence, expected: expected)
        }
        return .append
    }

    /// A batch that `verdict` allowed, or that recovery found, is in the log now.
    /// - Parameter written: the end of what is on the disk: batches behind it are kept beyond five.
    mutating func note(_ header: RecordBatchHeader, wall: Timestamp, written: Offset) {
        guard header.producerID >= 0, !header.attributes.isControl else { return }
        guard !header.isKeyed else { return self.keyed.note(header, wall: wall) }
        let batch = Batch(
            firstSequence: header.baseSequence, lastSequence: header.lastSequence,
            baseOffset: Offset(rawValue: header.baseOffset), lastOffset: Offset(rawValue: header.lastOffset),
            timestamp: Timestamp(rawValue: header.attributes.isLogAppendTime ? header.maxTimestamp : -1)
        )
        if self.producers[header.producerID] == nil { self.makeRoom() }
        self.producers[
            header.producerID,
            default: Producer(
                id: header.producerID, epoch: header.producerEpoch, lastAppendAt: wall, lastOffset: batch.lastOffset
            )
        ].note(batch, epoch: header.producerEpoch, wall: wall, written: written)
    }

    /// Forgets the producers that wrote least recently, a tenth at once, when there is no room for one more.
    private mutating func makeRoom() {
        guard self.producers.count >= Limits.producersPerPartitionMax else { return }
        let oldest = self.producers.values.sorted { ($0.lastOffset, $0.id) < ($1.lastOffset, $1.id) }
        for producer in oldest.prefix(max(1, Limits.producersPerPartitionMax / 10)) {
            self.producers[producer.id] = nil
        }
    }

    /// How long it takes until one more write with a key may be remembered; nil when it may be now.
    package func waitForKey(wall: Timestamp) -> Duration? { self.keyed.waitForRoom(wall: wall) }

    /// Forgets writes with a key that are older than `window`.
    mutating func expireKeys(wall: Timestamp, window: Duration) {
        self.keyed.expire(wall: wall, window: window)
    }

    /// Forgets producers that were silent for too long.
    mutating func expire(wall: Timestamp, idleMax: Duration = Limits.producerIdleMax) {
        self.expireKeys(wall: wall, window: Limits.keyedWriteWindowMax)
        guard !self.producers.isEmpty else { return }
        let silentSince = wall.earlier(by: idleMax)
        self.producers = self.producers.filter { $0.value.lastAppendAt >= silentSince }
    }

    /// Batches at `end` and above are not in the log after all. What is left expects the first of them again.
    mutating func rewind(to end: Offset) {
        self.keyed.rewind(to: end)
        for producer in self.producers.values where producer.lastOffset >= end {
            var producer = producer
            self.producers[producer.id] = producer.rewind(to: end) ? producer : nil
        }
    }

    /// These states as they were when the log ended at `end`.
    func rewound(to end: Offset) -> ProducerStates {
        var copy = self
        copy.rewind(to: end)
        return copy
    }
}

extension ProducerStates.Producer {
    fileprivate mutating func note(
        _ batch: ProducerStates.Batch, epoch: Int16, wall: Timestamp, written: Offset
    ) {
        if epoch != self.epoch {
            self.epoch = epoch
            self.batches.removeAll(keepingCapacity: true)
            self.hasOlder = true
        }
        self.batches.append(batch)
        // Five that are on the disk, so that five are left should the others have to be taken back.
        while self.batches.count > Limits.producerBatchesKept,
            self.batches[Limits.producerBatchesKept].lastOffset < written
        {
            self.batches.removeFirst()
            self.hasOlder = true
        }
        self.nextSequence = nil
        self.lastAppendAt = wall
        self.lastOffset = batch.lastOffset
    }

    /// - Returns: false when nothing is left that anybody would remember.
    fileprivate mutating func rewind(to end: Offset) -> Bool {
        var first: Int32?
        while let last = self.batches.last, last.lastOffset >= end {
            first = last.firstSequence
            self.batches.removeLast()
        }
        if let last = self.batches.last {
            self.lastOffset = last.lastOffset
            return true
        }
        self.nextSequence = first ?? self.nextSequence
        self.lastOffset = min(self.lastOffset, Offset(rawValue: max(0, end.rawValue - 1)))
        return self.hasOlder
    }
}

/// Why a batch of an idempotent producer is not appended.
package enum ProducerError: Error, Hashable, Sendable {
    /// OUT_OF_ORDER_SEQUENCE_NUMBER: a batch in front of this one is missing.
    case outOfOrder(sent: Int32, expected: Int32)
    /// INVALID_PRODUCER_EPOCH: another producer took over this id.
    case invalidEpoch(sent: Int16, current: Int16)
    /// The idempotency key is that of another write.
    case keyReused
}
