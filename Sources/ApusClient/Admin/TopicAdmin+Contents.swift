public import ApusCore
import KafkaWire

extension TopicAdmin {
    /// Every value of the topic's configuration, by name.
    /// - Throws: `.unknownTopic`.
    public func configuration(of name: String) async throws -> [ConfigurationEntry] {
        try await ConfigurationResource(kind: .topic, name: name).describe(on: self.core, to: .any)
    }

    /// All the changes or none.
    /// - Throws: `.unknownTopic`, `.invalidConfiguration`.
    public func configure(_ name: String, _ changes: [ConfigurationChange], validateOnly: Bool = false) async throws {
        try await ConfigurationResource(kind: .topic, name: name)
            .alter(changes, validateOnly: validateOnly, on: self.core, to: .any)
    }

    /// Deletes the records before an offset in each partition; nil for all that readers may see.
    /// - Returns: the oldest offset left in each partition.
    /// - Throws: `.unknownTopic`, `.offsetOutOfRange`.
    @discardableResult
    public func trim(
        _ name: String, before offsets: [PartitionIndex: Offset?]
    ) async throws -> [PartitionIndex: Offset] {
        try await self.core.learn([name], within: self.core.configuration.callTimeout)
        var left = offsets
        var oldest: [PartitionIndex: Offset] = [:]
        // To trim twice to the same offset is to trim once.
        try await self.core.retrying(repeatingIndefinite: true) { () throws(ApusError) in
            var byBroker: [BrokerID: [(PartitionIndex, Offset?)]] = [:]
            for (partition, offset) in left {
                let leader = await self.core.ask { self.core.metadata.leader(of: name, partition) }
                guard let leader else {
                    throw KafkaErrorCode.leaderNotAvailable.error(
                        "\(name)/\(partition)", topic: name, from: await self.core.ask { self.core.learnedFrom })
                }
                byBroker[leader.broker, default: []].append((partition, offset))
            }
            var failure: ApusError?
            for (broker, asked) in byBroker.sorted(by: { $0.key < $1.key }) {
                let response = try await self.core.call(self.trimRequest(name, asked), to: .broker(broker))
                for answer in response.topics.flatMap(\.partitions) {
                    let partition = PartitionIndex(rawValue: answer.partitionIndex)
                    if let code = answer.errorCode.failure {
                        failure = response.error(code, "\(name)/\(partition)", topic: name)
                        continue
                    }
                    left[partition] = nil
                    oldest[partition] = Offset(rawValue: answer.lowWatermark)
                }
            }
            if let failure { throw failure }
            guard left.isEmpty else {
                throw ApusError(.corrupt, "\(name): no answer for some partitions", isIndefinite: true)
            }
        }
        return oldest
    }

    private func trimRequest(_ name: String, _ partitions: [(PartitionIndex, Offset?)]) -> DeleteRecordsRequest {
        var request = DeleteRecordsRequest()
        request.timeoutMs = Int32(clamping: self.core.configuration.requestTimeout.wholeMilliseconds)
        var topic = DeleteRecordsRequest.Topic()
        topic.name = name
        topic.partitions = partitions.map { index, offset in
            var partition = DeleteRecordsRequest.Partition()
            partition.partitionIndex = index.rawValue
            // −1: up to the high watermark.
            partition.offset = offset?.rawValue ?? -1
            return partition
        }
        request.topics = [topic]
        return request
    }

    /// An offset of each partition, by what is asked for. Partitions without an answer, such as a time after the last
    /// record, are not in the result.
    /// - Parameter partitions: nil for all.
    /// - Throws: `.unknownTopic`.
    public func offsets(
        of name: String, partitions: [PartitionIndex]? = nil, at question: OffsetQuestion,
        isolation: ReaderOptions.Isolation = .uncommitted
    ) async throws -> [PartitionIndex: OffsetDescription] {
        var asked = partitions ?? []
        if partitions == nil { asked = try await self.describe(name).partitions.map(\.index) }
        try await self.core.learn([name], within: self.core.configuration.callTimeout)
        return try await OffsetLookup(topic: name, partitions: asked, question: question, isolation: isolation)
            .run(on: self.core)
    }
}
