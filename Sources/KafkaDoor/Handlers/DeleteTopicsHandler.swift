import ApusBroker
import ApusCore
import KafkaWire

/// DeleteTopics (20): by name, from version 6 on also by id (KIP-516). An endpoint server says for whom (`behalf`,
/// ours).
enum DeleteTopicsHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 1...6

    private static let versionByID: Int16 = 6

    static func handle(_ request: inout DeleteTopicsRequest, _ exchange: Exchange<DeleteTopicsResponse>) {
        var response = DeleteTopicsResponse()
        let behalf = Behalf(request.behalf)
        let client = exchange.client(for: behalf)
        var references: [TopicReference] = []
        var seen: Set<TopicReference> = []
        for (name, id) in self.asked(request, exchange.version) {
            var answer = DeleteTopicsResponse.Topic()
            answer.name = name
            answer.topicID = id
            if client == nil {
                answer.errorCode = .clusterAuthorizationFailed
            } else if behalf != nil, let name, !exchange.client.allows(.delete, onTopic: name) {
                answer.errorCode = .topicAuthorizationFailed
            } else if let reference = self.reference(name, id, isForAnother: behalf != nil),
                seen.insert(reference).inserted
            {
                references.append(reference)
            } else {
                answer.errorCode = .invalidRequest
                answer.errorMessage = "Each topic must be given once, by its name or by its id."
            }
            response.responses.append(answer)
        }
        exchange.broker.deleteTopics(
            references, client: client ?? exchange.client, on: exchange.loop
        ) { [response] results in
            var response = response
            response.throttleTimeMs = BrokerError.throttleTime(of: results)
            var results = results[...]
            for index in response.responses.indices where response.responses[index].errorCode == .none {
                guard let result = results.popFirst() else { preconditionFailure("an answer for every topic") }
                switch result {
                case .success(let topic):
                    response.responses[index].name = topic.name
                    response.responses[index].topicID = topic.id.wire
                case .failure(let error):
                    response.responses[index].errorCode = error.kafkaCode
                    response.responses[index].errorMessage = error.kafkaMessage
                }
            }
            exchange.answer(response)
        }
    }

    private static func asked(_ request: DeleteTopicsRequest, _ version: Int16) -> [(name: String?, id: WireUUID)] {
        version >= self.versionByID
            ? request.topics.map { ($0.name, $0.topicID) } : request.topicNames.map { ($0, .zero) }
    }

    /// Nil when both or neither are given; for another topics go by their names, by which rights are.
    private static func reference(_ name: String?, _ id: WireUUID, isForAnother: Bool) -> TopicReference? {
        switch (name, id) {
        case (let name?, .zero): .name(name)
        case (nil, let id) where id != .zero && !isForAnother: .id(TopicID(id))
        default: nil
        }
    }
}
