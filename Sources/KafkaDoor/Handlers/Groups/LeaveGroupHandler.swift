import ApusBroker
import ApusGroups
import KafkaWire

/// LeaveGroup (13): a member goes; from version 3 on several, each with an answer of its own (KIP-345).
enum LeaveGroupHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 0...5

    private static let versionBatched: Int16 = 3

    static func handle(_ request: inout LeaveGroupRequest, _ exchange: Exchange<LeaveGroupResponse>) {
        let identities =
            exchange.version >= self.versionBatched
            ? request.members.map {
                MemberIdentity(member: MemberID($0.memberID), instance: $0.groupInstanceID.map { InstanceID($0) })
            } : [MemberIdentity(member: MemberID(request.memberID))]
        exchange.broker.leaveGroup(
            GroupID(request.groupID), identities, client: exchange.client, on: exchange.loop
        ) { results in
            var response = LeaveGroupResponse()
            let whole = results.first?.error.flatMap { $0.isOfTheGroup ? $0 : nil }
            if exchange.version < self.versionBatched {
                response.errorCode = results.first?.error?.code ?? .none
            } else if let whole {
                response.errorCode = whole.code
            } else {
                response.members = results.map {
                    var member = LeaveGroupResponse.Member()
                    member.memberID = $0.identity.member.rawValue
                    member.groupInstanceID = $0.identity.instance?.rawValue
                    member.errorCode = $0.error?.code ?? .none
                    return member
                }
            }
            exchange.answer(response)
        }
    }
}

extension GroupError {
    /// Not the member's: all of the request is refused.
    fileprivate var isOfTheGroup: Bool {
        switch self {
        case .invalidGroupID, .groupAuthorizationFailed, .loading, .notCoordinator, .unavailable: true
        default: false
        }
    }
}
