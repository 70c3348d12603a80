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

    /// The batch is larger than the topic takes; nothing of it was written.
    var isTooLarge: Bool { self == .messageTooLarge || self == .recordListTooLarge }

    private var category: ApusError.Code {
        switch self {
        case .offsetOutOfRange: .offsetOutOfRange
        case .corruptMessage: .corrupt
        case .unknownTopicOrPartition, .unknownTopicID: .unknownTopic
        case .requestTimedOut: .timedOut
        case .messageTooLarge, .recordListTooLarge: .recordTooLarge
        case .invalidTopicException, .invalidPartitions, .invalidReplicationFactor, .invalidReplicaAssignment,
            .invalidRequest, .invalidGroupID, .offsetMetadataTooLarge:
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
        case .groupIDNotFound: .unknownGroup
        case .nonEmptyGroup, .groupSubscribedToTopic: .groupNotEmpty
        default: .refused
        }
    }

    /// The error as a caller sees it.
    /// - Parameter subject: what it is about, such as the topic's name.
    func error(
        _ subject: String, topic: String? = nil, message: String? = nil, from peer: BrokerPeer? = nil
    ) -> ApusError {
        let words = message.map { "\(subject): \($0)" } ?? subject
        return ApusError(
            self.category, words, isRetryable: self.isRetriable, isIndefinite: self.isIndefinite, kafkaCode: self,
            broker: peer.map { "\($0.address)" }, brokerID: peer?.id, topic: topic
        )
    }
}
