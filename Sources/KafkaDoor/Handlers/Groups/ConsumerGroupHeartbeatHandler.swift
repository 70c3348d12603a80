import ApusBroker
import ApusGroups
import KafkaWire

/// ConsumerGroupHeartbeat (68): all that members of the consumer protocol ever send (KIP-848).
enum ConsumerGroupHeartbeatHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 0...1

    static func handle(
        _ request: inout ConsumerGroupHeartbeatRequest, _ exchange: Exchange<ConsumerGroupHeartbeatResponse>
    ) {
        let heartbeat = ConsumerGroupHeartbeat(request, version: exchange.version, client: exchange.identity)
        exchange.broker.consumerGroupHeartbeat(heartbeat, client: exchange.client, on: exchange.loop) { result in
            exchange.answer(ConsumerGroupHeartbeatResponse(result))
        }
    }
}
