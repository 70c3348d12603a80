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
    /// - Parameters:
    ///   - spread: any number; messages without a key and without a partition go to the one that it names.
    ///   - key: sent once more with the same key, they are not written again. Those of one partition are one batch
    ///     then, and if one of the messages can not be written for what it is, none is.
    package func write(
        _ messages: [AddressedMessage], to reference: TopicReference, acks: Acks = .all, timeout: Duration,
        spread: UInt32, key: WriteKey? = nil, client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable ([Result<WrittenPlace, BrokerError>]) -> Void
    ) {
        let topic: Topic
        do throws(BrokerError) {
            topic = try self.topics.topic(reference, .write, for: client)
        } catch {
            return self.mailbox(of: loop).run { then(messages.map { _ in .failure(error) }) }
        }
        var plan = MessageBatches(
            topic, count: messages.count, now: self.ports.clock.wallTime, spread: key?.spread ?? spread, key: key)
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
                    var written = WrittenPlace(
                        partition: place.partition, offset: result.baseOffset.advanced(by: Int64(delta)),
                        timestamp: result.logAppendTime == .none ? place.timestamp : result.logAppendTime)
                    if key != nil, result.isDuplicate {
                        written.isReplayed = true
                        let isStamped = topic.configuration.timestampType == .logAppendTime
                        written.timestamp = batch.time(of: place, first: result.logAppendTime, isStamped: isStamped)
                    }
                    results[place.index] = .success(written)
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
        /// Its writer said its time.
        var isTimed: Bool
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
    private let key: WriteKey?
    /// Why none of the messages with a key is written.
    private var refusal: BrokerError?
    private var open: [PartitionIndex: Open] = [:]
    private var entries: [ProduceEntry] = []
    private var places: [[Place]] = []
    private var results: [Result<WrittenPlace, BrokerError>]

    init(_ topic: Topic, count: Int, now: Timestamp, spread: UInt32, key: WriteKey?) {
        self.topic = topic
        self.key = key
        self.now = now
        let partitions = UInt32(bitPattern: topic.partitionCount)
        self.spread = PartitionIndex(rawValue: Int32(bitPattern: partitions == 0 ? 0 : spread % partitions))
        self.results = Array(repeating: .failure(.unknownTopicOrPartition), count: count)
    }

    mutating func add(_ message: AddressedMessage, at index: Int) {
        let partition = self.partition(of: message)
        guard self.topic.contains(partition) else {
            self.refusal = .unknownTopicOrPartition
            return
        }
        let limit = self.topic.configuration.batchBytesMax
        let (key, value) = (message.message.key, message.message.value)
        let headers = message.message.headers.map { Record.Header(key: $0.name, value: $0.value) }
        let bytes = RecordBatchBuilder.byteCountMax(key: key, value: value, headers: headers)
        // What is too large is refused where it came, and not with all that would have shared its batch.
        guard bytes <= Limits.frameBytesMax.rawValue, bytes <= limit.rawValue else {
            let refusal = BrokerError.batchTooLarge(.bytes(bytes), limit: limit)
            self.results[index] = .failure(refusal)
            self.refusal = refusal
            return
        }
        if let open = self.open[partition], open.builder.byteCount + bytes > limit.rawValue {
            guard self.key == nil else {
                self.refusal = .batchTooLarge(.bytes(open.builder.byteCount + bytes), limit: limit)
                return
            }
            self.close(partition)
        }
        let (hint, writeKey) = (RecordBatchHeader.byteCount + bytes, self.key)
        self.open[partition, default: Open(builder: Self.builder(hint, writeKey))].add(
            key: key, value: value, headers: headers,
            Place(
                index: index, partition: partition, timestamp: message.message.timestamp ?? self.now,
                isTimed: message.message.timestamp != nil))
    }

    private static func builder(_ byteCountHint: Int, _ key: WriteKey?) -> RecordBatchBuilder {
        guard let key else { return RecordBatchBuilder(byteCountHint: byteCountHint) }
        return RecordBatchBuilder(
            producerID: key.producerID, producerEpoch: key.producerEpoch, baseSequence: key.baseSequence,
            byteCountHint: byteCountHint)
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
            ProduceEntry(
                topic: .id(self.topic.id), partition: partition, records: open.builder.finish(),
                isKeyed: self.key != nil))
        self.places.append(open.places)
    }

    mutating func finish() -> (
        entries: [ProduceEntry], places: [[Place]], results: [Result<WrittenPlace, BrokerError>]
    ) {
        if self.key != nil, let refusal = self.refusal {
            return ([], [], self.results.map { _ in .failure(refusal) })
        }
        for partition in self.open.keys.sorted() { self.close(partition) }
        return (self.entries, self.places, self.results)
    }
}

extension [MessageBatches.Place] {
    /// The time that a message of this batch has in the log since it was written first.
    /// - Parameters:
    ///   - first: that of the batch's first message.
    ///   - isStamped: the topic's messages have the time of their batch.
    fileprivate func time(of place: MessageBatches.Place, first: Timestamp, isStamped: Bool) -> Timestamp {
        if isStamped { return first }
        if place.isTimed { return place.timestamp }
        // Those without a time of their own had one then, the first among them.
        return self.first?.isTimed == false ? first : .none
    }
}
