public import NIOCore

/// Sends records in batches, in order within each partition.
///
/// `send` returns once the record is in the producer's buffer, and waits while that is full. A record that later fails
/// is reported by the next ``flush()``, by ``close()``, and through ``ProducerOptions/onDelivery``.
/// Any task may use a producer; records of one task to one partition keep their order.
public final class Producer: Sendable {
    init() {}

    /// Takes a record. Suspends only while the buffer is full or the topic is not known yet.
    /// - Throws: `.unknownTopic`, `.recordTooLarge`, `.closed`, `.timedOut` (no room or no metadata within
    ///   `deliveryTimeout`); `CancellationError` when cancelled while waiting: the record was not taken then.
    public func send(_ record: ProducerRecord) async throws {
        throw ApusError(.unsupported, "not there yet")
    }

    public func send(_ value: ByteBuffer, key: ByteBuffer? = nil) async throws {
        try await self.send(ProducerRecord(value, key: key))
    }

    public func send(_ value: String, key: String? = nil) async throws {
        try await self.send(ProducerRecord(ByteBuffer(string: value), key: key.map { ByteBuffer(string: $0) }))
    }

    /// Takes many records, in order, for the price of one call: the fast way.
    /// - Throws: as ``send(_:)``; the records before the one it failed at were taken.
    public func send(contentsOf records: some Sequence<ProducerRecord> & Sendable) async throws {
        throw ApusError(.unsupported, "not there yet")
    }

    /// Takes a record and waits for its acknowledgment. Its batch does not linger.
    ///
    /// Cancelling stops the waiting only; the record goes its way.
    @discardableResult
    public func sendAndWait(_ record: ProducerRecord) async throws -> DeliveryReceipt {
        throw ApusError(.unsupported, "not there yet")
    }

    /// Sends what waits and returns when everything sent before is delivered.
    /// - Throws: the first failure since the last `flush`, if any.
    public func flush() async throws {
        throw ApusError(.unsupported, "not there yet")
    }

    /// ``flush()``, then no more.
    public func close() async throws {
        throw ApusError(.unsupported, "not there yet")
    }

    public var statistics: ProducerStatistics { ProducerStatistics() }
}
