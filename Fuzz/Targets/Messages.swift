import KafkaWire

/// Every message that is decoded from a peer's bytes.
enum Messages {
    static let requests: [any KafkaRequest.Type] = [
        AlterClientQuotasRequest.self, AlterConfigsRequest.self, AlterUserScramCredentialsRequest.self,
        ApiVersionsRequest.self, ConsumerGroupDescribeRequest.self, ConsumerGroupHeartbeatRequest.self,
        CreateAclsRequest.self, CreatePartitionsRequest.self, CreateTopicsRequest.self, DeleteAclsRequest.self,
        DeleteGroupsRequest.self, DeleteRecordsRequest.self, DeleteTopicsRequest.self, DescribeAclsRequest.self,
        DescribeClientQuotasRequest.self, DescribeClusterRequest.self, DescribeConfigsRequest.self,
        DescribeGroupsRequest.self, DescribeLogDirsRequest.self, DescribeProducersRequest.self,
        DescribeTopicPartitionsRequest.self, DescribeUserScramCredentialsRequest.self, FetchRequest.self,
        FindCoordinatorRequest.self, HeartbeatRequest.self, IncrementalAlterConfigsRequest.self,
        InitProducerIdRequest.self, JoinGroupRequest.self, LeaveGroupRequest.self, ListGroupsRequest.self,
        ListOffsetsRequest.self, MetadataRequest.self, OffsetCommitRequest.self, OffsetDeleteRequest.self,
        OffsetFetchRequest.self, OffsetForLeaderEpochRequest.self, ProduceRequest.self, SaslAuthenticateRequest.self,
        SaslHandshakeRequest.self, SyncGroupRequest.self,
        // Our own.
        DescribeHoldingsRequest.self, DescribeReadersRequest.self, DescribeSubscriptionsRequest.self,
        DescribePresenceRequest.self, ReportPresenceRequest.self,
        PutSubscriptionRequest.self, RemoveSubscriptionsRequest.self,
    ]

    static let responses: [any KafkaMessage.Type] = Self.requests.map { Self.response(of: $0) }

    private static func response<Request: KafkaRequest>(of _: Request.Type) -> any KafkaMessage.Type {
        Request.Response.self
    }
}
