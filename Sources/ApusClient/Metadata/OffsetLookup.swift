import ApusCore
import KafkaWire

/// Asks the leaders of a topic's partitions for offsets (ListOffsets).
struct OffsetLookup: Sendable {
    var topic: String
    var partitions: [PartitionIndex]
    var question: OffsetQuestion
    var isolation: ReaderOptions.Isolation

    /// Partitions without an answer, such as a time after the last record, are not in the result.
    func run(on core: ClientCore) async throws -> [PartitionIndex: OffsetDescription] {
        var found: [PartitionIndex: OffsetDescription] = [:]
        var left = Set(self.partitions)
        try await core.retrying(repeatingIndefinite: true) { () throws(ApusError) in
            let leaders = await core.ask { [left] in
                left.map { ($0, core.metadata.leader(of: self.topic, $0)) }
            }
            var byBroker: [BrokerID: [(PartitionIndex, Epoch)]] = [:]
            var failure: ApusError?
            for (partition, leader) in leaders {
                if let leader {
                    byBroker[leader.broker, default: []].append((partition, leader.epoch))
                } else {
                    failure = KafkaErrorCode.leaderNotAvailable.error(
                        "\(self.topic)/\(partition)", topic: self.topic, from: await core.ask { core.learnedFrom })
                }
            }
            for (broker, asked) in byBroker.sorted(by: { $0.key < $1.key }) {
                let request = Self.request(self.topic, asked, self.question, self.isolation)
                let response = try await core.call(request, to: .broker(broker))
                for answer in response.topics.flatMap(\.partitions) {
                    let partition = PartitionIndex(rawValue: answer.partitionIndex)
                    if let code = answer.errorCode.failure {
                        failure = response.error(code, "\(self.topic)/\(partition)", topic: self.topic)
                        continue
                    }
                    left.remove(partition)
                    if answer.offset >= 0 { found[partition] = OffsetDescription(answer) }
                }
            }
            if let failure { throw failure }
            guard left.isEmpty else {
                throw ApusError(.corrupt, "no answer for some partitions of \(self.topic)", isRetryable: true)
            }
        }
        return found
    }

    static func request(
        _ topic: String, _ partitions: [(PartitionIndex, Epoch)], _ question: OffsetQuestion,
        _ isolation: ReaderOptions.Isolation
    ) -> ListOffsetsRequest {
        var request = ListOffsetsRequest()
        request.replicaID = -1
        request.isolationLevel = isolation.level
        var asked = ListOffsetsRequest.Topic()
        asked.name = topic
        asked.partitions = partitions.map { index, epoch in
            var partition = ListOffsetsRequest.Partition()
            partition.partitionIndex = index.rawValue
            partition.currentLeaderEpoch = epoch.rawValue
            partition.timestamp = question.timestamp
            return partition
        }
        request.topics = [asked]
        return request
    }
}

extension OffsetQuestion {
    /// The protocol's number for it.
    var timestamp: Int64 {
        switch self {
        case .start: -2
        case .end: -1
        case .largestTimestamp: -3
        case .time(let time): max(time.rawValue, 0)
        }
    }
}

extension OffsetDescription {
    init(_ answer: ListOffsetsResponse.Partition) {
        self.init(
            offset: Offset(rawValue: answer.offset), timestamp: Timestamp(rawValue: answer.timestamp),
            leaderEpoch: Epoch(rawValue: answer.leaderEpoch)
        )
    }
}
