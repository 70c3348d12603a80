/// The number of an API in the Kafka protocol. Knowing a name says nothing about serving it: what a broker serves is
/// what it puts into its ApiVersions answer.
public struct ApiKey: RawRepresentable, Hashable, Sendable, Comparable, CustomStringConvertible {
    public let rawValue: Int16

    public init(rawValue: Int16) { self.rawValue = rawValue }

    public static let produce = ApiKey(rawValue: 0)
    public static let fetch = ApiKey(rawValue: 1)
    public static let listOffsets = ApiKey(rawValue: 2)
    public static let metadata = ApiKey(rawValue: 3)
    public static let offsetCommit = ApiKey(rawValue: 8)
    public static let offsetFetch = ApiKey(rawValue: 9)
    public static let findCoordinator = ApiKey(rawValue: 10)
    public static let joinGroup = ApiKey(rawValue: 11)
    public static let heartbeat = ApiKey(rawValue: 12)
    public static let leaveGroup = ApiKey(rawValue: 13)
    public static let syncGroup = ApiKey(rawValue: 14)
    public static let describeGroups = ApiKey(rawValue: 15)
    public static let listGroups = ApiKey(rawValue: 16)
    public static let saslHandshake = ApiKey(rawValue: 17)
    public static let apiVersions = ApiKey(rawValue: 18)
    public static let createTopics = ApiKey(rawValue: 19)
    public static let deleteTopics = ApiKey(rawValue: 20)
    public static let deleteRecords = ApiKey(rawValue: 21)
    public static let initProducerId = ApiKey(rawValue: 22)
    public static let offsetForLeaderEpoch = ApiKey(rawValue: 23)
    public static let addPartitionsToTxn = ApiKey(rawValue: 24)
    public static let addOffsetsToTxn = ApiKey(rawValue: 25)
    public static let endTxn = ApiKey(rawValue: 26)
    public static let writeTxnMarkers = ApiKey(rawValue: 27)
    public static let txnOffsetCommit = ApiKey(rawValue: 28)
    public static let describeAcls = ApiKey(rawValue: 29)
    public static let createAcls = ApiKey(rawValue: 30)
    public static let deleteAcls = ApiKey(rawValue: 31)
    public static let describeConfigs = ApiKey(rawValue: 32)
    public static let alterConfigs = ApiKey(rawValue: 33)
    public static let alterReplicaLogDirs = ApiKey(rawValue: 34)
    public static let describeLogDirs = ApiKey(rawValue: 35)
    public static let saslAuthenticate = ApiKey(rawValue: 36)
    public static let createPartitions = ApiKey(rawValue: 37)
    public static let createDelegationToken = ApiKey(rawValue: 38)
    public static let renewDelegationToken = ApiKey(rawValue: 39)
    public static let expireDelegationToken = ApiKey(rawValue: 40)
    public static let describeDelegationToken = ApiKey(rawValue: 41)
    public static let deleteGroups = ApiKey(rawValue: 42)
    public static let electLeaders = ApiKey(rawValue: 43)
    public static let incrementalAlterConfigs = ApiKey(rawValue: 44)
    public static let alterPartitionReassignments = ApiKey(rawValue: 45)
    public static let listPartitionReassignments = ApiKey(rawValue: 46)
    public static let offsetDelete = ApiKey(rawValue: 47)
    public static let describeClientQuotas = ApiKey(rawValue: 48)
    public static let alterClientQuotas = ApiKey(rawValue: 49)
    public static let describeUserScramCredentials = ApiKey(rawValue: 50)
    public static let alterUserScramCredentials = ApiKey(rawValue: 51)
    public static let alterPartition = ApiKey(rawValue: 56)
    public static let updateFeatures = ApiKey(rawValue: 57)
    public static let describeCluster = ApiKey(rawValue: 60)
    public static let describeProducers = ApiKey(rawValue: 61)
    public static let brokerRegistration = ApiKey(rawValue: 62)
    public static let brokerHeartbeat = ApiKey(rawValue: 63)
    public static let unregisterBroker = ApiKey(rawValue: 64)
    public static let describeTransactions = ApiKey(rawValue: 65)
    public static let listTransactions = ApiKey(rawValue: 66)
    public static let allocateProducerIds = ApiKey(rawValue: 67)
    public static let consumerGroupHeartbeat = ApiKey(rawValue: 68)
    public static let consumerGroupDescribe = ApiKey(rawValue: 69)
    public static let getTelemetrySubscriptions = ApiKey(rawValue: 71)
    public static let pushTelemetry = ApiKey(rawValue: 72)
    public static let listConfigResources = ApiKey(rawValue: 74)
    public static let describeTopicPartitions = ApiKey(rawValue: 75)
    public static let shareGroupHeartbeat = ApiKey(rawValue: 76)
    public static let shareGroupDescribe = ApiKey(rawValue: 77)
    public static let shareFetch = ApiKey(rawValue: 78)
    public static let shareAcknowledge = ApiKey(rawValue: 79)
    public static let initializeShareGroupState = ApiKey(rawValue: 83)
    public static let readShareGroupState = ApiKey(rawValue: 84)
    public static let writeShareGroupState = ApiKey(rawValue: 85)
    public static let deleteShareGroupState = ApiKey(rawValue: 86)
    public static let readShareGroupStateSummary = ApiKey(rawValue: 87)
    public static let streamsGroupHeartbeat = ApiKey(rawValue: 88)
    public static let streamsGroupDescribe = ApiKey(rawValue: 89)
    public static let describeShareGroupOffsets = ApiKey(rawValue: 90)
    public static let alterShareGroupOffsets = ApiKey(rawValue: 91)
    public static let deleteShareGroupOffsets = ApiKey(rawValue: 92)

    // Our own, far above the protocol's (`docs/decisions/0017-own-apis.md`).
    public static let describeSubscriptions = ApiKey(rawValue: 32_000)
    public static let putSubscription = ApiKey(rawValue: 32_001)
    public static let removeSubscriptions = ApiKey(rawValue: 32_002)
    public static let describeReaders = ApiKey(rawValue: 32_003)
    public static let describeHoldings = ApiKey(rawValue: 32_004)
    public static let reportPresence = ApiKey(rawValue: 32_005)
    public static let describePresence = ApiKey(rawValue: 32_006)
    public static let describeEdge = ApiKey(rawValue: 32_010)
    public static let checkEdgeLogin = ApiKey(rawValue: 32_011)

    /// From here on APIs are Apus's own: served, and told to nobody who does not know of them.
    public static let ownFirst: Int16 = 32_000

    /// Whether it is one of Apus's own.
    public var isOwn: Bool { self.rawValue >= Self.ownFirst }

    public static func < (left: ApiKey, right: ApiKey) -> Bool { left.rawValue < right.rawValue }

    /// The protocol's name of the API, or its number when this module has none for it.
    public var description: String { Self.names[self.rawValue] ?? "API \(self.rawValue)" }

    private static let names: [Int16: String] = [
        0: "Produce", 1: "Fetch", 2: "ListOffsets", 3: "Metadata", 8: "OffsetCommit", 9: "OffsetFetch",
        10: "FindCoordinator", 11: "JoinGroup", 12: "Heartbeat", 13: "LeaveGroup", 14: "SyncGroup",
        15: "DescribeGroups", 16: "ListGroups", 17: "SaslHandshake", 18: "ApiVersions", 19: "CreateTopics",
        20: "DeleteTopics", 21: "DeleteRecords", 22: "InitProducerId", 23: "OffsetForLeaderEpoch",
        24: "AddPartitionsToTxn", 25: "AddOffsetsToTxn", 26: "EndTxn", 27: "WriteTxnMarkers", 28: "TxnOffsetCommit",
        29: "DescribeAcls", 30: "CreateAcls", 31: "DeleteAcls", 32: "DescribeConfigs", 33: "AlterConfigs",
        34: "AlterReplicaLogDirs", 35: "DescribeLogDirs", 36: "SaslAuthenticate", 37: "CreatePartitions",
        38: "CreateDelegationToken", 39: "RenewDelegationToken", 40: "ExpireDelegationToken",
        41: "DescribeDelegationToken", 42: "DeleteGroups", 43: "ElectLeaders", 44: "IncrementalAlterConfigs",
        45: "AlterPartitionReassignments", 46: "ListPartitionReassignments", 47: "OffsetDelete",
        48: "DescribeClientQuotas", 49: "AlterClientQuotas", 50: "DescribeUserScramCredentials",
        51: "AlterUserScramCredentials", 56: "AlterPartition", 57: "UpdateFeatures", 60: "DescribeCluster",
        61: "DescribeProducers", 62: "BrokerRegistration", 63: "BrokerHeartbeat", 64: "UnregisterBroker",
        65: "DescribeTransactions", 66: "ListTransactions", 67: "AllocateProducerIds", 68: "ConsumerGroupHeartbeat",
        69: "ConsumerGroupDescribe", 71: "GetTelemetrySubscriptions", 72: "PushTelemetry", 74: "ListConfigResources",
        75: "DescribeTopicPartitions", 76: "ShareGroupHeartbeat", 77: "ShareGroupDescribe", 78: "ShareFetch",
        79: "ShareAcknowledge", 83: "InitializeShareGroupState", 84: "ReadShareGroupState",
        85: "WriteShareGroupState", 86: "DeleteShareGroupState", 87: "ReadShareGroupStateSummary",
        88: "StreamsGroupHeartbeat", 89: "StreamsGroupDescribe", 90: "DescribeShareGroupOffsets",
        91: "AlterShareGroupOffsets", 92: "DeleteShareGroupOffsets",
        32_000: "DescribeSubscriptions", 32_001: "PutSubscription", 32_002: "RemoveSubscriptions",
        32_003: "DescribeReaders", 32_004: "DescribeHoldings",
        32_005: "ReportPresence", 32_006: "DescribePresence",
        32_010: "DescribeEdge", 32_011: "CheckEdgeLogin",
    ]
}
