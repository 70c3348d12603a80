import ApusBroker
import ApusCore
import ApusGroups
import KafkaWire

/// DeleteGroups (42): groups without members, and all their positions.
enum DeleteGroupsHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 0...2

    static func handle(_ request: inout DeleteGroupsRequest, _ exchange: Exchange<DeleteGroupsResponse>) {
        let groups = request.groupsNames.prefix(Limits.groupsPerRequestMax).map { GroupID($0) }
        exchange.broker.deleteGroups(groups, client: exchange.client, on: exchange.loop) { errors in
            var response = DeleteGroupsResponse()
            response.results = zip(groups, errors).map { group, error in
                var result = DeleteGroupsResponse.Result()
                result.groupID = group.rawValue
                result.errorCode = error?.code ?? .none
                return result
            }
            exchange.answer(response)
        }
    }
}
