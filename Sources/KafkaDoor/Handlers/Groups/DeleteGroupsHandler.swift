import ApusBroker
import ApusCore
import ApusGroups
import KafkaWire

/// DeleteGroups (42): groups without members, and all their positions.
enum DeleteGroupsHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 0...2

    static func handle(_ request: inout DeleteGroupsRequest, _ exchange: Exchange<DeleteGroupsResponse>) {
        let groups = request.groupsNames.map { GroupID($0) }
        guard groups.count <= Limits.groupsPerRequestMax else {
            return self.answer(groups.map { ($0, .invalidRequest) }, exchange)
        }
        exchange.broker.deleteGroups(groups, client: exchange.client, on: exchange.loop) { errors in
            self.answer(zip(groups, errors).map { ($0, $1?.code ?? .none) }, exchange)
        }
    }

    private static func answer(
        _ results: [(group: GroupID, code: KafkaErrorCode)], _ exchange: Exchange<DeleteGroupsResponse>
    ) {
        var response = DeleteGroupsResponse()
        response.results = results.map { group, code in
            var result = DeleteGroupsResponse.Result()
            result.groupID = group.rawValue
            result.errorCode = code
            return result
        }
        exchange.answer(response)
    }
}
