import ApusBroker
import ApusCore
import ApusPresence
import KafkaWire

/// DescribePresence (32006, our own): who is in a channel of the endpoint servers, and with `receipts` who has
/// confirmed what of it. Takes READ on the channel's topic.
enum DescribePresenceHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 0...0

    static func handle(_ request: inout DescribePresenceRequest, _ exchange: Exchange<DescribePresenceResponse>) {
        let place = request.after < 0 ? nil : request.after
        guard request.receipts else {
            return exchange.broker.presence(
                of: request.channel, behind: place, upTo: Int(request.limit), client: exchange.client,
                on: exchange.loop
            ) { self.answer($0.map { ReceiptPage(page: $0, ends: [:]) }, exchange) }
        }
        exchange.broker.receipts(
            of: request.channel, behind: place, upTo: Int(request.limit), client: exchange.client, on: exchange.loop
        ) { self.answer($0, exchange) }
    }

    private static func answer(
        _ result: Result<ReceiptPage, BrokerError>, _ exchange: Exchange<DescribePresenceResponse>
    ) {
        var response = DescribePresenceResponse()
        switch result {
        case .success(let found):
            response.count = Int32(clamping: found.page.count)
            response.isComplete = found.page.isComplete
            response.next = found.page.next ?? -1
            response.members = found.page.members.map { DescribePresenceResponse.Member($0) }
            response.ends = found.ends.map { partition, offset in
                var end = DescribePresenceResponse.End()
                end.partitionIndex = partition.rawValue
                end.offset = offset.rawValue
                return end
            }
        case .failure(let error):
            response.errorCode = error.kafkaCode
            response.errorMessage = error.kafkaMessage
        }
        exchange.answer(response)
    }
}

extension DescribePresenceResponse.Member {
    fileprivate init(_ member: PresenceMember) {
        self.init()
        self.node = member.node
        self.life = member.life
        self.connection = member.connection
        self.user = member.guest.user
        self.client = member.guest.client
        self.sinceMs = member.since?.rawValue ?? -1
        self.place = member.place
        self.seen = member.seen.map { seen in
            var wire = DescribePresenceResponse.Seen()
            wire.partitionIndex = seen.partition.rawValue
            wire.nextOffset = seen.next.rawValue
            wire.atMs = seen.at.rawValue
            return wire
        }
    }
}
