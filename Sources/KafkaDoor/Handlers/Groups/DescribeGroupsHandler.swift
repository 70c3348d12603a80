import ApusAccess
import ApusBroker
import ApusCore
import ApusGroups
import KafkaWire

/// DescribeGroups (15): groups of the classic protocol, and what their members told and were given.
enum DescribeGroupsHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 0...6

    /// From here on a group that is not there is an error; before, it is "Dead" (KIP-1043).
    private static let versionNotFound: Int16 = 6

    static func handle(_ request: inout DescribeGroupsRequest, _ exchange: Exchange<DescribeGroupsResponse>) {
        guard request.groups.count <= Limits.groupsPerRequestMax else {
            return exchange.close(because: "DescribeGroups of \(request.groups.count) groups")
        }
        let groups = request.groups.map { GroupID($0) }.eachOnce { $0 }
        let tellsOperations = request.includeAuthorizedOperations
        exchange.broker.describeGroups(groups, client: exchange.client, on: exchange.loop) { results in
            var response = DescribeGroupsResponse()
            response.groups = zip(groups, results).map { id, result in
                var group = self.group(id, result, exchange.version)
                if tellsOperations, group.errorCode == .none {
                    group.authorizedOperations = exchange.operations(on: id)
                }
                return group
            }
            exchange.answer(response)
        }
    }

    private static func group(
        _ id: GroupID, _ result: Result<ClassicDescription?, GroupError>, _ version: Int16
    ) -> DescribeGroupsResponse.Group {
        var group = DescribeGroupsResponse.Group()
        group.groupID = id.rawValue
        switch result {
        case .failure(let error): group.errorCode = error.code
        case .success(nil):
            group.groupState = "Dead"
            guard version >= self.versionNotFound else { break }
            group.errorCode = .groupIDNotFound
            group.errorMessage = "There is no group of the classic protocol with this name."
        case .success(let description?):
            group.groupState = description.state
            group.protocolType = description.protocolType
            group.protocolData = description.protocolName
            group.members = description.members.map {
                var member = DescribeGroupsResponse.Member()
                member.memberID = $0.id.rawValue
                member.groupInstanceID = $0.instance?.rawValue
                member.clientID = $0.client.clientID
                member.clientHost = $0.client.host
                member.memberMetadata = $0.subscription
                member.memberAssignment = $0.assignment
                return member
            }
        }
        return group
    }
}
