import ApusBroker
import ApusCore
import KafkaWire
import NIOCore

/// Metadata (3): brokers, topics, and who leads what.
///
/// Which topics: in version 0 an empty list is all of them; later null is all and empty is none. From version 12 on
/// they may be named by id (KIP-516). A topic that is not there is made when the client allows it and the broker does;
/// the answer waits for it, so that the client need not ask again.
enum MetadataHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 0...13

    private static let versionByID: Int16 = 12

    static func handle(_ request: inout MetadataRequest, _ exchange: Exchange<MetadataResponse>) {
        let wantsAll = exchange.version == 0 ? request.topics?.isEmpty ?? true : request.topics == nil
        let asked = request.topics ?? []
        var response = self.frame(request, exchange)
        let operations =
            request.includeTopicAuthorizedOperations ? AuthorizedOperations.topic : AuthorizedOperations.unknown
        let topics = exchange.broker.topics
        if wantsAll {
            response.topics = topics.all.map { self.describe($0, operations) }
            return exchange.answer(response)
        }
        if exchange.version < self.versionByID, asked.contains(where: { $0.name == nil || $0.topicID != .zero }) {
            response.topics = asked.map { self.refusal($0, .invalidRequest) }
            return exchange.answer(response)
        }
        let missing = self.missing(asked, in: topics)
        guard request.allowAutoTopicCreation, !missing.isEmpty else {
            response.topics = asked.map { self.answer($0, in: topics, [:], operations) }
            return exchange.answer(response)
        }
        self.create(missing, exchange) { [response] refused in
            var response = response
            let topics = exchange.broker.topics
            response.topics = asked.map { self.answer($0, in: topics, refused, operations) }
            exchange.answer(response)
        }
    }

    /// The answer without topics.
    private static func frame(
        _ request: MetadataRequest, _ exchange: Exchange<MetadataResponse>
    ) -> MetadataResponse {
        let identity = exchange.broker.identity
        let endpoint = exchange.endpoint
        var broker = MetadataResponse.Broker()
        broker.nodeID = identity.brokerID.rawValue
        broker.host = endpoint.host
        broker.port = Int32(endpoint.port)
        var response = MetadataResponse()
        response.brokers = [broker]
        response.clusterID = identity.clusterID
        response.controllerID = identity.brokerID.rawValue
        if request.includeClusterAuthorizedOperations {
            response.clusterAuthorizedOperations = AuthorizedOperations.cluster
        }
        return response
    }

    // MARK: Making topics

    /// Names that are asked for and not there, each once.
    private static func missing(_ asked: [MetadataRequest.Topic], in topics: TopicSnapshot) -> [String] {
        var seen: Set<String> = []
        return asked.compactMap { topic in
            guard let name = topic.name, topics.topic(named: name) == nil, seen.insert(name).inserted else {
                return nil
            }
            return name
        }
    }

    /// Has the broker make the topics, and tells which it refused.
    private static func create(
        _ names: [String], _ exchange: Exchange<MetadataResponse>,
        then: @escaping @Sendable ([String: BrokerError]) -> Void
    ) {
        let attempts = names.map { name in
            let attempt = exchange.loop.makePromise(of: (name: String, error: BrokerError?).self)
            exchange.broker.autoCreate(name, client: exchange.client, on: exchange.loop) { result in
                switch result {
                case .success: attempt.succeed((name, nil))
                case .failure(let error): attempt.succeed((name, error))
                }
            }
            return attempt.futureResult
        }
        EventLoopFuture.whenAllSucceed(attempts, on: exchange.loop).whenSuccess { attempts in
            then(
                Dictionary(
                    uniqueKeysWithValues: attempts.compactMap { attempt in
                        attempt.error.map { (attempt.name, $0) }
                    }))
        }
    }

    // MARK: Describing topics

    private static func answer(
        _ asked: MetadataRequest.Topic, in topics: TopicSnapshot, _ refused: [String: BrokerError],
        _ operations: Int32
    ) -> MetadataResponse.Topic {
        guard let name = asked.name else {
            guard let topic = topics.topic(id: TopicID(asked.topicID)) else {
                return self.refusal(asked, .unknownTopicID)
            }
            return self.describe(topic, operations)
        }
        if let topic = topics.topic(named: name) { return self.describe(topic, operations) }
        return self.refusal(asked, refused[name]?.kafkaCode ?? .unknownTopicOrPartition)
    }

    private static func refusal(_ asked: MetadataRequest.Topic, _ code: KafkaErrorCode) -> MetadataResponse.Topic {
        var answer = MetadataResponse.Topic()
        answer.errorCode = code
        answer.name = asked.name
        answer.topicID = asked.topicID
        return answer
    }

    private static func describe(_ topic: Topic, _ operations: Int32) -> MetadataResponse.Topic {
        var answer = MetadataResponse.Topic()
        answer.name = topic.name
        answer.topicID = topic.id.wire
        answer.isInternal = topic.isInternal
        answer.topicAuthorizedOperations = operations
        answer.partitions = topic.partitions.map { info in
            var partition = MetadataResponse.Partition()
            partition.partitionIndex = info.index.rawValue
            partition.leaderID = info.leader.rawValue
            partition.leaderEpoch = info.leaderEpoch.rawValue
            partition.replicaNodes = info.replicas.map(\.rawValue)
            partition.isrNodes = info.inSyncReplicas.map(\.rawValue)
            return partition
        }
        return answer
    }
}
