import ApusBroker
import ApusCore
import ApusPresence
import KafkaWire

/// DescribePresence (32006, our own): who is in a channel of the endpoint servers. Takes READ on the channel's topic.
enum DescribePresenceHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 0...0

    static func handle(_ request: inout DescribePresenceRequest, _ exchange: Exchange<DescribePresenceResponse>) {
        exchange.broker.presence(
            of: request.channel, behind: request.after < 0 ? nil : request.after, upTo: Int(request.limit),
            client: exchange.client, on: exchange.loop
        ) { result in
            var response = DescribePresenceResponse()
            switch result {
            case .success(let page):
                response.count = Int32(clamping: page.count)
                response.isComplete = page.isComplete
                response.next = page.next ?? -1
                response.members = page.members.map { DescribePresenceResponse.Member($0) }
            case .failure(let error):
                response.errorCode = error.kafkaCode
                response.errorMessage = error.kafkaMessage
            }
            exchange.answer(response)
        }
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
    }
}
