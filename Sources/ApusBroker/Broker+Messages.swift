import ApusAccess
import ApusCore
import KafkaWire
package import NIOCore

/// Single messages for doors whose clients know of no batches.
extension Broker {
    /// Writes messages, each to its partition; those of one partition keep their order, and go in as few batches as the
    /// topic's `max.message.bytes` allows. Answers in the messages' order. One that is refused does not touch the
    /// others, but for those that share its batch.
    ///
    /// - Parameter spread: any number; messages without a key and without a partition go to the one that it names.
    package func write(
        _ messages: [AddressedMessage], to reference: TopicReference, acks: Acks = .all, timeout: Duration,
        spread: UInt32, client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable ([Result<WrittenPlace, BrokerError>]) -> Void
    ) {
        let topic: Topic
        do throws(BrokerError) {
            topic = try self.topics.topic(reference, .write, for: client)
        } catch {
            return self.mailbox(of: loop).run { then(messages.map { _ in .failure(error) }) }
        }
        var plan = MessageBatches(topic, count: messages.count, now: self.ports.clock.wallTime, spread: spread)
        for (index, message) in messages.enumerated() { plan.add(message, at: index) }
        let (entries, places, results) = plan.finish()
        guard !entries.isEmpty else { return self.mailbox(of: loop).run { then(results) } }
        self.produce(entries, acks: acks, timeout: timeout, client: client, on: loop) { produced in
            var results = results
            for (result, batch) in zip(produced, places) {
                for (delta, place) in batch.enumerated() {
                    if let error = result.error {
                        results[place.index] = .failure(error)
                        continue
                    }
                    results[place.index] = .success(
                        WrittenPlace(
                            partition: place.partition, offset: result.baseOffset.advanced(by: Int64(delta)),
                            timestamp: result.logAppendTime == .none ? place.timestamp : result.logAppendTime))
                }
            }
            then(results)
        }
    }
}

/// Messages of one write, sorted into batches.
private struct MessageBatches {
    struct Place {
        var index: Int
        var partition: PartitionIndex
        var timestamp: Timestamp
    }

    private struct Open {
        var builder: RecordBatchBuilder
        var places: [Place] = []

        mutating func add(key: ByteBuffer?, value: ByteBuffer?, headers: [Record.Header], _ place: Place) {
            self.builder.append(key: key, value: value, headers: headers, timestamp: place.timestamp.rawValue)
            self.places.append(place)
        }
    }

    private let topic: Topic
    private let now: Timestamp
    private let spread: PartitionIndex
    private var open: [PartitionIndex: Open] = [:]
    private var entries: [ProduceEntry] = []
    private var places: [[Place]] = []
    private var results: [Result<WrittenPlace, BrokerError>]

    init(_ topic: Topic, count: Int, now: Timestamp, spread: UInt32) {
        self.topic = topic
        self.now = now
        let partitions = UInt32(bitPattern: topic.partitionCount)
        self.spread = PartitionIndex(rawValue: Int32(bitPattern: partitions == 0 ? 0 : spread % partitions))
        self.results = Array(repeating: .failure(.unknownTopicOrPartition), count: count)
    }

    mutating func add(_ message: AddressedMessage, at index: Int) {
        let partition = self.partition(of: message)
        guard self.topic.contains(partition) else { return }
        let limit = self.topic.configuration.batchBytesMax
        let (key, value) = (message.message.key, message.message.value)
        let headers = message.message.headers.map { Record.Header(key: $0.name, value: $0.value) }
        let bytes = RecordBatchBuilder.byteCountMax(key: key, value: value, headers: headers)
        // What is too large is refused where it came, and not with all that would have shared its batch.
        guard bytes <= Limits.frameBytesMax.rawValue, bytes <= limit.rawValue else {
            self.results[index] = .failure(.batchTooLarge(.bytes(bytes), limit: limit))
            return
        }
        if let open = self.open[partition], open.builder.byteCount + bytes > limit.rawValue { self.close(partition) }
        let timestamp = message.message.timestamp ?? self.now
        let hint = RecordBatchHeader.byteCount + bytes
        self.open[partition, default: Open(builder: RecordBatchBuilder(byteCountHint: hint))].add(
            key: key, value: value, headers: headers,
            Place(index: index, partition: partition, timestamp: timestamp))
    }

    private func partition(of message: AddressedMessage) -> PartitionIndex {
        if let partition = message.partition { return partition }
        guard let key = message.message.key else { return self.spread }
        let index = Murmur2.partition(of: key, count: max(1, Int(self.topic.partitionCount)))
        return PartitionIndex(rawValue: Int32(truncatingIfNeeded: index))
    }

    private mutating func close(_ partition: PartitionIndex) {
        guard let open = self.open.removeValue(forKey: partition) else { return }
        self.entries.append(
            ProduceEntry(topic: .id(self.topic.id), partition: partition, records: open.builder.finish()))
        self.places.append(open.places)
    }

    mutating func finish() -> (
        entries: [ProduceEntry], places: [[Place]], results: [Result<WrittenPlace, BrokerError>]
    ) {
        for partition in self.open.keys.sorted() { self.close(partition) }
        return (self.entries, self.places, self.results)
    }
}
