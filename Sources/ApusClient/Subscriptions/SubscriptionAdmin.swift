public import ApusCore
import KafkaWire

/// Subscriptions, and what follows from them. Got from ``ApusClient/subscriptions``.
///
/// Only Apus brokers serve it: to one of Kafka's the requests are unknown, and it closes the connection. Every call
/// throws `.unreachable`, `.timedOut`, `.closed`, `.notAuthorized`, `.catalogue` besides what it names.
public struct SubscriptionAdmin: Sendable {
    let core: ClientCore

    /// Makes one.
    /// - Parameter hasOwner: as `wish` says; else it is the client's own.
    /// - Returns: as it is then; with `validateOnly` as it would be.
    /// - Throws: `.subscriptionExists`, `.invalidArgument` with the field that can not be.
    @discardableResult
    public func create(
        _ wish: Subscription, hasOwner: Bool = false, validateOnly: Bool = false, reason: String = ""
    ) async throws -> SubscriptionDescription {
        var description = SubscriptionDescription(wish)
        description.version = .none
        return try await self.put(description, hasOwner: hasOwner, validateOnly: validateOnly, reason: reason)
    }

    /// Replaces one that is still at the version that was read.
    /// - Throws: `.conflict` when somebody changed it meanwhile, `.unknownSubscription`, `.invalidArgument`.
    @discardableResult
    public func change(
        _ description: SubscriptionDescription, validateOnly: Bool = false, reason: String = ""
    ) async throws -> SubscriptionDescription {
        try await self.put(description, hasOwner: true, validateOnly: validateOnly, reason: reason)
    }

    private func put(
        _ wish: SubscriptionDescription, hasOwner: Bool, validateOnly: Bool, reason: String
    ) async throws -> SubscriptionDescription {
        try await self.core.retrying(repeatingIndefinite: false) { () throws(ApusError) in
            var request = PutSubscriptionRequest(wish, hasOwner: hasOwner)
            request.validateOnly = validateOnly
            request.reason = reason
            let response = try await self.core.callAny(request)
            if let code = response.errorCode.failure {
                throw response.subscriptionError(code, wish.name, response.errorMessage)
            }
            var made = wish
            made.id = SubscriptionID(rawValue: response.id)
            made.version = CatalogueVersion(rawValue: response.version)
            made.subscription.owner = ConsumerName(response.owner)
            return made
        }
    }

    /// Those that match all that is given, by name.
    public func list(
        owner: String? = nil, topic: String? = nil, delivery: Subscription.Delivery? = nil
    ) async throws -> [SubscriptionDescription] {
        var request = DescribeSubscriptionsRequest()
        request.owner = owner
        request.topic = topic
        request.delivery = delivery?.rawValue
        return try await self.all(request)
    }

    /// - Throws: `.unknownSubscription`.
    public func describe(_ name: String) async throws -> SubscriptionDescription {
        var request = DescribeSubscriptionsRequest()
        request.names = [name]
        guard let found = try await self.all(request).first else {
            throw ApusError(.unknownSubscription, "there is no subscription '\(name)'")
        }
        return found
    }

    private func all(_ request: DescribeSubscriptionsRequest) async throws -> [SubscriptionDescription] {
        var request = request
        var found: [SubscriptionDescription] = []
        repeat {
            let page = try await self.core.retrying(repeatingIndefinite: true) { [request] () throws(ApusError) in
                let response = try await self.core.callAny(request)
                if let code = response.errorCode.failure {
                    throw response.subscriptionError(code, "subscriptions", response.errorMessage)
                }
                return response
            }
            for wire in page.subscriptions {
                do throws(InvalidField) {
                    found.append(try SubscriptionDescription(wire))
                } catch {
                    throw ApusError(.corrupt, "subscription '\(wire.name)' can not be understood: \(error)")
                }
            }
            // A broker that names the same place again would keep us for ever.
            guard let next = page.next, next != request.after else { return found }
            request.after = next
        } while true
    }

    /// Removes each by itself. The results are in the order of the names.
    public func remove(_ names: [String]) async throws -> [Result<Void, ApusError>] {
        try await self.core.retrying(repeatingIndefinite: false) { () throws(ApusError) in
            var request = RemoveSubscriptionsRequest()
            request.names = names
            let response = try await self.core.callAny(request)
            return zip(names, response.results).map { name, result in
                guard let code = result.errorCode.failure else { return .success(()) }
                return .failure(response.subscriptionError(code, name, result.errorMessage))
            }
        }
    }

    /// Who has read one record, and who is still to.
    /// - Throws: `.offsetOutOfRange`, `.unknownTopic`.
    public func readers(of offset: Offset, topic: String, partition: PartitionIndex) async throws -> ReaderCount {
        try await self.core.retrying(repeatingIndefinite: true) { () throws(ApusError) in
            var request = DescribeReadersRequest()
            request.topic = topic
            request.partitionIndex = partition.rawValue
            request.offset = offset.rawValue
            let response = try await self.core.callAny(request)
            if let code = response.errorCode.failure {
                var error = response.error(
                    code, "\(topic)/\(partition)", topic: topic, message: response.errorMessage)
                // To ask again about what is not there would only take time.
                if error.code == .unknownTopic { error.isRetryable = false }
                throw error
            }
            return ReaderCount(
                subscriptions: Int(response.subscriptionCount), read: Int(response.readCount),
                waiting: Int(response.waitingCount), late: Int(response.lateCount), waitingFor: response.waitingFor,
                missedBy: response.missedBy, text: response.text)
        }
    }

    /// Which subscriptions hold records of a topic, and how many bytes that costs.
    /// - Throws: `.unknownTopic`.
    public func holdings(of topic: String) async throws -> TopicHoldings {
        try await self.core.retrying(repeatingIndefinite: true) { () throws(ApusError) in
            var request = DescribeHoldingsRequest()
            request.topics = [topic]
            let response = try await self.core.callAny(request)
            guard let answer = response.topics.first else { throw response.unanswered(topic) }
            if let code = answer.errorCode.failure {
                var error = response.error(code, topic, topic: topic, message: answer.errorMessage)
                if error.code == .unknownTopic { error.isRetryable = false }
                throw error
            }
            return TopicHoldings(answer)
        }
    }
}

extension BrokerAnswer {
    /// The broker's sentence says which field, or what is wrong with the catalogue; the name stands in it.
    fileprivate func subscriptionError(_ code: KafkaErrorCode, _ name: String, _ message: String?) -> ApusError {
        var error = self.error(code, name, message: message)
        switch code {
        case .resourceNotFound: error.code = .unknownSubscription
        case .duplicateResource: error.code = .subscriptionExists
        case .invalidUpdateVersion: error.code = .conflict
        case .brokerNotAvailable, .throttlingQuotaExceeded: error.code = .catalogue
        default: return error
        }
        if let message { error.message = message }
        // Somebody holds the catalogue's lock: he lets go of it, as a rule.
        error.isRetryable = code == .throttlingQuotaExceeded
        return error
    }
}
