import ApusBroker
public import ApusCore
import NIOCore

/// The verbs of a pub-sub system for code in the broker's own process: no socket, no protocol, the same promises.
///
///     try await server.create("orders", partitions: 4)
///     let offset = try await server.write(ServerRecord("hello", key: "customer 7"), to: "orders")
///     for record in try await server.read("orders", from: offset) { print(record.offset, record.record) }
///     try await server.deleteTopic("orders")
///
/// Callable from any task, as often at once as you like. What needs batches, groups or positions is ApusClient's, over
/// ``ApusServer/kafka``.
extension ApusServer {
    /// Creates a topic; answers its id once it can be written to, and will be there after a crash.
    ///
    /// - Parameters:
    ///   - name: 1 to 249 of `a-z A-Z 0-9 . _ -`, and not `.` or `..`.
    ///   - id: nil lets the broker choose one. An id is never used twice, not even after the topic was deleted.
    ///   - partitions: 1 to 10,000; nil: ``ServerConfiguration/partitionsDefault``.
    ///   - configuration: Kafka's names (`retention.ms`, …) and ours (`durability`) to values.
    /// - Throws: ``ServerError/Code/topicExists`` when the name or the id is taken, ``ServerError/Code/invalid``.
    @discardableResult
    public func create(
        _ name: String, id: TopicID? = nil, partitions: Int? = nil, configuration: [String: String] = [:]
    ) async throws(ServerError) -> TopicID {
        let count = partitions.map { Int32(clamping: max(0, $0)) } ?? -1
        return try await self.ask { broker throws(BrokerError) in
            try await broker.create(topicID: id, name: name, partitions: count, configuration: configuration).id
        }
    }

    /// Adds a record to a topic; answers its offset once it is as durable as the topic promises: with
    /// `durability = fsync`, the default, after it reached the disk.
    ///
    /// - Parameter timeout: how long to wait for the disk. Afterwards the record may still come to be.
    /// - Throws: ``ServerError/Code/unknownTopic`` (also for a partition there is none of),
    ///   ``ServerError/Code/tooLarge``, ``ServerError/Code/disk``, ``ServerError/Code/timedOut``. Unless
    ///   ``ServerError/isIndefinite``, the record was not and will not be added.
    @discardableResult
    public func write(
        _ record: ServerRecord, to topic: TopicAddress, partition: PartitionIndex = PartitionIndex(rawValue: 0),
        timeout: Duration = .seconds(30)
    ) async throws(ServerError) -> Offset {
        try await self.ask { broker throws(BrokerError) in
            try await broker.write(
                topic: topic.reference, message: record.message, partition: partition, timeout: timeout)
        }
    }

    /// Records of one partition from an offset on, oldest first. Whoever wants all of them reads on from the last
    /// one's offset plus 1; none come when there are none within `wait`.
    ///
    /// - Parameters:
    ///   - offset: from the partition's start to its end; at the end, what is written next is waited for.
    ///   - bytesMax: about how much to read; one record always comes, however large.
    ///   - wait: how long to wait for a record when there is none, at most 60 s.
    /// - Throws: ``ServerError/Code/offsetOutOfRange``, ``ServerError/Code/unknownTopic``, ``ServerError/Code/disk``.
    public func read(
        _ topic: TopicAddress, from offset: Offset, partition: PartitionIndex = PartitionIndex(rawValue: 0),
        upTo bytesMax: ByteCount = .mebibytes(1), wait: Duration = .zero
    ) async throws(ServerError) -> [StoredRecord] {
        try await self.ask { broker throws(BrokerError) in
            try await broker.read(
                topic: topic.reference, from: offset, partition: partition, bytesMax: bytesMax, wait: wait
            ).map(StoredRecord.init)
        }
    }

    /// Deletes a topic and its records for good. When this answers, the name is free.
    /// - Throws: ``ServerError/Code/unknownTopic``.
    public func deleteTopic(_ topic: TopicAddress) async throws(ServerError) {
        try await self.ask { broker throws(BrokerError) in try await broker.deleteTopic(topic.reference) }
    }

    private func ask<Answer>(
        _ verb: (Broker) async throws(BrokerError) -> Answer
    ) async throws(ServerError) -> Answer {
        guard self.isRunning else { throw ServerError.stopped }
        do throws(BrokerError) {
            return try await verb(self.broker)
        } catch {
            throw ServerError(error)
        }
    }
}
