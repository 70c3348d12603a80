import ApusBroker
import ApusCore
import KafkaWire

extension BrokerError {
    /// The protocol's code: the whole table. What is chosen decides what clients do: where the same request may succeed
    /// later, the code is one that clients retry.
    var kafkaCode: KafkaErrorCode {
        switch self {
        case .unknownTopicOrPartition: .unknownTopicOrPartition
        case .unknownTopicID: .unknownTopicID
        case .topicExists: .topicAlreadyExists
        case .invalidTopicName: .invalidTopicException
        case .invalidPartitions: .invalidPartitions
        case .invalidReplicationFactor: .invalidReplicationFactor
        case .invalidReplicaAssignment: .invalidReplicaAssignment
        case .invalidConfiguration: .invalidConfig
        case .policyViolation: .policyViolation
        case .internalTopic: .invalidTopicException
        case .topicAuthorizationFailed: .topicAuthorizationFailed
        // Kafka's clients know nothing of subscriptions; a group is what they take one for.
        case .groupAuthorizationFailed, .subscriptionAuthorizationFailed: .groupAuthorizationFailed
        case .clusterAuthorizationFailed: .clusterAuthorizationFailed
        case .quotaExceeded, .keysFull: .throttlingQuotaExceeded
        case .transactionalIDAuthorizationFailed: .transactionalIDAuthorizationFailed
        case .corruptBatch: .corruptMessage
        case .batchTooLarge: .messageTooLarge
        case .batchLargerThanSegment: .recordListTooLarge
        case .invalidRecord: .invalidRecord
        case .invalidTimestamp: .invalidTimestamp
        case .unsupportedCompression: .unsupportedCompressionType
        case .unsupportedForMessageFormat: .unsupportedForMessageFormat
        case .outOfOrderSequence, .keyReused: .outOfOrderSequenceNumber
        case .invalidProducerEpoch: .invalidProducerEpoch
        case .invalidTransactionState: .invalidTxnState
        case .notEnoughReplicas: .notEnoughReplicas
        case .invalidRequiredAcks: .invalidRequiredAcks
        case .offsetOutOfRange: .offsetOutOfRange
        case .fencedLeaderEpoch: .fencedLeaderEpoch
        case .unknownLeaderEpoch: .unknownLeaderEpoch
        case .notLeader: .notLeaderOrFollower
        // Retried by producers, which is what a disk that may get room again asks for; and to them it says "not
        // persisted" (librdkafka), so it is for what the disk never got.
        case .storage, .storageFull: .kafkaStorageError
        // "Nothing was written, try again": the one code that says so on every path and that all clients retry.
        case .overloaded: .notEnoughReplicas
        case .timedOut: .requestTimedOut
        // Sends clients to look for another leader, which there will be once more brokers are.
        case .shuttingDown: .notLeaderOrFollower
        case .storeUnavailable: .notController
        // It may have happened: only a time-out says that.
        case .storageUnknown, .storeUnknown: .requestTimedOut
        case .invalidRequest: .invalidRequest
        case .catalogue(let error): error.kafkaCode
        case .subscriptionExists: .duplicateResource
        case .changed: .invalidUpdateVersion
        case .positionsLoading: .coordinatorLoadInProgress
        }
    }

    /// How long a client has to wait that was refused for a quota: the `throttle_time_ms` of its answer (KIP-599).
    static func throttleTime(of results: [Result<Topic, BrokerError>]) -> Int32 {
        guard case .failure(.quotaExceeded(let wait)) = results.first else { return 0 }
        return Int32(clamping: wait.wholeMilliseconds)
    }

    /// What a person should be told beside the code; nil where the code says it all.
    var kafkaMessage: String? {
        switch self {
        case .unknownTopicOrPartition, .unknownTopicID, .notEnoughReplicas, .invalidRequiredAcks, .fencedLeaderEpoch,
            .unknownLeaderEpoch, .notLeader, .timedOut, .topicAuthorizationFailed, .groupAuthorizationFailed,
            .clusterAuthorizationFailed, .transactionalIDAuthorizationFailed, .keyReused, .keysFull:
            nil
        case .quotaExceeded(let wait): "The quota is used up for \(wait.wholeMilliseconds) ms."
        case .subscriptionAuthorizationFailed: "Not authorized for the subscription."
        case .topicExists(let text), .invalidTopicName(let text), .invalidPartitions(let text),
            .invalidReplicationFactor(let text), .invalidReplicaAssignment(let text),
            .invalidConfiguration(let text), .policyViolation(let text), .corruptBatch(let text),
            .invalidRecord(let text), .invalidTimestamp(let text),
            .unsupportedCompression(let text), .unsupportedForMessageFormat(let text), .outOfOrderSequence(let text),
            .invalidProducerEpoch(let text), .invalidTransactionState(let text), .overloaded(let text),
            .invalidRequest(let text):
            text
        case .batchTooLarge(let bytes, let limit):
            "The batch has \(bytes.rawValue) bytes; max.message.bytes is \(limit.rawValue)."
        case .batchLargerThanSegment(let bytes, let limit):
            "The batch has \(bytes.rawValue) bytes; a segment holds \(limit.rawValue)."
        case .offsetOutOfRange(let start, let end): "The log holds offsets \(start) to \(end)."
        case .internalTopic(let name): "'\(name)' is the system's own."
        case .storage(let text): "The partition's log failed: \(text)"
        case .storageUnknown(let text): "The partition's log failed; the records may have been written: \(text)"
        case .storageFull: "The disk is full. Nothing was written; writing goes on when there is room."
        case .shuttingDown: "The broker is shutting down."
        case .catalogue(let error): "\(error)"
        case .changed(let reason): reason
        case .subscriptionExists(let name): "there is a subscription '\(name)'"
        case .positionsLoading: "The broker still reads how far its groups have come."
        case .storeUnavailable(let text): "The coordinator store can not be reached: \(text)"
        case .storeUnknown(let text): "The coordinator store did not answer; it may have happened: \(text)"
        }
    }
}

extension CatalogueError {
    /// Only what may work by itself soon has a code that clients retry.
    fileprivate var kafkaCode: KafkaErrorCode {
        switch self {
        case .invalid: .invalidRequest
        case .conflict: .invalidUpdateVersion
        case .notFound: .resourceNotFound
        case .ownsSubscriptions, .tooMany: .policyViolation
        case .busy: .throttlingQuotaExceeded
        case .full, .readOnly, .corrupt, .unavailable: .brokerNotAvailable
        case .unknown: .requestTimedOut
        }
    }
}
