import ApusBroker
import ApusGroups
import KafkaWire

/// ListGroups (16): every group, by state (KIP-518) and type (KIP-848) if asked.
enum ListGroupsHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 0...5

    static func handle(_ request: inout ListGroupsRequest, _ exchange: Exchange<ListGroupsResponse>) {
        let states = Set(request.statesFilter.map { $0.lowercased() })
        let types = Set(request.typesFilter.map { $0.lowercased() })
        exchange.broker.listGroups(client: exchange.client, on: exchange.loop) { result in
            var response = ListGroupsResponse()
            switch result {
            case .failure(let error): response.errorCode = error.code
            case .success(let listings):
                response.groups = listings.filter { listing in
                    (states.isEmpty || states.contains(listing.state.lowercased()))
                        && (types.isEmpty || types.contains(listing.kind.rawValue))
                }.map { listing in
                    var group = ListGroupsResponse.Group()
                    group.groupID = listing.group.rawValue
                    group.protocolType = listing.protocolType
                    group.groupState = listing.state
                    group.groupType = listing.kind.rawValue
                    return group
                }
            }
            exchange.answer(response)
        }
    }
}
