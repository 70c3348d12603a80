import ApusBroker
import ApusCore
import KafkaWire

/// PutSubscription (32001, our own): makes a subscription, or replaces one that is at the expected version.
enum PutSubscriptionHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 0...0

    static func handle(_ request: inout PutSubscriptionRequest, _ exchange: Exchange<PutSubscriptionResponse>) {
        let wish: SubscriptionWish
        do throws(InvalidField) {
            wish = SubscriptionWish(
                try self.subscription(request, by: exchange.client),
                expecting: CatalogueVersion(rawValue: request.expectedVersion), reason: request.reason)
        } catch {
            return self.answer(.failure(.catalogue(.invalid(error))), exchange)
        }
        exchange.broker.put(
            wish, validateOnly: request.validateOnly, client: exchange.client, on: exchange.loop
        ) { result in
            self.answer(result, exchange)
        }
    }

    private static func answer(
        _ result: Result<RegisteredSubscription, BrokerError>, _ exchange: Exchange<PutSubscriptionResponse>
    ) {
        var response = PutSubscriptionResponse()
        switch result {
        case .success(let entry):
            response.id = entry.id.rawValue
            response.version = entry.version.rawValue
            response.owner = entry.subscription.owner.text
        case .failure(let error):
            response.errorCode = error.kafkaCode
            response.errorMessage = error.kafkaMessage
        }
        exchange.answer(response)
    }

    private static func subscription(
        _ request: PutSubscriptionRequest, by client: ClientContext
    ) throws(InvalidField) -> Subscription {
        guard let delivery = Subscription.Delivery(rawValue: request.delivery) else {
            throw InvalidField("delivery", "stream or queue, not '\(request.delivery.prefix(20))'")
        }
        let start: Subscription.Start
        switch request.startKind {
        case 0: start = .earliest
        case 1: start = .latest
        case 2: start = .time(Timestamp(rawValue: request.startTimestampMs))
        default: throw InvalidField("start", "0 is earliest, 1 latest, 2 a time, not \(request.startKind)")
        }
        if request.pattern != nil, !request.topics.isEmpty {
            throw InvalidField("topics", "name topics or give a pattern, not both")
        }
        let interest: TopicInterest =
            if let pattern = request.pattern { .pattern(try TopicPattern(pattern)) } else { .names(request.topics) }
        return Subscription(
            name: SubscriptionName(request.name),
            owner: request.owner.map { ConsumerName($0) } ?? client.consumerName, interest: interest,
            delivery: delivery, start: start, period: self.duration(request.periodMs),
            expiry: self.duration(request.expiryMs), filter: request.filter,
            deadLetterTopic: request.deadLetterTopic, pushEndpoint: request.pushEndpoint)
    }

    /// The smallest number stands for none; zero and the other negative ones are refused in words.
    private static func duration(_ milliseconds: Int64) -> Duration? {
        milliseconds == .min ? nil : .milliseconds(milliseconds)
    }
}
