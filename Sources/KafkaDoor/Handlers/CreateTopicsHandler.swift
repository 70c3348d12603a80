import ApusAccess
import ApusBroker
import ApusCore
import KafkaWire

/// CreateTopics (19): each topic on its own; one that is refused does not touch the others.
///
/// One that an endpoint server makes for a client (`behalf`, ours) is the client's, and counts for it.
enum CreateTopicsHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 2...7

    /// From here on the answer tells what was made (KIP-525).
    private static let versionTold: Int16 = 5

    static func handle(_ request: inout CreateTopicsRequest, _ exchange: Exchange<CreateTopicsResponse>) {
        var response = CreateTopicsResponse()
        let behalf = Behalf(request.behalf)
        let client = exchange.client(for: behalf)
        var specifications: [TopicSpecification] = []
        let counts = Dictionary(grouping: request.topics, by: \.name).mapValues(\.count)
        var refused: Set<String> = []
        for topic in request.topics {
            if counts[topic.name] ?? 0 > 1 {
                // Which of them was meant nobody knows. One answer for all of one name.
                guard refused.insert(topic.name).inserted else { continue }
                response.topics.append(self.refusal(topic.name, .invalidRequest, "The name is in the request twice."))
                continue
            }
            if let code = self.denial(of: topic.name, client, behalf, exchange) {
                response.topics.append(self.refusal(topic.name, code, nil))
                continue
            }
            switch TopicSpecification.reading(topic) {
            case .success(let specification):
                specifications.append(specification)
                response.topics.append(self.refusal(topic.name, .none, nil))
            case .failure(let error):
                response.topics.append(self.refusal(topic.name, error.kafkaCode, error.kafkaMessage))
            }
        }
        exchange.broker.create(
            specifications, validateOnly: request.validateOnly, client: client ?? exchange.client, on: exchange.loop
        ) { [response] results in
            var response = response
            response.throttleTimeMs = BrokerError.throttleTime(of: results)
            var results = results[...]
            for index in response.topics.indices where response.topics[index].errorCode == .none {
                guard let result = results.popFirst() else { preconditionFailure("an answer for every topic") }
                self.fill(&response.topics[index], with: result, exchange)
            }
            exchange.answer(response)
        }
    }

    /// What is made for somebody else, who asks must be allowed to make, too.
    private static func denial(
        of name: String, _ client: ClientContext?, _ behalf: Behalf?, _ exchange: Exchange<CreateTopicsResponse>
    ) -> KafkaErrorCode? {
        guard client != nil else { return .clusterAuthorizationFailed }
        guard behalf != nil else { return nil }
        let mayMake =
            exchange.client.mayList(.create, on: .cluster) || exchange.client.allows(.create, onTopic: name)
        return mayMake ? nil : .topicAuthorizationFailed
    }

    private static func refusal(
        _ name: String, _ code: KafkaErrorCode, _ message: String?
    ) -> CreateTopicsResponse.Topic {
        var answer = CreateTopicsResponse.Topic()
        answer.name = name
        answer.errorCode = code
        answer.errorMessage = message
        return answer
    }

    private static func fill(
        _ answer: inout CreateTopicsResponse.Topic, with result: Result<Topic, BrokerError>,
        _ exchange: Exchange<CreateTopicsResponse>
    ) {
        switch result {
        case .failure(let error):
            answer.errorCode = error.kafkaCode
            answer.errorMessage = error.kafkaMessage
        case .success(let topic):
            answer.topicID = topic.id.wire
            guard exchange.version >= self.versionTold else { return }
            // Null would have to come with an error of its own, so a topic that is gone again has an empty list.
            answer.configs = []
            switch exchange.broker.describeConfiguration(.topic(topic.name), client: exchange.client) {
            case .success(let entries):
                answer.numPartitions = topic.partitionCount
                answer.replicationFactor = Int16(clamping: topic.partitions.first?.replicas.count ?? 1)
                answer.configs = entries.map { CreateTopicsResponse.Config($0) }
            case .failure(.topicAuthorizationFailed):
                // Whoever may make a topic need not see what it is like (KIP-525).
                answer.topicConfigErrorCode = .topicAuthorizationFailed
                answer.configs = nil
            case .failure:
                answer.numPartitions = topic.partitionCount
                answer.replicationFactor = Int16(clamping: topic.partitions.first?.replicas.count ?? 1)
            }
        }
    }
}

extension TopicSpecification {
    /// What the request says of one topic, or why it contradicts itself.
    fileprivate static func reading(_ topic: CreateTopicsRequest.Topic) -> Result<TopicSpecification, BrokerError> {
        var assignments: [PartitionIndex: [BrokerID]] = [:]
        for assignment in topic.assignments {
            let index = PartitionIndex(rawValue: assignment.partitionIndex)
            guard assignments[index] == nil else {
                return .failure(.invalidReplicaAssignment("Partition \(index) is assigned twice."))
            }
            assignments[index] = assignment.brokerIDs.map { BrokerID(rawValue: $0) }
        }
        guard topic.assignments.isEmpty || topic.numPartitions == -1 && topic.replicationFactor == -1 else {
            return .failure(
                .invalidRequest("Replicas are assigned, so the numbers of partitions and replicas must be -1.")
            )
        }
        return .success(
            TopicSpecification(
                name: topic.name, partitions: topic.numPartitions, replicationFactor: topic.replicationFactor,
                assignments: assignments,
                configuration: Dictionary(topic.configs.map { ($0.name, $0.value) }) { _, last in last }
            )
        )
    }
}

extension CreateTopicsResponse.Config {
    fileprivate init(_ entry: ConfigurationEntry) {
        self.init()
        self.name = entry.name
        self.value = entry.isSensitive ? nil : entry.value
        self.readOnly = entry.isReadOnly
        self.configSource = entry.source.rawValue
        self.isSensitive = entry.isSensitive
    }
}
