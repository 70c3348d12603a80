import ApusAccess
import ApusBroker
import KafkaWire

/// DeleteAcls (31): removes the rules that filters show, and says which those were (KIP-140).
enum DeleteAclsHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 1...3

    static func handle(_ request: inout DeleteAclsRequest, _ exchange: Exchange<DeleteAclsResponse>) {
        var response = DeleteAclsResponse()
        var filters: [AclFilter] = []
        for filter in request.filters {
            var result = DeleteAclsResponse.FilterResult()
            result.errorMessage = nil
            do throws(AclRefusal) {
                filters.append(
                    try AclFilter(
                        resourceType: filter.resourceTypeFilter, patternType: filter.patternTypeFilter,
                        name: filter.resourceNameFilter, principal: filter.principalFilter, host: filter.hostFilter,
                        operation: filter.operation, permission: filter.permissionType))
            } catch {
                result.errorCode = .invalidRequest
                result.errorMessage = "\(error)"
            }
            response.filterResults.append(result)
        }
        exchange.broker.deleteAcls(filters, client: exchange.client, on: exchange.loop) { [response] results in
            exchange.answer(self.filled(response, with: results))
        }
    }

    private static func filled(
        _ response: DeleteAclsResponse, with results: Result<[[Acl]], BrokerError>
    ) -> DeleteAclsResponse {
        var response = response
        switch results {
        case .failure(let error):
            for index in response.filterResults.indices
            where error == .clusterAuthorizationFailed || response.filterResults[index].errorCode == .none {
                response.filterResults[index].errorCode = error.kafkaCode
                response.filterResults[index].errorMessage = error.kafkaMessage
            }
        case .success(let found):
            var found = found[...]
            for index in response.filterResults.indices where response.filterResults[index].errorCode == .none {
                guard let acls = found.popFirst() else { preconditionFailure("an answer for every filter") }
                response.filterResults[index].matchingAcls = acls.map(DeleteAclsResponse.MatchingAcl.init)
            }
        }
        return response
    }
}

extension DeleteAclsResponse.MatchingAcl {
    fileprivate init(_ acl: Acl) {
        self.init()
        let wire = AclOnTheWire(acl)
        self.errorMessage = nil
        self.resourceType = wire.resourceType
        self.resourceName = wire.name
        self.patternType = wire.patternType
        self.principal = wire.principal
        self.host = wire.host
        self.operation = wire.operation
        self.permissionType = wire.permission
    }
}
