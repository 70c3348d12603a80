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

    /// By key, for few and small keys: an array is the fastest table.
    private let apis: [Api?]

    init(_ handlers: [any ApiHandler.Type]) {
        let served = handlers.map { Self.api($0) }
        var apis = [Api?](repeating: nil, count: Int(served.map(\.key.rawValue).max() ?? 0) + 1)
        for api in served {
            precondition(apis[Int(api.key.rawValue)] == nil, "\(api.key) is served twice")
            apis[Int(api.key.rawValue)] = api
        }
        self.apis = apis
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
    ])

    subscript(key: ApiKey) -> Api? {
        let index = Int(key.rawValue)
        return self.apis.indices.contains(index) ? self.apis[index] : nil
    }

    /// Every API, by key.
    var all: [Api] { self.apis.compactMap { $0 } }

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
