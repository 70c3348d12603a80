import ApusAccess
import ApusBroker
import KafkaWire

/// DescribeAcls (29): the rules that a filter shows, by resource (KIP-140, KIP-290).
enum DescribeAclsHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 1...3

    static func handle(_ request: inout DescribeAclsRequest, _ exchange: Exchange<DescribeAclsResponse>) {
        var response = DescribeAclsResponse()
        response.errorMessage = nil
        do throws(AclRefusal) {
            let filter = try AclFilter(
                resourceType: request.resourceTypeFilter, patternType: request.patternTypeFilter,
                name: request.resourceNameFilter, principal: request.principalFilter, host: request.hostFilter,
                operation: request.operation, permission: request.permissionType)
            switch exchange.broker.describeAcls(filter, client: exchange.client) {
            case .success(let acls): response.resources = self.resources(of: acls)
            case .failure(let error):
                response.errorCode = error.kafkaCode
                response.errorMessage = error.kafkaMessage
            }
        } catch {
            response.errorCode = .invalidRequest
            response.errorMessage = "\(error)"
        }
        exchange.answer(response)
    }

    /// Rules come sorted by what they are about.
    private static func resources(of acls: [Acl]) -> [DescribeAclsResponse.Resource] {
        var resources: [DescribeAclsResponse.Resource] = []
        var last: ResourcePattern?
        for acl in acls {
            let wire = AclOnTheWire(acl)
            if acl.pattern != last {
                var resource = DescribeAclsResponse.Resource()
                resource.resourceType = wire.resourceType
                resource.resourceName = wire.name
                resource.patternType = wire.patternType
                resources.append(resource)
                last = acl.pattern
            }
            var described = DescribeAclsResponse.Acl()
            described.principal = wire.principal
            described.host = wire.host
            described.operation = wire.operation
            described.permissionType = wire.permission
            resources[resources.count - 1].acls.append(described)
        }
        return resources
    }
}
