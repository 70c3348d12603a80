public import ApusCore
import KafkaWire

/// What can be asked of the cluster and its brokers. Got from ``ApusClient/cluster``.
///
/// Every call throws `.unreachable`, `.timedOut`, `.closed` besides what it names.
public struct ClusterAdmin: Sendable {
    let core: ClientCore

    public func describe() async throws -> ClusterDescription {
        try await self.core.retrying(repeatingIndefinite: true) { () throws(ApusError) in
            let response = try await self.core.callAny(DescribeClusterRequest())
            if let code = response.errorCode.failure {
                throw response.error(code, "cluster", message: response.errorMessage)
            }
            return ClusterDescription(
                clusterID: response.clusterID,
                controller: response.controllerID >= 0 ? BrokerID(rawValue: response.controllerID) : nil,
                brokers: response.brokers.map { broker in
                    BrokerDescription(
                        id: BrokerID(rawValue: broker.brokerID), host: broker.host, port: Int(broker.port),
                        rack: broker.rack)
                }.sorted { $0.id < $1.id }
            )
        }
    }

    /// Every value of a broker's configuration, by name.
    public func configuration(of broker: BrokerID) async throws -> [ConfigurationEntry] {
        try await ConfigurationResource(kind: .broker, name: "\(broker)")
            .describe(on: self.core, to: .broker(broker))
    }

    /// All the changes or none.
    /// - Throws: `.invalidConfiguration`.
    public func configure(
        _ broker: BrokerID, _ changes: [ConfigurationChange], validateOnly: Bool = false
    ) async throws {
        try await ConfigurationResource(kind: .broker, name: "\(broker)")
            .alter(changes, validateOnly: validateOnly, on: self.core, to: .broker(broker))
    }

    /// Where a broker keeps its partitions, and how large they are.
    /// - Parameter topics: nil for all.
    public func logDirectories(of broker: BrokerID, topics: [String]? = nil) async throws -> [LogDirectoryDescription] {
        var asked: [DescribeLogDirsRequest.Topic]?
        if let topics {
            asked = []
            for name in topics {
                var topic = DescribeLogDirsRequest.Topic()
                topic.topic = name
                topic.partitions = try await TopicAdmin(core: self.core).describe(name).partitions.map(\.index.rawValue)
                asked?.append(topic)
            }
        }
        return try await self.core.retrying(repeatingIndefinite: true) { () throws(ApusError) in
            var request = DescribeLogDirsRequest()
            request.topics = asked
            let response = try await self.core.callKnown(request, to: .broker(broker))
            if let code = response.errorCode.failure { throw response.error(code, "broker \(broker)") }
            return response.results.map(LogDirectoryDescription.init)
        }
    }
}

extension LogDirectoryDescription {
    fileprivate init(_ result: DescribeLogDirsResponse.Result) {
        self.init(
            path: result.logDir, error: result.errorCode.failure.map { $0.error("").code },
            replicas: result.topics.flatMap { topic in
                topic.partitions.map { partition in
                    Replica(
                        topic: topic.name, partition: PartitionIndex(rawValue: partition.partitionIndex),
                        byteCount: .bytes(Int(clamping: partition.partitionSize)), lag: partition.offsetLag)
                }
            },
            totalBytes: result.totalBytes >= 0 ? .bytes(Int(clamping: result.totalBytes)) : nil,
            freeBytes: result.usableBytes >= 0 ? .bytes(Int(clamping: result.usableBytes)) : nil
        )
    }
}
