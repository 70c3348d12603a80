import ApusCore
import ApusAccess
import KafkaWire

@testable import KafkaDoor

extension ApiRights {
    private static let describes: [[Right]] = [[Right(.describe, .topic)]]

    static let subscriptions: [ApiRights] = [
        // A list shows what one may see.
        ApiRights(needs: ApiRights.nothing) { _, _, _ in DescribeSubscriptionsRequest() },
        ApiRights("new", needs: [[Right(.create, .subscription), Right(.read, .topic)]]) { _, name, _ in
            Self.wish(name, expectedVersion: 0)
        },
        ApiRights("changed", needs: [[Right(.alter, .subscription), Right(.read, .topic)]]) { _, name, _ in
            Self.wish(name, expectedVersion: 5)
        },
        ApiRights(needs: [[Right(.delete, .subscription)]]) { _, name, _ in
            var request = RemoveSubscriptionsRequest()
            request.names = [name]
            return request
        },
        ApiRights(needs: Self.describes) { _, name, _ in
            var request = DescribeReadersRequest()
            request.topic = name
            return request
        },
        ApiRights(needs: Self.describes) { _, name, _ in
            var request = DescribeHoldingsRequest()
            request.topics = [name]
            return request
        },
        ApiRights(needs: [[Right(.clusterAction, .cluster)]]) { _, name, _ in
            var request = ReportPresenceRequest()
            request.node = name
            return request
        },
        ApiRights(needs: [[Right(.read, .topic)]]) { _, name, _ in
            var request = DescribePresenceRequest()
            request.channel = name
            request.limit = 10
            return request
        },
    ]

    private static func wish(_ name: String, expectedVersion: Int64) -> PutSubscriptionRequest {
        var request = PutSubscriptionRequest()
        request.name = name
        request.topics = [name]
        request.delivery = "stream"
        request.expectedVersion = expectedVersion
        return request
    }
}
