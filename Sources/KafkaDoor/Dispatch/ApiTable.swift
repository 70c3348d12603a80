import KafkaWire
import NIOCore

/// Which APIs are served, in which versions, and by what. What ApiVersions tells clients is read from here, so nothing
/// is advertised that is not served.
struct ApiTable: Sendable {
    struct Api: Sendable {
        let key: ApiKey
        let versions: ClosedRange<Int16>
        let versionAdvertisedMin: Int16
        /// Decodes the request and has it handled.
        let run: @Sendable (inout Call, KafkaConnection) throws(WireError) -> Void
    }

    /// The protocol's by key, for few and small keys: an array is the fastest table. Our own by what they are above the
    /// first of them.
    private let apis: [Api?]
    private let own: [Api?]

    init(_ handlers: [any ApiHandler.Type]) {
        let served = handlers.map { Self.api($0) }
        self.apis = Self.table(served.filter { !$0.key.isOwn }, from: 0)
        self.own = Self.table(served.filter(\.key.isOwn), from: Int(ApiKey.ownFirst))
    }

    private static func table(_ served: [Api], from first: Int) -> [Api?] {
        var apis = [Api?](repeating: nil, count: served.map { Int($0.key.rawValue) - first + 1 }.max() ?? 0)
        for api in served {
            let place = Int(api.key.rawValue) - first
            precondition(apis[place] == nil, "\(api.key) is served twice")
            apis[place] = api
        }
        return apis
    }

    /// Everything this door serves.
    static let standard = ApiTable([
        ProduceHandler.self, FetchHandler.self, ListOffsetsHandler.self, MetadataHandler.self,
        ApiVersionsHandler.self, CreateTopicsHandler.self, DeleteTopicsHandler.self, DeleteRecordsHandler.self,
        InitProducerIdHandler.self, OffsetForLeaderEpochHandler.self, DescribeConfigsHandler.self,
        AlterConfigsHandler.self, DescribeLogDirsHandler.self, CreatePartitionsHandler.self,
        IncrementalAlterConfigsHandler.self, DescribeClusterHandler.self, DescribeProducersHandler.self,
        DescribeTopicPartitionsHandler.self, FindCoordinatorHandler.self, JoinGroupHandler.self,
        SyncGroupHandler.self, HeartbeatHandler.self, LeaveGroupHandler.self, OffsetCommitHandler.self,
        OffsetFetchHandler.self, DescribeGroupsHandler.self, ListGroupsHandler.self, DeleteGroupsHandler.self,
        OffsetDeleteHandler.self, ConsumerGroupHeartbeatHandler.self, ConsumerGroupDescribeHandler.self,
        DescribeAclsHandler.self, CreateAclsHandler.self, DeleteAclsHandler.self, DescribeClientQuotasHandler.self,
        AlterClientQuotasHandler.self,
        SaslHandshakeHandler.self, SaslAuthenticateHandler.self, DescribeUserScramCredentialsHandler.self,
        AlterUserScramCredentialsHandler.self,
        DescribeSubscriptionsHandler.self, PutSubscriptionHandler.self, RemoveSubscriptionsHandler.self,
        DescribeReadersHandler.self, DescribeHoldingsHandler.self, ReportPresenceHandler.self,
        DescribePresenceHandler.self,
        DescribeEdgeHandler.self, CheckEdgeLoginHandler.self,
    ])

    subscript(key: ApiKey) -> Api? {
        let apis = key.isOwn ? self.own : self.apis
        let index = Int(key.rawValue) - (key.isOwn ? Int(ApiKey.ownFirst) : 0)
        return apis.indices.contains(index) ? apis[index] : nil
    }

    /// Every API, by key.
    var all: [Api] { (self.apis + self.own).compactMap { $0 } }
    /// Those of the protocol: what clients are told of. Some refuse to talk to a broker that names keys they can not
    /// know, and who knows of ours need not ask.
    var told: [Api] { self.apis.compactMap { $0 } }

    private static func api<Handler: ApiHandler>(_ handler: Handler.Type) -> Api {
        let readable = Handler.Request.versions
        precondition(
            readable.contains(handler.versions.lowerBound) && readable.contains(handler.versions.upperBound),
            "\(Handler.Request.apiKey) is served in versions that the wire does not read"
        )
        return Api(
            key: Handler.Request.apiKey, versions: handler.versions,
            versionAdvertisedMin: handler.versionAdvertisedMin
        ) { (call: inout Call, connection: KafkaConnection) throws(WireError) in
            var request = try call.decode(Handler.Request.self)
            Handler.handle(&request, Exchange(call, connection))
        }
    }
}
