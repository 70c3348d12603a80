import ApusAccess
package import ApusCore
package import NIOCore
import KafkaWire

/// The pub-sub verbs for Swift code in the same process: create, write, read and delete, by a topic's id or name.
extension Broker {
    /// Creates a topic; answers once it can be written to.
    /// - Parameter topicID: nil lets the broker choose one.
    /// - Throws: `.topicExists` when the name or the id is taken, `.invalidTopicName`, `.invalidConfiguration`, …
    @discardableResult
    package func create(
        topicID: TopicID? = nil, name: String, partitions: Int32 = -1, configuration: [String: String] = [:],
        as client: ClientContext = .embedded
    ) async throws(BrokerError) -> Topic {
        let wish = TopicSpecification(
            id: topicID, name: name, partitions: partitions, configuration: configuration.mapValues { $0 }
        )
        return try await self.one { answer in
            self.create([wish], client: client, on: self.registry.loop) { answer($0[0]) }
        }
    }

    /// Adds a message to a topic; answers with its place once it is as durable as the topic promises.
    /// - Throws: `.unknownTopicOrPartition`, `.batchTooLarge`, `.storage`, `.storageFull`, `.timedOut`, …
    @discardableResult
    package func write(
        topic: TopicReference, message: Message, partition: PartitionIndex = PartitionIndex(rawValue: 0),
        timeout: Duration = .seconds(30), as client: ClientContext = .embedded
    ) async throws(BrokerError) -> Offset {
        let bytes = RecordBatchBuilder.byteCountMax(key: message.key, value: message.value, headers: message.records)
        guard bytes <= Limits.frameBytesMax.rawValue else {
            throw .batchTooLarge(.bytes(bytes), limit: Limits.frameBytesMax)
        }
        var builder = RecordBatchBuilder(byteCountHint: RecordBatchHeader.byteCount + bytes)
        builder.append(
            key: message.key, value: message.value, headers: message.records,
            timestamp: (message.timestamp ?? self.ports.clock.wallTime).rawValue
        )
        let entry = ProduceEntry(topic: topic, partition: partition, records: builder.finish())
        return try await self.one { answer in
            self.produce([entry], acks: .all, timeout: timeout, client: client, on: self.registry.loop) { results in
                answer(results[0].error.map { .failure($0) } ?? .success(results[0].baseOffset))
            }
        }
    }

    /// The messages of one partition from an offset on, oldest first; none when there are none within `wait`.
    ///
    /// Reads that go on at once share `BrokerSettings.readMemory`: beyond it they wait their turn, and answers get
    /// shorter while half of it is taken.
    /// - Parameter bytesMax: about how much to read; one message always comes, however large.
    /// - Throws: `.offsetOutOfRange` below the start or above the end of the log, `.unknownTopicOrPartition`, …
    package func read(
        topic: TopicReference, from offset: Offset, partition: PartitionIndex = PartitionIndex(rawValue: 0),
        bytesMax: ByteCount = .mebibytes(1), wait: Duration = .zero, as client: ClientContext = .embedded
    ) async throws(BrokerError) -> [StoredMessage] {
        let entry = FetchEntry(topic: topic, partition: partition, offset: offset, bytesMax: bytesMax)
        let limits = FetchLimits(bytesMin: .bytes(1), bytesMax: bytesMax, waitMax: wait)
        let memory = self.readMemory
        let found: FetchResult = try await self.one { answer in
            self.fetch([entry], limits: limits, client: client, memory: memory, on: self.registry.loop) { results in
                if let error = results[0].error { return answer(.failure(error)) }
                memory.hold(results[0].byteCount)
                answer(.success(results[0]))
            }
        }
        // From here on it is the caller's own.
        defer { memory.drop(found.byteCount) }
        var messages: [StoredMessage] = []
        for buffer in found.batches { try Self.decode(buffer, from: offset, into: &messages) }
        return messages
    }

    /// Deletes a topic and its messages for good.
    package func deleteTopic(
        _ topic: TopicReference, as client: ClientContext = .embedded
    ) async throws(BrokerError) {
        _ = try await self.one { answer in
            self.deleteTopics([topic], client: client, on: self.registry.loop) { answer($0[0]) }
        }
    }

    private func one<Value: Sendable>(
        _ ask: (@escaping @Sendable (Result<Value, BrokerError>) -> Void) -> Void
    ) async throws(BrokerError) -> Value {
        let result = await withCheckedContinuation { continuation in
            ask { continuation.resume(returning: $0) }
        }
        return try result.get()
    }

    private static func decode(
        _ buffer: ByteBuffer, from offset: Offset, into messages: inout [StoredMessage]
    ) throws(BrokerError) {
        var buffer = buffer
        do throws(WireError) {
            while let batch = try RecordBatch.read(from: &buffer) {
                // Markers of transactions are no messages.
                guard !batch.header.attributes.isControl else { continue }
                var records = try batch.records()
                while let record = try records.next() {
                    guard record.offset >= offset.rawValue else { continue }
                    messages.append(StoredMessage(record))
                }
            }
        } catch {
            throw .corruptBatch("\(error)")
        }
    }
}

/// A message as its publisher hands it over.
package struct Message: Hashable, Sendable {
    package struct Header: Hashable, Sendable {
        package var name: String
        package var value: ByteBuffer?

        package init(name: String, value: ByteBuffer?) {
            self.name = name
            self.value = value
        }
    }

    package var key: ByteBuffer?
    package var value: ByteBuffer?
    package var headers: [Header]
    /// Nil: now, by the broker's clock.
    package var timestamp: Timestamp?

    package init(key: ByteBuffer? = nil, value: ByteBuffer?, headers: [Header] = [], timestamp: Timestamp? = nil) {
        self.key = key
        self.value = value
        self.headers = headers
        self.timestamp = timestamp
    }

    fileprivate var records: [Record.Header] {
        self.headers.map { Record.Header(key: $0.name, value: $0.value) }
    }
}

/// A message with its place in its partition.
package struct StoredMessage: Hashable, Sendable {
    package var offset: Offset
    package var timestamp: Timestamp
    package var message: Message

    fileprivate init(_ record: Record) {
        self.offset = Offset(rawValue: record.offset)
        self.timestamp = Timestamp(rawValue: record.timestamp)
        self.message = Message(
            key: record.key, value: record.value,
            headers: record.headers.map { Message.Header(name: $0.key, value: $0.value) }, timestamp: self.timestamp
        )
    }
}

extension ClientContext {
    /// Code in the broker's own process.
    package static let embedded = ClientContext(principal: .embedded, clientID: "embedded", address: "local")
}
