import ApusCore
import ApusAccess
import KafkaWire
import NIOCore

@testable import KafkaDoor

extension ApiRights {
    static let cluster: [ApiRights] = [
        ApiRights(needs: Self.nothing) { _, _, _ in
            var request = ApiVersionsRequest()
            request.clientSoftwareName = "matrix"
            request.clientSoftwareVersion = "1"
            return request
        },
        ApiRights(needs: Self.nothing) { _, _, _ in DescribeClusterRequest() },
        ApiRights(needs: [[Right(.describe, .cluster)]]) { (answer: DescribeLogDirsResponse) in
            // Before version 3 there is no place for an error.
            answer.results.isEmpty
        } _: { _, _, _ in
            var request = DescribeLogDirsRequest()
            request.topics = nil
            return request
        },
        ApiRights(needs: [[Right(.describe, .cluster)]]) { _, _, _ in
            var request = DescribeAclsRequest()
            request.resourceTypeFilter = 1
            request.resourceNameFilter = nil
            request.patternTypeFilter = 1
            request.principalFilter = nil
            request.hostFilter = nil
            request.operation = 1
            request.permissionType = 1
            return request
        },
        ApiRights(needs: [[Right(.alter, .cluster)]]) { _, name, _ in
            var creation = CreateAclsRequest.Creation()
            creation.resourceType = 2
            creation.resourceName = name
            creation.principal = "User:bob"
            creation.host = "*"
            creation.operation = 3
            creation.permissionType = 3
            var request = CreateAclsRequest()
            request.creations = [creation]
            return request
        },
        ApiRights(needs: [[Right(.alter, .cluster)]]) { _, name, _ in
            var filter = DeleteAclsRequest.Filter()
            filter.resourceTypeFilter = 2
            filter.resourceNameFilter = name
            filter.principalFilter = "User:bob"
            filter.hostFilter = nil
            filter.operation = 1
            filter.permissionType = 1
            var request = DeleteAclsRequest()
            request.filters = [filter]
            return request
        },
        ApiRights(needs: [[Right(.describeConfigs, .cluster)]]) { _, _, _ in DescribeClientQuotasRequest() },
        ApiRights(needs: [[Right(.clusterAction, .cluster)]]) { _, _, _ in DescribeEdgeRequest() },
        ApiRights(needs: [[Right(.clusterAction, .cluster)]]) { _, _, _ in
            var request = CheckEdgeLoginRequest()
            request.keyID = "0123456789abcdef"
            return request
        },
        ApiRights(needs: [[Right(.alterConfigs, .cluster)]]) { _, _, _ in
            var entity = AlterClientQuotasRequest.Entity()
            entity.entityType = "user"
            entity.entityName = "bob"
            var operation = AlterClientQuotasRequest.Operation()
            operation.key = "producer_byte_rate"
            operation.value = 1e9
            var entry = AlterClientQuotasRequest.Entry()
            entry.entity = [entity]
            entry.ops = [operation]
            var request = AlterClientQuotasRequest()
            request.entries = [entry]
            return request
        },
        ApiRights(needs: [[Right(.describe, .cluster)]]) { _, _, _ in
            var request = DescribeUserScramCredentialsRequest()
            request.users = nil
            return request
        },
        ApiRights(needs: [[Right(.alter, .cluster)]]) { _, _, _ in
            var deletion = AlterUserScramCredentialsRequest.Deletion()
            deletion.name = "bob"
            deletion.mechanism = 2
            var request = AlterUserScramCredentialsRequest()
            request.deletions = [deletion]
            return request
        },
    ]
}
