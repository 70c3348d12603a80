import ApusBroker
import ApusClient
import ApusCore
import KafkaWire

/// What brokers say in the protocol's codes, as the broker's verbs say it.
extension BrokerError {
    /// Nil for 0, which is no error.
    init?(_ code: KafkaErrorCode, _ message: String?) {
        guard code != .none else { return nil }
        let text = message ?? "\(code)"
        switch code {
        case .unknownTopicOrPartition: self = .unknownTopicOrPartition
        case .unknownTopicID, .inconsistentTopicID: self = .unknownTopicID
        case .topicAlreadyExists: self = .topicExists(text)
        case .invalidTopicException: self = .invalidTopicName(text)
        case .invalidPartitions: self = .invalidPartitions(text)
        case .invalidReplicationFactor: self = .invalidReplicationFactor(text)
        case .invalidReplicaAssignment: self = .invalidReplicaAssignment(text)
        case .invalidConfig: self = .invalidConfiguration(text)
        case .policyViolation: self = .policyViolation(text)
        case .topicAuthorizationFailed: self = .topicAuthorizationFailed
        case .groupAuthorizationFailed: self = .groupAuthorizationFailed
        case .clusterAuthorizationFailed: self = .clusterAuthorizationFailed
        case .corruptMessage: self = .corruptBatch(text)
        case .messageTooLarge, .recordListTooLarge: self = .invalidRecord("larger than the topic takes")
        case .invalidRecord: self = .invalidRecord(text)
        case .invalidTimestamp: self = .invalidTimestamp(text)
        case .unsupportedCompressionType: self = .unsupportedCompression(text)
        case .fencedLeaderEpoch: self = .fencedLeaderEpoch
        case .unknownLeaderEpoch: self = .unknownLeaderEpoch
        case .notLeaderOrFollower, .leaderNotAvailable, .replicaNotAvailable, .brokerNotAvailable: self = .notLeader
        case .requestTimedOut, .notEnoughReplicasAfterAppend: self = .timedOut
        case .kafkaStorageError: self = .storage(text)
        // A quota of the endpoint server itself, or a full queue.
        case .notEnoughReplicas, .throttlingQuotaExceeded: self = .overloaded(text)
        case .notController: self = .storeUnavailable(text)
        default: self = code.isRetriable ? .overloaded(text) : .invalidRequest(text)
        }
    }

    /// There is no answer.
    init(_ error: ApusError) {
        if error.isIndefinite {
            self = .timedOut
        } else if error.code == .invalidArgument {
            self = .invalidRequest(error.message)
        } else {
            self = .overloaded("the brokers can not be asked: \(error.code), \(error.message)")
        }
    }
}
