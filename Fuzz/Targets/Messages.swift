import KafkaWire

/// Every message that is decoded from a peer's bytes.
enum Messages {
    static let requests: [any KafkaRequest.Type] = [
        AlterConfigsRequest.self, ApiVersionsRequest.self, CreatePartitionsRequest.self, CreateTopicsRequest.self,
        DeleteRecordsRequest.self, DeleteTopicsRequest.self, DescribeClusterRequest.self, DescribeConfigsRequest.self,
        DescribeLogDirsRequest.self, DescribeProducersRequest.self, DescribeTopicPartitionsRequest.self,
        FetchRequest.self, FindCoordinatorRequest.self, IncrementalAlterConfigsRequest.self,
        InitProducerIdRequest.self, ListOffsetsRequest.self, MetadataRequest.self, OffsetForLeaderEpochRequest.self,
        ProduceRequest.self,
    ]

    static let responses: [any KafkaMessage.Type] = Self.requests.map { Self.response(of: $0) }

    private static func response<Request: KafkaRequest>(of _: Request.Type) -> any KafkaMessage.Type {
        Request.Response.self
    }
}
