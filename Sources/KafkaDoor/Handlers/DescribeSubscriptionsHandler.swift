import ApusBroker
import ApusCore
import KafkaWire

/// DescribeSubscriptions (32000, our own): subscriptions by name, owner, topic or delivery, a page at a time.
enum DescribeSubscriptionsHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 0...0

    static func handle(
        _ request: inout DescribeSubscriptionsRequest, _ exchange: Exchange<DescribeSubscriptionsResponse>
    ) {
        var filter = SubscriptionFilter(
            names: request.names.map { Set($0.map { SubscriptionName($0) }) },
            owner: request.owner.map { ConsumerName($0) }, topic: request.topic,
            after: request.after.map { SubscriptionName($0) })
        if let word = request.delivery {
            guard let delivery = Subscription.Delivery(rawValue: word) else {
                var response = DescribeSubscriptionsResponse()
                response.errorCode = .invalidRequest
                response.errorMessage = "delivery: stream or queue, not '\(word.prefix(20))'"
                return exchange.answer(response)
            }
            filter.delivery = delivery
        }
        exchange.broker.listSubscriptions(filter, client: exchange.client, on: exchange.loop) { result in
            var response = DescribeSubscriptionsResponse()
            switch result {
            case .success(let list):
                response.subscriptions = list.items.map { .init($0) }
                response.next = list.next?.text
            case .failure(let error):
                response.errorCode = error.kafkaCode
                response.errorMessage = error.kafkaMessage
            }
            exchange.answer(response)
        }
    }
}

extension DescribeSubscriptionsResponse.Subscription {
    fileprivate init(_ entry: RegisteredSubscription) {
        self.init()
        let subscription = entry.subscription
        self.name = subscription.name.text
        self.id = entry.id.rawValue
        self.version = entry.version.rawValue
        self.owner = subscription.owner.text
        self.topics = subscription.interest.names
        self.pattern = subscription.interest.pattern?.text
        self.delivery = subscription.delivery.rawValue
        switch subscription.start {
        case .earliest: self.startKind = 0
        case .latest: self.startKind = 1
        case .time(let time): (self.startKind, self.startTimestampMs) = (2, time.rawValue)
        }
        self.periodMs = subscription.period?.wholeMilliseconds ?? -1
        self.expiryMs = subscription.expiry?.wholeMilliseconds ?? -1
        self.origin = subscription.origin.rawValue
        self.filter = subscription.filter
        self.deadLetterTopic = subscription.deadLetterTopic
        self.pushEndpoint = subscription.pushEndpoint
        self.createdAtMs = entry.createdAt.rawValue
        self.usedAtMs = entry.usedAt.rawValue
    }
}
