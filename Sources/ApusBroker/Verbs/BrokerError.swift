package import ApusCore

/// Why a verb was refused. Closed: a door maps every case to its protocol's code, and the compiler tells of new ones.
///
/// Every case is definite, that is: nothing was or will be written for the refused entry (promise P2), except
/// ``timedOut``, ``storageUnknown(_:)`` and ``storeUnknown(_:)``, after which it may or may not have been.
package enum BrokerError: Error, Hashable, Sendable {
    // MARK: Topics
    case unknownTopicOrPartition
    case unknownTopicID
    /// The name belongs to a topic, or the id does.
    case topicExists(String)
    case invalidTopicName(String)
    case invalidPartitions(String)
    case invalidReplicationFactor(String)
    case invalidReplicaAssignment(String)
    case invalidConfiguration(String)
    case policyViolation(String)
    /// The topic is the system's own: clients may not make, write, cut or remove it.
    case internalTopic(String)

    // MARK: Rights
    /// May not be done with this topic, whether it is there or not.
    case topicAuthorizationFailed
    case groupAuthorizationFailed
    case clusterAuthorizationFailed
    case transactionalIDAuthorizationFailed
    case subscriptionAuthorizationFailed
    /// The client has done so much that it has to wait so long first. Nothing was begun.
    case quotaExceeded(Duration)

    // MARK: Produce
    /// The CRC does not match, or the bytes are not a whole batch.
    case corruptBatch(String)
    /// Larger than the topic's `max.message.bytes`.
    case batchTooLarge(ByteCount, limit: ByteCount)
    /// Larger than a segment can hold.
    case batchLargerThanSegment(ByteCount, limit: ByteCount)
    case invalidRecord(String)
    case invalidTimestamp(String)
    case unsupportedCompression(String)
    case unsupportedForMessageFormat(String)
    case outOfOrderSequence(String)
    case invalidProducerEpoch(String)
    case invalidTransactionState(String)
    case notEnoughReplicas
    case invalidRequiredAcks
    /// The idempotency key is that of another write. Nothing was written.
    case keyReused
    /// So many writes with idempotency keys are remembered that one more can not be for so long. Nothing was written.
    case keysFull(Duration)

    // MARK: Fetch and offsets
    case offsetOutOfRange(logStart: Offset, logEnd: Offset)
    case fencedLeaderEpoch
    case unknownLeaderEpoch
    case notLeader

    // MARK: This broker
    /// The partition's log failed and takes no more writes until the broker starts again. Other partitions go on.
    /// What was refused with this was never given to the disk.
    case storage(String)
    /// The partition's log failed while the disk had these records: they may be there after the next start, or not.
    case storageUnknown(String)
    /// The disk is full (or below its reserve). Nothing was written; produce works again by itself when space returns.
    case storageFull
    /// A queue with a named limit is full; the same request may succeed later.
    case overloaded(String)
    /// It may still happen.
    case timedOut
    case shuttingDown
    /// The coordinator store can not be reached. Nothing was changed.
    case storeUnavailable(String)
    /// The coordinator store's answer was lost. It may have changed.
    case storeUnknown(String)
    case invalidRequest(String)
    /// It is not what the client said that it must be.
    case changed(String)

    // MARK: Subscriptions
    /// The catalogue refused, or could not be asked.
    case catalogue(CatalogueError)
    /// There is one of this name.
    case subscriptionExists(String)
    /// Not every coordinator of groups has told yet how far its groups have read.
    case positionsLoading
}
