import ApusBroker
import ApusGroups
import KafkaWire

/// SyncGroup (14): the leader hands in who gets what, everybody is given theirs.
enum SyncGroupHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 0...5

    static func handle(_ request: inout SyncGroupRequest, _ exchange: Exchange<SyncGroupResponse>) {
        let sync = SyncRequest(
            member: MemberID(request.memberID), instance: request.groupInstanceID.map { InstanceID($0) },
            generation: Generation(rawValue: request.generationID), protocolType: request.protocolType,
            protocolName: request.protocolName,
            assignments: Dictionary(
                request.assignments.map { (MemberID($0.memberID), $0.assignment) }
            ) { _, last in last }
        )
        exchange.broker.syncGroup(
            GroupID(request.groupID), sync, client: exchange.client, on: exchange.loop
        ) { result in
            var response = SyncGroupResponse()
            switch result {
            case .success(let synced):
                response.protocolType = synced.protocolType
                response.protocolName = synced.protocolName
                response.assignment = synced.assignment
            case .failure(let error): response.errorCode = error.code
            }
            exchange.answer(response)
        }
    }
}
