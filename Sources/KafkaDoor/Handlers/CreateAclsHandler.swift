import ApusAccess
import ApusBroker
import KafkaWire

/// CreateAcls (30): makes rules; those that are there already are made again without harm (KIP-140).
///
/// One that can not be made is answered by itself; the others are made together or not at all.
enum CreateAclsHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 1...3

    static func handle(_ request: inout CreateAclsRequest, _ exchange: Exchange<CreateAclsResponse>) {
        var response = CreateAclsResponse()
        var acls: [Acl] = []
        for creation in request.creations {
            var result = CreateAclsResponse.Result()
            result.errorMessage = nil
            do throws(AclRefusal) {
                acls.append(
                    try Acl(
                        AclOnTheWire(
                            resourceType: creation.resourceType, patternType: creation.resourcePatternType,
                            name: creation.resourceName, principal: creation.principal, host: creation.host,
                            operation: creation.operation, permission: creation.permissionType)))
            } catch {
                result.errorCode = .invalidRequest
                result.errorMessage = "\(error)"
            }
            response.results.append(result)
        }
        exchange.broker.createAcls(acls, client: exchange.client, on: exchange.loop) { [response] error in
            var response = response
            // Who may not is told that, and not what was wrong with the rules.
            for index in response.results.indices
            where error == .clusterAuthorizationFailed || response.results[index].errorCode == .none {
                response.results[index].errorCode = error?.kafkaCode ?? .none
                response.results[index].errorMessage = error?.kafkaMessage
            }
            exchange.answer(response)
        }
    }
}
