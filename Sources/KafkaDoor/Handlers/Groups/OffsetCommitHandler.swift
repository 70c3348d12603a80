import ApusBroker
import ApusCore
import ApusGroups
import KafkaWire

/// OffsetCommit (8): a group's positions, answered when they are as durable as `__consumer_offsets` promises.
enum OffsetCommitHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 2...10

    /// From here on clients know GROUP_ID_NOT_FOUND and members of KIP-848 commit.
    private static let versionGroupNotFound: Int16 = 9
    /// From here on topics are named by id (KIP-848).
    private static let versionByID: Int16 = 10

    static func handle(_ request: inout OffsetCommitRequest, _ exchange: Exchange<OffsetCommitResponse>) {
        let byID = exchange.version >= self.versionByID
        var parts: [PositionCommit.Part] = []
        for topic in request.topics {
            let reference = TopicReference(name: topic.name, id: topic.topicID, byID: byID)
            for partition in topic.partitions {
                parts.append(
                    PositionCommit.Part(
                        topic: reference, partition: PartitionIndex(rawValue: partition.partitionIndex),
                        offset: Offset(rawValue: partition.committedOffset),
                        leaderEpoch: Epoch(rawValue: partition.committedLeaderEpoch),
                        metadata: partition.committedMetadata
                    )
                )
            }
        }
        let commit = PositionCommit(
            group: GroupID(request.groupID),
            identity: MemberIdentity(
                member: MemberID(request.memberID), instance: request.groupInstanceID.map { InstanceID($0) }
            ),
            generation: Generation(rawValue: request.generationIDOrMemberEpoch), version: exchange.version,
            retention: request.retentionTimeMs < 0 ? nil : .milliseconds(request.retentionTimeMs), parts: parts
        )
        let topics = request.topics
        exchange.broker.commitOffsets(commit, client: exchange.client, on: exchange.loop) { errors in
            var errors = errors[...]
            var response = OffsetCommitResponse()
            response.topics = topics.map { topic in
                var answer = OffsetCommitResponse.Topic()
                answer.name = topic.name
                answer.topicID = topic.topicID
                answer.partitions = topic.partitions.map { partition in
                    guard let error = errors.popFirst() else { preconditionFailure("an answer for every part") }
                    var result = OffsetCommitResponse.Partition()
                    result.partitionIndex = partition.partitionIndex
                    result.errorCode = error.map { self.code($0, exchange.version) } ?? .none
                    return result
                }
                return answer
            }
            exchange.answer(response)
        }
    }

    private static func code(_ error: GroupError, _ version: Int16) -> KafkaErrorCode {
        error == .groupNotFound && version < self.versionGroupNotFound ? .illegalGeneration : error.code
    }
}
