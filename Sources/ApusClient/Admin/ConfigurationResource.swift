import KafkaWire

/// What has a configuration: a topic or a broker.
struct ConfigurationResource: Sendable {
    /// The protocol's number of the resource type.
    enum Kind: Int8, Sendable {
        case topic = 2
        case broker = 4
    }

    var kind: Kind
    var name: String

    func describe(on core: ClientCore, to node: ClientCore.Node) async throws -> [ConfigurationEntry] {
        try await core.retrying(repeatingIndefinite: true) { () throws(ApusError) in
            var request = DescribeConfigsRequest()
            var resource = DescribeConfigsRequest.Resource()
            resource.resourceType = self.kind.rawValue
            resource.resourceName = self.name
            // nil: all of them.
            resource.configurationKeys = nil
            request.resources = [resource]
            request.includeDocumentation = true
            let response = try await core.callKnown(request, to: node)
            guard let result = response.results.first else { throw response.unanswered(self.name) }
            if let code = result.errorCode.failure {
                throw self.error(response.error(code, self.name, topic: self.topic, message: result.errorMessage))
            }
            return result.configs.map(ConfigurationEntry.init).sorted { $0.name < $1.name }
        }
    }

    func alter(
        _ changes: [ConfigurationChange], validateOnly: Bool, on core: ClientCore, to node: ClientCore.Node
    ) async throws {
        try await core.retrying(repeatingIndefinite: false) { () throws(ApusError) in
            var request = IncrementalAlterConfigsRequest()
            request.validateOnly = validateOnly
            var resource = IncrementalAlterConfigsRequest.Resource()
            resource.resourceType = self.kind.rawValue
            resource.resourceName = self.name
            resource.configs = changes.map(IncrementalAlterConfigsRequest.Config.init)
            request.resources = [resource]
            let response = try await core.callKnown(request, to: node)
            guard let result = response.responses.first else { throw response.unanswered(self.name) }
            if let code = result.errorCode.failure {
                throw self.error(response.error(code, self.name, topic: self.topic, message: result.errorMessage))
            }
        }
    }

    private var topic: String? { self.kind == .topic ? self.name : nil }

    /// To ask again about a topic that is not there would only take time.
    private func error(_ error: ApusError) -> ApusError {
        var error = error
        if error.code == .unknownTopic { error.isRetryable = false }
        return error
    }
}

extension IncrementalAlterConfigsRequest.Config {
    fileprivate init(_ change: ConfigurationChange) {
        self.init()
        switch change {
        case .set(let name, let value): (self.name, self.configOperation, self.value) = (name, 0, value)
        case .remove(let name): (self.name, self.configOperation, self.value) = (name, 1, nil)
        case .append(let name, let value): (self.name, self.configOperation, self.value) = (name, 2, value)
        case .subtract(let name, let value): (self.name, self.configOperation, self.value) = (name, 3, value)
        }
    }
}

extension ConfigurationEntry {
    fileprivate init(_ config: DescribeConfigsResponse.Config) {
        self.init(
            name: config.name, value: config.value, source: Source(rawValue: config.configSource) ?? .unknown,
            isReadOnly: config.readOnly, isSensitive: config.isSensitive,
            kind: Kind(rawValue: config.configType) ?? .unknown, documentation: config.documentation
        )
    }
}
