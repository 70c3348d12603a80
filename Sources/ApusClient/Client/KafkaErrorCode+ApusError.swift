import KafkaWire

extension KafkaErrorCode {
    /// nil for 0, which is no error.
    var failure: KafkaErrorCode? { self == .none ? nil : self }

    /// What is known of the cluster is no longer right: ask anew before the next attempt.
    var refreshesMetadata: Bool {
        switch self {
        case .unknownTopicOrPartition, .leaderNotAvailable, .notLeaderOrFollower, .brokerNotAvailable,
            .replicaNotAvailable, .networkException, .notController, .kafkaStorageError, .fencedLeaderEpoch,
            .unknownLeaderEpoch, .unknownTopicID, .inconsistentTopicID:
            true
        default: false
        }
    }

    /// The request may have done what it asked for, this answer notwithstanding.
    var isIndefinite: Bool {
        switch self {
        case .requestTimedOut, .networkException, .notEnoughReplicasAfterAppend, .unknownServerError: true
        default: false
        }
    }

    private var category: ApusError.Code {
        switch self {
        case .offsetOutOfRange: .offsetOutOfRange
        case .corruptMessage: .corrupt
        case .unknownTopicOrPartition, .unknownTopicID: .unknownTopic
        case .requestTimedOut: .timedOut
        case .messageTooLarge, .recordListTooLarge: .recordTooLarge
        case .invalidTopicException, .invalidPartitions, .invalidReplicationFactor, .invalidReplicaAssignment,
            .invalidRequest:
            .invalidArgument
        case .notEnoughReplicas, .notEnoughReplicasAfterAppend: .notEnoughReplicas
        case .topicAuthorizationFailed, .groupAuthorizationFailed, .clusterAuthorizationFailed,
            .transactionalIDAuthorizationFailed, .saslAuthenticationFailed:
            .notAuthorized
        case .invalidTimestamp, .invalidRecord: .invalidRecord
        case .unsupportedVersion, .unsupportedCompressionType: .unsupported
        case .topicAlreadyExists: .topicExists
        case .invalidConfig: .invalidConfiguration
        case .kafkaStorageError, .logDirNotFound: .storage
        default: .refused
        }
    }

    /// The error as a caller sees it.
    /// - Parameter subject: what it is about, such as the topic's name.
    func error(_ subject: String, message: String? = nil, broker: ServerAddress? = nil) -> ApusError {
        let words = message.map { "\(subject): \($0)" } ?? subject
        return ApusError(
            self.category, words, isRetryable: self.isRetriable, isIndefinite: self.isIndefinite, kafkaCode: self,
            broker: broker.map { "\($0)" }
        )
    }
}
