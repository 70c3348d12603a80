import ApusBroker
import ApusGroups
import KafkaWire

/// JoinGroup (11): becoming a member of a group of the classic protocol. Answered when its generation was made.
enum JoinGroupHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 0...9

    /// From here on a member says how long it takes to join again.
    private static let versionRebalanceTimeout: Int16 = 1
    /// From here on who has no name comes again with the one it is given (KIP-394).
    private static let versionMustReturn: Int16 = 4
    /// From here on an answer may do without a protocol.
    private static let versionNullable: Int16 = 7
    /// From here on a leader can be told that the assignment stands (KIP-814).
    private static let versionSkip: Int16 = 9

    static func handle(_ request: inout JoinGroupRequest, _ exchange: Exchange<JoinGroupResponse>) {
        let session = Duration.milliseconds(request.sessionTimeoutMs)
        let join = JoinRequest(
            member: MemberID(request.memberID), instance: request.groupInstanceID.map { InstanceID($0) },
            client: exchange.identity, sessionTimeout: session,
            rebalanceTimeout: exchange.version >= self.versionRebalanceTimeout
                ? .milliseconds(request.rebalanceTimeoutMs) : session,
            protocolType: request.protocolType,
            protocols: request.protocols.map { GroupProtocol(name: $0.name, metadata: $0.metadata) },
            mustReturn: exchange.version >= self.versionMustReturn,
            canSkipAssignment: exchange.version >= self.versionSkip, memberNew: .none
        )
        exchange.broker.joinGroup(
            GroupID(request.groupID), join, client: exchange.client, on: exchange.loop
        ) { result in
            var response = JoinGroupResponse()
            switch result {
            case .success(let joined): response.take(joined)
            case .failure(let refusal):
                response.errorCode = refusal.error.code
                response.memberID = refusal.member.rawValue
                response.protocolName = exchange.version >= self.versionNullable ? nil : ""
            }
            exchange.answer(response)
        }
    }
}

extension JoinGroupResponse {
    fileprivate mutating func take(_ joined: JoinedGroup) {
        self.generationID = joined.generation.rawValue
        self.protocolType = joined.protocolType
        self.protocolName = joined.protocolName
        self.leader = joined.leader.rawValue
        self.skipAssignment = joined.skipAssignment
        self.memberID = joined.member.rawValue
        self.members = joined.members.map {
            var member = Member()
            member.memberID = $0.id.rawValue
            member.groupInstanceID = $0.instance?.rawValue
            member.metadata = $0.metadata
            return member
        }
    }
}
