import ApusBroker
import ApusGroups
import KafkaWire

/// Heartbeat (12): a member of the classic protocol is there, and hears whether it must join again.
enum HeartbeatHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 0...4

    static func handle(_ request: inout HeartbeatRequest, _ exchange: Exchange<HeartbeatResponse>) {
        let identity = MemberIdentity(
            member: MemberID(request.memberID), instance: request.groupInstanceID.map { InstanceID($0) }
        )
        exchange.broker.heartbeat(
            GroupID(request.groupID), identity, Generation(rawValue: request.generationID), client: exchange.client,
            on: exchange.loop
        ) { error in
            var response = HeartbeatResponse()
            response.errorCode = error?.code ?? .none
            exchange.answer(response)
        }
    }
}
