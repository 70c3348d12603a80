import ApusCore
public import NIOCore
import Synchronization

/// Sends records in batches, in order within each partition.
///
/// `send` returns once the record is in the producer's buffer, and waits while that is full. A record that later fails
/// is reported by the next ``flush()``, by ``close()``, and through ``ProducerOptions/onDelivery``.
/// Any task may use a producer; records of one task to one partition keep their order.
public final class Producer: Sendable {
    private let engine: ProducerEngine

    init(_ engine: ProducerEngine) {
        self.engine = engine
    }

    // MARK: Sending

    /// Takes a record. Suspends only while the buffer is full or the topic is not known yet.
    /// - Throws: `.unknownTopic`, `.recordTooLarge`, `.closed`, `.timedOut` (no room or no metadata within
    ///   `deliveryTimeout`); `CancellationError` when cancelled while waiting: the record was not taken then.
    public func send(_ record: ProducerRecord) async throws {
        try await self.enqueue(record, reply: nil)
    }

    public func send(_ value: ByteBuffer, key: ByteBuffer? = nil) async throws {
        try await self.send(ProducerRecord(value, key: key))
    }

    public func send(_ value: String, key: String? = nil) async throws {
        try await self.send(ProducerRecord(ByteBuffer(string: value), key: key.map { ByteBuffer(string: $0) }))
    }

    /// Takes many records, in order, for the price of one call: the fast way.
    /// - Throws: as ``send(_:)``; the records before the one it failed at were taken.
    public func send(contentsOf records: some Sequence<ProducerRecord>) async throws {
        if let array = records as? [ProducerRecord] {
            // Without a copy of each.
            for start in stride(from: 0, to: array.count, by: ClientLimits.recordsPerLockMax) {
                try await self.enqueue(array[start..<min(array.count, start + ClientLimits.recordsPerLockMax)])
            }
            return
        }
        var rest = records.makeIterator()
        var chunk: [ProducerRecord] = []
        while true {
            chunk.removeAll(keepingCapacity: true)
            while chunk.count < ClientLimits.recordsPerLockMax, let record = rest.next() { chunk.append(record) }
            guard !chunk.isEmpty else { return }
            try await self.enqueue(chunk[...])
        }
    }

    /// Takes a record and waits for its acknowledgment. Its batch does not linger.
    ///
    /// Cancelling stops the waiting only; the record goes its way.
    @discardableResult
    public func sendAndWait(_ record: ProducerRecord) async throws -> DeliveryReceipt {
        let reply = Reply<DeliveryReceipt>()
        try await self.enqueue(record, reply: reply)
        return try await reply.value()
    }

    private func enqueue(_ record: ProducerRecord, reply: Reply<DeliveryReceipt>?) async throws {
        var deadline: Instant?
        while true {
            let (now, wall) = self.time()
            let answer = try self.engine.state.withLock { state throws(ApusError) in
                try state.append(record, at: now, wall: wall, reply: reply)
            }
            if case .taken(let wakes) = answer {
                if wakes { self.wake() }
                return
            }
            let until = deadline ?? now.advanced(by: self.engine.options.deliveryTimeout)
            deadline = until
            try await self.prepare(for: answer, by: until)
        }
    }

    private func enqueue(_ records: ArraySlice<ProducerRecord>) async throws {
        var rest = records
        var deadline: Instant?
        while !rest.isEmpty {
            let (now, wall) = self.time()
            let appended = self.engine.state.withLock { $0.append(contentsOf: rest, at: now, wall: wall) }
            // Before anything is thrown: what was taken must leave.
            if appended.wakes { self.wake() }
            rest = rest.dropFirst(appended.count)
            if appended.count > 0 { deadline = nil }
            guard let answer = try appended.stop?.get() else { return }
            let until = deadline ?? now.advanced(by: self.engine.options.deliveryTimeout)
            deadline = until
            try await self.prepare(for: answer, by: until)
        }
    }

    /// Waits until it is worth trying again.
    private func prepare(for answer: Accumulator.Answer, by deadline: Instant) async throws {
        let engine = self.engine
        let waiter = Waiter()
        switch answer {
        case .taken: return
        case .unknownTopic(let topic):
            engine.core.loop.execute {
                engine.learn(topic, by: deadline) { waiter.answer($0) }
            }
        case .full:
            guard self.time().now < deadline else {
                throw ApusError(
                    .timedOut, "no room for another record within \(engine.options.deliveryTimeout)", isRetryable: true)
            }
            guard engine.state.withLock({ $0.waitForRoom(waiter, until: deadline) }) else { return }
        }
        try await waiter.value()
    }

    private func time() -> (now: Instant, wall: Timestamp) {
        (self.engine.now, self.engine.core.environment.wallTime())
    }

    private func wake() {
        let engine = self.engine
        engine.core.loop.execute { engine.pump() }
    }

    // MARK: Finishing

    /// Sends what waits and returns when everything sent before is delivered.
    /// - Throws: the first failure since the last `flush`, if any.
    public func flush() async throws {
        let waiter = Waiter()
        let (waits, wakes) = self.engine.state.withLock { ($0.waitForFlush(waiter), $0.accumulator.hurry()) }
        if wakes { self.wake() }
        if waits { try await waiter.value() }
        if let failure = self.engine.state.withLock({ $0.takeFailure() }) { throw failure }
    }

    /// ``flush()``, then no more. The producer is closed even when it throws.
    public func close() async throws {
        do {
            try await self.flush()
        } catch {
            await self.abandon()
            throw error
        }
        await self.abandon()
    }

    /// Gives up what is not delivered.
    func abandon() async {
        let engine = self.engine
        await engine.core.ask { engine.close(ApusError(.closed, "the producer was closed")) }
    }

    public var statistics: ProducerStatistics {
        self.engine.state.withLock { state in
            var statistics = state.statistics
            statistics.bytesBuffered = state.accumulator.bufferedBytes
            return statistics
        }
    }
}
