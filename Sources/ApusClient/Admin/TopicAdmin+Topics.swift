import ApusCore
import KafkaWire

extension TopicAdmin {
    /// - Parameter validateOnly: asks whether it would succeed, and makes nothing.
    /// - Throws: `.topicExists`, `.invalidArgument`, `.invalidConfiguration`.
    @discardableResult
    public func create(
        _ name: String, partitions: Int? = nil, replicationFactor: Int? = nil, configuration: [String: String] = [:],
        validateOnly: Bool = false
    ) async throws -> Created {
        let topic = Specification(
            name, partitions: partitions, replicationFactor: replicationFactor, configuration: configuration)
        return try await self.core.retrying(repeatingIndefinite: false) { () throws(ApusError) in
            let results = try await self.created([topic], validateOnly: validateOnly)
            return try results[0].get()
        }
    }

    /// Makes each topic by itself: some may fail. The results are in the order of the specifications.
    public func create(
        _ topics: [Specification], validateOnly: Bool = false
    ) async throws -> [Result<Created, ApusError>] {
        try await self.core.retrying(repeatingIndefinite: false) { () throws(ApusError) in
            try await self.created(topics, validateOnly: validateOnly)
        }
    }

    private func created(
        _ topics: [Specification], validateOnly: Bool
    ) async throws(ApusError) -> [Result<Created, ApusError>] {
        var request = CreateTopicsRequest()
        request.timeoutMs = Int32(clamping: self.core.configuration.requestTimeout.wholeMilliseconds)
        request.validateOnly = validateOnly
        request.topics = try topics.map(CreateTopicsRequest.Topic.init)
        let response = try await self.core.callController(request)
        return topics.map { topic in
            guard let answer = response.topics.first(where: { $0.name == topic.name }) else {
                return .failure(response.unanswered(topic.name))
            }
            if let code = answer.errorCode.failure {
                return .failure(response.error(code, topic.name, topic: topic.name, message: answer.errorMessage))
            }
            return .success(
                Created(
                    name: topic.name, id: TopicID(high: answer.topicID.high, low: answer.topicID.low),
                    partitions: answer.numPartitions >= 0 ? Int(answer.numPartitions) : topic.partitions,
                    replicationFactor: answer.replicationFactor >= 0
                        ? Int(answer.replicationFactor) : topic.replicationFactor
                ))
        }
    }

    /// - Throws: `.unknownTopic`.
    public func delete(_ name: String) async throws {
        try await self.core.retrying(repeatingIndefinite: false) { () throws(ApusError) in
            try await self.deleted([name])[0].get()
        }
    }

    /// Deletes each topic by itself: some may fail. The results are in the order of the names.
    public func delete(_ names: [String]) async throws -> [Result<Void, ApusError>] {
        try await self.core.retrying(repeatingIndefinite: false) { () throws(ApusError) in
            try await self.deleted(names)
        }
    }

    private func deleted(_ names: [String]) async throws(ApusError) -> [Result<Void, ApusError>] {
        var request = DeleteTopicsRequest()
        request.timeoutMs = Int32(clamping: self.core.configuration.requestTimeout.wholeMilliseconds)
        request.topicNames = names
        request.topics = names.map { name in
            var topic = DeleteTopicsRequest.Topic()
            topic.name = name
            return topic
        }
        let response = try await self.core.callController(request)
        return names.map { name in
            guard let answer = response.responses.first(where: { $0.name == name }) else {
                return .failure(response.unanswered(name))
            }
            guard let code = answer.errorCode.failure else { return .success(()) }
            // To ask again whether a topic that is not there can be deleted would only take time.
            var error = response.error(code, name, topic: name, message: answer.errorMessage)
            if error.code == .unknownTopic { error.isRetryable = false }
            return .failure(error)
        }
    }

    /// Every topic of the cluster, by name.
    public func list(includingInternal: Bool = false) async throws -> [TopicDescription] {
        try await self.core.retrying(repeatingIndefinite: true) { () throws(ApusError) in
            var request = MetadataRequest()
            request.topics = nil
            request.allowAutoTopicCreation = false
            let response = try await self.core.callAny(request)
            return response.topics.filter { $0.errorCode == .none }.compactMap(TopicDescription.init)
                .filter { includingInternal || !$0.isInternal }.sorted { $0.name < $1.name }
        }
    }

    /// - Throws: `.unknownTopic`.
    public func describe(_ name: String) async throws -> TopicDescription {
        try await self.core.retrying(repeatingIndefinite: true) { () throws(ApusError) in
            var request = MetadataRequest()
            var asked = MetadataRequest.Topic()
            asked.name = name
            request.topics = [asked]
            request.allowAutoTopicCreation = false
            let response = try await self.core.callAny(request)
            guard let topic = response.topics.first(where: { $0.name == name }) else {
                throw response.unanswered(name)
            }
            if let code = topic.errorCode.failure {
                var error = response.error(code, name, topic: name)
                if error.code == .unknownTopic { error.isRetryable = false }
                throw error
            }
            guard let description = TopicDescription(topic) else {
                throw ApusError(.corrupt, "\(name): partitions without order")
            }
            return description
        }
    }

    /// Adds partitions until there are `count`. Keys then go to other partitions than before.
    /// - Throws: `.unknownTopic`, `.invalidArgument` when there are as many or more.
    public func grow(_ name: String, toPartitions count: Int, validateOnly: Bool = false) async throws {
        try await self.core.retrying(repeatingIndefinite: false) { () throws(ApusError) in
            guard let count = Int32(exactly: count) else { throw ApusError(.invalidArgument, "\(count) partitions") }
            var request = CreatePartitionsRequest()
            request.timeoutMs = Int32(clamping: self.core.configuration.requestTimeout.wholeMilliseconds)
            request.validateOnly = validateOnly
            var topic = CreatePartitionsRequest.Topic()
            topic.name = name
            topic.count = count
            topic.assignments = nil
            request.topics = [topic]
            let response = try await self.core.callController(request)
            guard let answer = response.results.first(where: { $0.name == name }) else {
                throw response.unanswered(name)
            }
            if let code = answer.errorCode.failure {
                var error = response.error(code, name, topic: name, message: answer.errorMessage)
                if error.code == .unknownTopic { error.isRetryable = false }
                throw error
            }
        }
    }
}

extension CreateTopicsRequest.Topic {
    fileprivate init(_ topic: TopicAdmin.Specification) throws(ApusError) {
        self.init()
        guard let partitions = Int32(exactly: topic.partitions ?? -1),
            let replicas = Int16(exactly: topic.replicationFactor ?? -1)
        else { throw ApusError(.invalidArgument, "\(topic.name): too many partitions or replicas") }
        self.name = topic.name
        self.numPartitions = partitions
        self.replicationFactor = replicas
        self.configs = topic.configuration.sorted { $0.key < $1.key }.map { name, value in
            var config = CreateTopicsRequest.Config()
            config.name = name
            config.value = value
            return config
        }
    }
}
