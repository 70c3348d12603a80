import ApusBroker
import ApusCore
import ApusGroups
import KafkaWire

/// ConsumerGroupDescribe (69): groups in which the coordinator assigns, and how far their members have come (KIP-848).
enum ConsumerGroupDescribeHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 0...1

    static func handle(
        _ request: inout ConsumerGroupDescribeRequest, _ exchange: Exchange<ConsumerGroupDescribeResponse>
    ) {
        guard request.groupIDs.count <= Limits.groupsPerRequestMax else {
            return exchange.close(because: "ConsumerGroupDescribe of \(request.groupIDs.count) groups")
        }
        let groups = request.groupIDs.map { GroupID($0) }.eachOnce { $0 }
        let tellsOperations = request.includeAuthorizedOperations
        exchange.broker.consumerGroupDescribe(groups, client: exchange.client, on: exchange.loop) { results in
            var response = ConsumerGroupDescribeResponse()
            response.groups = zip(groups, results).map { id, result in
                switch result {
                case .failure(let error): return ConsumerGroupDescribeResponse.Group(id, error)
                case .success(let description):
                    var group = ConsumerGroupDescribeResponse.Group(description)
                    if tellsOperations { group.authorizedOperations = exchange.operations(on: id) }
                    return group
                }
            }
            exchange.answer(response)
        }
    }
}
