import ApusBroker
import ApusCore
import KafkaWire
import NIOCore

/// Metadata (3): brokers, topics, and who leads what.
///
/// Which topics: in version 0 an empty list is all of them; later null is all and empty is none. From version 12 on
/// they may be named by id (KIP-516). A topic that is named twice is answered once. A topic that is not there is made
/// when the client allows it and the broker does; the answer waits for it, so that the client need not ask again.
enum MetadataHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 0...13

    private static let versionByID: Int16 = 12

    static func handle(_ request: inout MetadataRequest, _ exchange: Exchange<MetadataResponse>) {
        let wantsAll = exchange.version == 0 ? request.topics?.isEmpty ?? true : request.topics == nil
        let asked = (request.topics ?? []).eachOnce { topic in
            topic.name.map { TopicReference.name($0) } ?? .id(TopicID(topic.topicID))
        }
        var response = self.frame(request, exchange)
        let tells = request.includeTopicAuthorizedOperations
        if wantsAll {
            response.topics = exchange.broker.topics(for: exchange.client).map {
                self.describe($0, tells ? exchange.client : nil)
            }
            return exchange.answer(response)
        }
        if exchange.version < self.versionByID, asked.contains(where: { $0.name == nil || $0.topicID != .zero }) {
            response.topics = asked.map { self.refusal($0, .invalidRequest) }
            return exchange.answer(response)
        }
        let found = asked.map { self.found($0, exchange) }
        let missing = self.missing(zip(asked, found))
        guard request.allowAutoTopicCreation, !missing.isEmpty else {
            response.topics = zip(asked, found).map { self.answer($0, $1, tells ? exchange.client : nil) }
            return exchange.answer(response)
        }
        self.create(missing, exchange) { [response] made in
            var response = response
            response.topics = zip(asked, found).map { asked, found in
                let found = asked.name.flatMap { made[$0] } ?? found
                return self.answer(asked, found, tells ? exchange.client : nil)
            }
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
            response.clusterAuthorizedOperations = AuthorizedOperations.cluster(for: exchange.client)
        }
        return response
    }

    // MARK: Making topics

    private typealias Found = Result<Topic, BrokerError>

    private static func found(_ asked: MetadataRequest.Topic, _ exchange: Exchange<MetadataResponse>) -> Found {
        let reference = asked.name.map { TopicReference.name($0) } ?? .id(TopicID(asked.topicID))
        do throws(BrokerError) {
            return .success(try exchange.broker.topic(reference, for: exchange.client))
        } catch {
            return .failure(error)
        }
    }

    /// Names that are asked for and not there, each once.
    private static func missing(_ asked: some Sequence<(MetadataRequest.Topic, Found)>) -> [String] {
        var seen: Set<String> = []
        return asked.compactMap { topic, found in
            guard let name = topic.name, case .failure(.unknownTopicOrPartition) = found, seen.insert(name).inserted
            else { return nil }
            return name
        }
    }

    /// Has the broker make the topics.
    private static func create(
        _ names: [String], _ exchange: Exchange<MetadataResponse>,
        then: @escaping @Sendable ([String: Found]) -> Void
    ) {
        let attempts = names.map { name in
            let attempt = exchange.loop.makePromise(of: (String, Found).self)
            exchange.broker.autoCreate(name, client: exchange.client, on: exchange.loop) { attempt.succeed((name, $0)) }
            return attempt.futureResult
        }
        EventLoopFuture.whenAllSucceed(attempts, on: exchange.loop).whenSuccess { attempts in
            then(Dictionary(uniqueKeysWithValues: attempts))
        }
    }

    // MARK: Describing topics

    private static func answer(
        _ asked: MetadataRequest.Topic, _ found: Found, _ client: ClientContext?
    ) -> MetadataResponse.Topic {
        switch found {
        case .success(let topic): self.describe(topic, client)
        case .failure(let error): self.refusal(asked, error.kafkaCode)
        }
    }

    private static func refusal(_ asked: MetadataRequest.Topic, _ code: KafkaErrorCode) -> MetadataResponse.Topic {
        var answer = MetadataResponse.Topic()
        answer.errorCode = code
        answer.name = asked.name
        answer.topicID = asked.topicID
        return answer
    }

    /// - Parameter client: who wants to know what he may do.
    private static func describe(_ topic: Topic, _ client: ClientContext?) -> MetadataResponse.Topic {
        var answer = MetadataResponse.Topic()
        answer.name = topic.name
        answer.topicID = topic.id.wire
        answer.isInternal = topic.isInternal
        answer.topicAuthorizedOperations =
            client.map { AuthorizedOperations.topic(topic.name, for: $0) } ?? AuthorizedOperations.unknown
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
