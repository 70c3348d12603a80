import ApusBroker
import ApusCore
import KafkaWire

/// DescribeHoldings (32004, our own): which subscription holds records of a topic, and how many bytes that costs. The
/// first `Limits.holdingsTopicsMax` topics are answered.
enum DescribeHoldingsHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 0...0

    static func handle(_ request: inout DescribeHoldingsRequest, _ exchange: Exchange<DescribeHoldingsResponse>) {
        // Each may have ten thousand holders: who wants more asks again.
        self.next(request.topics.prefix(Limits.holdingsTopicsMax), DescribeHoldingsResponse(), exchange)
    }

    /// One topic after the other.
    private static func next(
        _ names: ArraySlice<String>, _ response: DescribeHoldingsResponse,
        _ exchange: Exchange<DescribeHoldingsResponse>
    ) {
        guard let name = names.first else { return exchange.answer(response) }
        exchange.broker.holdings(of: .name(name), client: exchange.client, on: exchange.loop) { result in
            var response = response
            response.topics.append(.init(name, result))
            self.next(names.dropFirst(), response, exchange)
        }
    }
}

extension DescribeHoldingsResponse.Topic {
    fileprivate init(_ name: String, _ result: Result<TopicHoldings, BrokerError>) {
        self.init()
        self.name = name
        switch result {
        case .success(let holdings):
            self.topicOwner = holdings.owner?.text
            self.mode = holdings.mode
            self.floorMs = holdings.floor?.wholeMilliseconds ?? -1
            self.ceilingMs = holdings.ceiling?.wholeMilliseconds ?? -1
            self.retentionMs = holdings.retention?.wholeMilliseconds ?? -1
            self.totalBytes = Int64(clamping: holdings.totalBytes.rawValue)
            self.holders = holdings.holders.map { .init($0) }
        case .failure(let error):
            self.errorCode = error.kafkaCode
            self.errorMessage = error.kafkaMessage
        }
    }
}

extension DescribeHoldingsResponse.Holder {
    fileprivate init(_ holder: TopicHoldings.Holder) {
        self.init()
        self.subscription = holder.subscription.subscription.name.text
        self.owner = holder.subscription.subscription.owner.text
        self.statedPeriodMs = holder.subscription.subscription.period?.wholeMilliseconds ?? -1
        self.periodMs = holder.period?.wholeMilliseconds ?? -1
        self.heldBytes = Int64(clamping: holder.heldBytes.rawValue)
        self.ownBytes = Int64(clamping: holder.ownBytes.rawValue)
        self.unreadRecords = holder.unread ?? -1
    }
}
