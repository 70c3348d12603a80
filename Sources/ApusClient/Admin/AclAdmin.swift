import ApusCore
import KafkaWire

/// Rules of who may do what. Got from ``ApusClient/acls``.
///
/// Every call throws `.denied`, `.unreachable`, `.timedOut`, `.closed` besides what it names.
public struct AclAdmin: Sendable {
    let core: ClientCore

    /// The rules that the query means; those of kinds this client does not know are left out.
    public func list(_ query: AclQuery = AclQuery()) async throws -> [AclRule] {
        try await self.core.retrying(repeatingIndefinite: true) { () throws(ApusError) in
            var request = DescribeAclsRequest()
            request.resourceTypeFilter = query.kind?.rawValue ?? 1
            request.resourceNameFilter = query.name
            request.patternTypeFilter = query.patternCode
            request.principalFilter = query.principal
            request.hostFilter = query.host
            request.operation = query.operation?.rawValue ?? 1
            request.permissionType = query.permission?.rawValue ?? 1
            let response = try await self.core.callAny(request)
            if let code = response.errorCode.failure {
                throw response.error(code, "rules", message: response.errorMessage)
            }
            return response.resources.flatMap { resource in
                resource.acls.compactMap { acl in
                    AclRule(
                        permission: acl.permissionType, principal: acl.principal, host: acl.host,
                        operation: acl.operation, kind: resource.resourceType, name: resource.resourceName,
                        pattern: resource.patternType)
                }
            }
        }
    }

    /// Makes rules; those that are there already stay. The results are in the order of the rules.
    /// - Throws: `.invalidArgument` in a result for a rule that can not be.
    public func create(_ rules: [AclRule]) async throws -> [Result<Void, ApusError>] {
        try await self.core.retrying(repeatingIndefinite: true) { () throws(ApusError) in
            var request = CreateAclsRequest()
            request.creations = rules.map { rule in
                var creation = CreateAclsRequest.Creation()
                creation.resourceType = rule.resource.kind.rawValue
                creation.resourceName = rule.resource.name
                creation.resourcePatternType = rule.resource.isPrefix ? 4 : 3
                creation.principal = rule.principal
                creation.host = rule.host
                creation.operation = rule.operation.rawValue
                creation.permissionType = rule.permission.rawValue
                return creation
            }
            let response = try await self.core.callAny(request)
            return rules.indices.map { index in
                guard response.results.indices.contains(index) else {
                    return .failure(response.unanswered("\(rules[index].resource.name)"))
                }
                let result = response.results[index]
                guard let code = result.errorCode.failure else { return .success(()) }
                return .failure(response.error(code, "rule \(index + 1)", message: result.errorMessage))
            }
        }
    }

    /// Removes what any of the queries means; answers what that was.
    public func delete(_ queries: [AclQuery]) async throws -> [AclRule] {
        try await self.core.retrying(repeatingIndefinite: false) { () throws(ApusError) in
            var request = DeleteAclsRequest()
            request.filters = queries.map { query in
                var filter = DeleteAclsRequest.Filter()
                filter.resourceTypeFilter = query.kind?.rawValue ?? 1
                filter.resourceNameFilter = query.name
                filter.patternTypeFilter = query.patternCode
                filter.principalFilter = query.principal
                filter.hostFilter = query.host
                filter.operation = query.operation?.rawValue ?? 1
                filter.permissionType = query.permission?.rawValue ?? 1
                return filter
            }
            let response = try await self.core.callAny(request)
            var removed: [AclRule] = []
            for result in response.filterResults {
                if let code = result.errorCode.failure {
                    throw response.error(code, "rules", message: result.errorMessage)
                }
                removed += result.matchingAcls.compactMap { acl in
                    AclRule(
                        permission: acl.permissionType, principal: acl.principal, host: acl.host,
                        operation: acl.operation, kind: acl.resourceType, name: acl.resourceName,
                        pattern: acl.patternType)
                }
            }
            return removed
        }
    }
}

extension AclRule {
    /// Nil for codes that this client does not know.
    fileprivate init?(
        permission: Int8, principal: String, host: String, operation: Int8, kind: Int8, name: String, pattern: Int8
    ) {
        guard let permission = Permission(rawValue: permission), let operation = Operation(rawValue: operation),
            let kind = Resource.Kind(rawValue: kind)
        else { return nil }
        self.init(
            permission, principal, from: host, operation, on: Resource(kind, name, isPrefix: pattern == 4))
    }
}
