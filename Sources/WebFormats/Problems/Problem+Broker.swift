package import ApusBroker
import ApusCore

extension Problem {
    /// Why the broker refused, for a client of the web. Closed: the compiler tells of new errors.
    package init(_ error: BrokerError) {
        self.init(error.problemCode, error.problemDetail, hint: error.problemHint)
        switch error {
        case .quotaExceeded(let wait), .keysFull(let wait): self.retryIn = wait
        default: break
        }
    }
}

extension BrokerError {
    fileprivate var problemCode: ProblemCode {
        switch self {
        case .unknownTopicOrPartition, .unknownTopicID: .topicNotFound
        case .topicExists: .topicExists
        case .invalidTopicName: .invalidTopic
        case .invalidPartitions: .invalidPartitions
        case .invalidReplicationFactor: .invalidReplication
        case .invalidConfiguration: .invalidConfiguration
        case .policyViolation: .policyViolation
        case .internalTopic: .internalTopic
        case .topicAuthorizationFailed, .groupAuthorizationFailed, .clusterAuthorizationFailed,
            .transactionalIDAuthorizationFailed, .subscriptionAuthorizationFailed:
            .forbidden
        case .quotaExceeded: .throttled
        case .keyReused: .idempotencyKeyReused
        case .keysFull: .tooMany
        case .corruptBatch: .corruptRecords
        case .batchTooLarge, .batchLargerThanSegment: .recordTooLarge
        case .invalidRecord, .invalidTimestamp: .invalidRecord
        case .invalidReplicaAssignment, .unsupportedCompression, .unsupportedForMessageFormat, .outOfOrderSequence,
            .invalidProducerEpoch, .invalidTransactionState, .invalidRequiredAcks, .invalidRequest:
            .invalidRequest
        case .notEnoughReplicas: .notEnoughReplicas
        case .offsetOutOfRange: .offsetOutOfRange
        case .fencedLeaderEpoch, .unknownLeaderEpoch, .notLeader: .noLeader
        case .storage: .storageFailed
        case .storageFull: .storageFull
        case .overloaded: .overloaded
        // It may have happened: only a time-out says that.
        case .timedOut, .storageUnknown, .storeUnknown: .timedOut
        case .shuttingDown: .shuttingDown
        case .storeUnavailable: .storeUnavailable
        case .catalogue(let error): error.problemCode
        case .subscriptionExists: .subscriptionExists
        case .changed: .preconditionFailed
        case .positionsLoading: .loading
        }
    }

    fileprivate var problemDetail: String {
        switch self {
        case .unknownTopicOrPartition: "there is no such topic or partition"
        case .unknownTopicID: "there is no topic with this id"
        case .topicAuthorizationFailed: "not allowed for this topic"
        case .groupAuthorizationFailed: "not allowed for this group"
        case .clusterAuthorizationFailed: "not allowed in this cluster"
        case .transactionalIDAuthorizationFailed: "not allowed for this transactional id"
        case .subscriptionAuthorizationFailed: "not allowed for this subscription"
        case .quotaExceeded(let wait): "the quota is used up for \(wait.wholeMilliseconds) ms"
        case .keyReused: "this Idempotency-Key was that of another write"
        case .keysFull: "the partition remembers as many writes with an Idempotency-Key as it can"
        case .notEnoughReplicas: "too few replicas are in sync; nothing was written"
        case .invalidRequiredAcks: "there are no such acks"
        case .fencedLeaderEpoch, .unknownLeaderEpoch, .notLeader: "this broker does not lead the partition"
        case .timedOut: "it took too long; it may have happened"
        case .topicExists(let text), .invalidTopicName(let text), .invalidPartitions(let text),
            .invalidReplicationFactor(let text), .invalidReplicaAssignment(let text),
            .invalidConfiguration(let text), .policyViolation(let text), .corruptBatch(let text),
            .invalidRecord(let text), .invalidTimestamp(let text), .unsupportedCompression(let text),
            .unsupportedForMessageFormat(let text), .outOfOrderSequence(let text), .invalidProducerEpoch(let text),
            .invalidTransactionState(let text), .overloaded(let text), .invalidRequest(let text):
            text
        case .batchTooLarge(let bytes, let limit): "\(bytes) of records; max.message.bytes is \(limit)"
        case .batchLargerThanSegment(let bytes, let limit): "\(bytes) of records; a segment holds \(limit)"
        case .offsetOutOfRange(let start, let end): "the partition holds offsets \(start) to \(end)"
        case .internalTopic(let name): "'\(name)' is the system's own"
        case .storage(let text): "the partition's log failed: \(text)"
        case .storageUnknown(let text): "the partition's log failed; the records may have been written: \(text)"
        case .storageFull: "the disk is full; nothing was written"
        case .shuttingDown: "the broker is shutting down"
        case .catalogue(let error): "\(error)"
        case .changed(let reason): reason
        case .subscriptionExists(let name): "there is a subscription '\(name)'"
        case .positionsLoading: "the broker still reads how far its groups have come"
        case .storeUnavailable(let text): "the coordinator store can not be reached: \(text)"
        case .storeUnknown(let text): "the coordinator store did not answer; it may have happened: \(text)"
        }
    }

    fileprivate var problemHint: String? {
        switch self {
        case .unknownTopicOrPartition: "create it: POST /v1/topics, or apus topic create"
        case .topicAuthorizationFailed, .groupAuthorizationFailed, .clusterAuthorizationFailed: "apus acl add"
        case .offsetOutOfRange: "read from 'earliest' or 'latest'"
        case .keyReused: "a new key for each write; the same one only for the same write once more"
        case .keysFull: "write a moment later, to more partitions, or several records with one key"
        case .storageFull: "writing goes on when there is room"
        default: nil
        }
    }
}

extension CatalogueError {
    fileprivate var problemCode: ProblemCode {
        switch self {
        case .invalid: .invalidRequest
        case .conflict: .conflict
        case .notFound: .subscriptionNotFound
        case .ownsSubscriptions, .tooMany: .policyViolation
        case .busy: .overloaded
        case .full: .storageFull
        case .readOnly, .corrupt, .unavailable: .catalogueUnavailable
        case .unknown: .timedOut
        }
    }
}
