import ApusBroker
import KafkaWire

/// DescribeConfigs (32): every option of a topic or broker, where its value comes from, what it means (KIP-133,
/// KIP-226, KIP-569). Null and empty lists of keys both ask for all options, as with Kafka.
enum DescribeConfigsHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 1...4

    static func handle(_ request: inout DescribeConfigsRequest, _ exchange: Exchange<DescribeConfigsResponse>) {
        var response = DescribeConfigsResponse()
        let resources = request.resources.eachOnce {
            Named(type: $0.resourceType, name: $0.resourceName)
        }
        for resource in resources {
            var result = DescribeConfigsResponse.Result()
            result.resourceType = resource.resourceType
            result.resourceName = resource.resourceName
            switch self.entries(of: resource, exchange) {
            case .success(let entries):
                let keys = Set(resource.configurationKeys ?? [])
                result.configs = entries.filter { keys.isEmpty || keys.contains($0.name) }.map {
                    DescribeConfigsResponse.Config(
                        $0, withSynonyms: request.includeSynonyms, withDocumentation: request.includeDocumentation
                    )
                }
            case .failure(let error):
                result.errorCode = error.kafkaCode
                result.errorMessage = error.kafkaMessage
            }
            response.results.append(result)
        }
        exchange.answer(response)
    }

    private struct Named: Hashable {
        var type: Int8
        var name: String
    }

    private static func entries(
        of resource: DescribeConfigsRequest.Resource, _ exchange: Exchange<DescribeConfigsResponse>
    ) -> Result<[ConfigurationEntry], BrokerError> {
        do throws(BrokerError) {
            let named = try ConfigurationResource(
                type: resource.resourceType, name: resource.resourceName, broker: exchange.broker.identity.brokerID
            )
            return exchange.broker.describeConfiguration(named, client: exchange.client)
        } catch {
            return .failure(error)
        }
    }
}

extension DescribeConfigsResponse.Config {
    fileprivate init(_ entry: ConfigurationEntry, withSynonyms: Bool, withDocumentation: Bool) {
        self.init()
        self.name = entry.name
        self.value = entry.isSensitive ? nil : entry.value
        self.readOnly = entry.isReadOnly
        self.configSource = entry.source.rawValue
        self.isSensitive = entry.isSensitive
        self.configType = entry.type.rawValue
        self.documentation = withDocumentation ? entry.documentation : nil
        guard withSynonyms else { return }
        self.synonyms = entry.synonyms.map {
            var synonym = DescribeConfigsResponse.Synonym()
            synonym.name = $0.name
            synonym.value = entry.isSensitive ? nil : $0.value
            synonym.source = $0.source.rawValue
            return synonym
        }
    }
}
