import ApusBroker
import ApusCore
import EdgeDoor
import KafkaWire
import NIOCore
import Synchronization

/// One message on its way to the broker that leads its partition. Answers once.
///
/// It is sent once: what may have been written is told so (``BrokerError/timedOut``), and never written twice.
///
/// Unchecked because: after it was made it is touched on the client's loop only.
final class UpstreamWrite: @unchecked Sendable {
    private let message: AddressedMessage
    private let topic: String
    private let timeout: Duration
    private let spread: UInt32
    private let wallTime: Timestamp
    private let desk: UpstreamDesk
    private let then: (Result<WrittenPlace, BrokerError>) -> Void

    init(
        _ message: AddressedMessage, to topic: String, timeout: Duration, spread: UInt32, at wallTime: Timestamp,
        _ desk: UpstreamDesk, then: @escaping @Sendable (Result<WrittenPlace, BrokerError>) -> Void
    ) {
        self.message = message
        self.topic = topic
        self.timeout = timeout
        self.spread = spread
        self.wallTime = wallTime
        self.desk = desk
        self.then = then
    }

    func begin() {
        guard self.desk.mayServe else { return self.then(.failure(UpstreamDesk.unheard)) }
        let now = self.desk.now
        if case .success(let known?)? = self.desk.shared.withLock({ $0.book.find(self.topic, at: now) }) {
            return self.send(known)
        }
        self.desk.ask(self.topic) { [self] result in
            switch result {
            case .success(let topic?): self.send(topic)
            case .success(nil): self.then(.failure(.unknownTopicOrPartition))
            case .failure(let error): self.then(.failure(error))
            }
        }
    }

    private func partition(in topic: EdgeTopic) -> PartitionIndex {
        if let partition = self.message.partition { return partition }
        let index =
            self.message.message.key.map { Murmur2.partition(of: $0, count: topic.partitionCount) }
            ?? Int(self.spread % UInt32(clamping: topic.partitionCount))
        return PartitionIndex(rawValue: Int32(truncatingIfNeeded: index))
    }

    private func send(_ topic: EdgeTopic) {
        let partition = self.partition(in: topic)
        guard topic.contains(partition) else { return self.then(.failure(.unknownTopicOrPartition)) }
        guard let leader = self.desk.leader(of: topic.id, partition) else { return self.then(.failure(.notLeader)) }
        let timestamp = self.message.message.timestamp ?? self.wallTime
        let headers = self.message.message.headers.map { Record.Header(key: $0.name, value: $0.value) }
        let (key, value) = (self.message.message.key, self.message.message.value)
        let bytes = RecordBatchBuilder.byteCountMax(key: key, value: value, headers: headers)
        guard bytes <= Limits.frameBytesMax.rawValue else {
            return self.then(.failure(.batchTooLarge(.bytes(bytes), limit: Limits.frameBytesMax)))
        }
        var builder = RecordBatchBuilder(byteCountHint: RecordBatchHeader.byteCount + bytes)
        builder.append(key: key, value: value, headers: headers, timestamp: timestamp.rawValue)
        var data = ProduceRequest.PartitionData()
        data.index = partition.rawValue
        data.records = WireRecords(builder.finish())
        var topicData = ProduceRequest.TopicData()
        // By its id: a topic that was made anew under the name is not written to by mistake.
        topicData.topicID = WireUUID(high: topic.id.high, low: topic.id.low)
        topicData.name = topic.name
        topicData.partitionData = [data]
        var request = ProduceRequest()
        request.acks = -1
        request.timeoutMs = Int32(clamping: self.timeout.wholeMilliseconds)
        request.topicData = [topicData]
        self.desk.call(request, to: leader.broker, waiting: self.timeout) { [self] result in
            self.then(result.flatMap { self.place($0, partition, timestamp, topic.id) })
        }
    }

    private func place(
        _ answer: ProduceResponse, _ partition: PartitionIndex, _ timestamp: Timestamp, _ topic: TopicID
    ) -> Result<WrittenPlace, BrokerError> {
        guard let written = answer.responses.first?.partitionResponses.first else { return .failure(.timedOut) }
        if let error = BrokerError(written.errorCode, written.errorMessage) {
            self.desk.doubt(topic)
            return .failure(error)
        }
        let time = written.logAppendTimeMs >= 0 ? Timestamp(rawValue: written.logAppendTimeMs) : timestamp
        return .success(
            WrittenPlace(partition: partition, offset: Offset(rawValue: written.baseOffset), timestamp: time))
    }
}
