import ApusBroker
import ApusCore
import EdgeDoor
import KafkaWire

/// What topics are asked to keep, which their metadata does not say.
extension UpstreamDesk {
    /// Settings of topics, by topic and name. One whose settings may not be seen has none here: then nothing is kept.
    typealias Settings = [String: [String: String]]

    private static let presence = "apus.presence"
    private static let receipts = "apus.receipts"
    private static let cleanup = "cleanup.policy"
    /// Kafka's number of the resource that a topic is.
    private static let topicType: Int8 = 2

    func askSettings(
        of names: [String], attempt: Int, then: @escaping (Result<Settings, BrokerError>) -> Void
    ) {
        guard !names.isEmpty else { return then(.success([:])) }
        var request = DescribeConfigsRequest()
        request.resources = names.map { name in
            var resource = DescribeConfigsRequest.Resource()
            resource.resourceType = Self.topicType
            resource.resourceName = name
            resource.configurationKeys = [Self.presence, Self.receipts, Self.cleanup]
            return resource
        }
        self.call(request, to: nil, attempt: attempt, waiting: .zero) { result in
            then(
                result.map { answer in
                    var settings: Settings = [:]
                    for found in answer.results where found.errorCode == .none {
                        for config in found.configs {
                            settings[found.resourceName, default: [:]][config.name] = config.value
                        }
                    }
                    return settings
                })
        }
    }

    static func apply(_ settings: [String: String]?, to topic: inout EdgeTopic) {
        topic.keepsPresence = settings?[Self.presence] == "true"
        topic.keepsReceipts = settings?[Self.receipts] == "true"
        topic.isCompacted = settings?[Self.cleanup]?.split(separator: ",").contains("compact") == true
    }
}
