import ApusAccess
import ApusBroker
import ApusCore
import KafkaWire
import NIOCore

/// DescribeEdge (32010, our own): what an endpoint server in a process of its own has to know to serve clients as this
/// broker does: the key that signs cursors, and the rules, the ids of API keys, and the quotas, when they are others
/// than it knows.
///
/// It takes CLUSTER_ACTION on the cluster, as what brokers ask of one another does: whoever has the key can make
/// cursors, and the rules say who may do what.
enum DescribeEdgeHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 0...0

    static func handle(_ request: inout DescribeEdgeRequest, _ exchange: Exchange<DescribeEdgeResponse>) {
        var response = DescribeEdgeResponse()
        response.rules = nil
        guard exchange.client.allows(.clusterAction, on: .cluster) else {
            response.errorCode = .clusterAuthorizationFailed
            return exchange.answer(response)
        }
        guard let key = exchange.door.cursorKey else {
            response.errorCode = .invalidRequest
            response.errorMessage = "This listener serves no endpoint servers."
            return exchange.answer(response)
        }
        let access = exchange.broker.access
        let acls = access.acls
        response.clusterID = exchange.broker.identity.clusterID
        response.cursorKey = ByteBuffer(bytes: key)
        response.isAuthorizing = access.isAuthorizing
        response.superUsers = access.superUsers.map(\.text.text).sorted()
        response.rulesVersion = acls.version.rawValue
        if access.isAuthorizing, acls.version.rawValue != request.knownRules {
            response.rules = acls.acls.map { acl in
                var rule = DescribeEdgeResponse.Rule()
                rule.record = ByteBuffer(bytes: AclRecord.encoded(acl))
                return rule
            }
        }
        self.tell(request, access, &response)
        exchange.answer(response)
    }

    private static func tell(
        _ request: DescribeEdgeRequest, _ access: BrokerAccess, _ response: inout DescribeEdgeResponse
    ) {
        // The version first: what is read behind it is as new, or newer.
        response.keysVersion = access.keyVersion.rawValue
        if response.keysVersion != request.knownKeys { response.keys = access.keys.ids }
        response.quotasVersion = access.quotaVersion.rawValue
        guard response.quotasVersion != request.knownQuotas else { return }
        let quotas = access.quotas
        response.quotas = quotas.entities.map { entity, rates in
            var quota = DescribeEdgeResponse.Quota()
            quota.record = ByteBuffer(bytes: QuotaRecord.encoded(rates, of: entity))
            return quota
        }
        response.quotaDefaults = quotas.fallback.map { kind, rate in
            var wire = DescribeEdgeResponse.Default()
            wire.kind = kind.rawValue
            wire.rate = rate
            return wire
        }
    }
}
