import ApusBroker
import ApusCore
import ApusGroups
import KafkaWire

/// OffsetFetch (9): where a group stands; several groups from version 8 on (KIP-709).
///
/// A group that is not there, and a partition in which it never committed, stand at -1, and that is no error. There are
/// no transactions here, so every position is stable.
enum OffsetFetchHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 1...10

    /// From here on no list of topics asks for all that the group has, and errors are the group's.
    private static let versionAll: Int16 = 2
    private static let versionGroups: Int16 = 8
    /// From here on topics are named by id (KIP-848).
    private static let versionByID: Int16 = 10

    static func handle(_ request: inout OffsetFetchRequest, _ exchange: Exchange<OffsetFetchResponse>) {
        guard request.groups.count <= Limits.groupsPerRequestMax else {
            return exchange.close(because: "OffsetFetch of \(request.groups.count) groups")
        }
        let byID = exchange.version >= self.versionByID
        let queries =
            exchange.version >= self.versionGroups
            ? request.groups.eachOnce(by: \.groupID).map { group in
                PositionQuery(
                    group: GroupID(group.groupID), member: group.memberID.map { MemberID($0) },
                    memberEpoch: GroupEpoch(rawValue: group.memberEpoch),
                    partitions: group.topics?.flatMap { topic in
                        self.partitions(
                            TopicReference(name: topic.name, id: topic.topicID, byID: byID), topic.partitionIndexes)
                    }.eachOnce { $0 }
                )
            }
            : [
                PositionQuery(
                    group: GroupID(request.groupID),
                    partitions: request.topics?
                        .flatMap { self.partitions(.name($0.name), $0.partitionIndexes) }.eachOnce { $0 }
                )
            ]
        exchange.broker.fetchOffsets(queries, client: exchange.client, on: exchange.loop) { results in
            var response = OffsetFetchResponse()
            if exchange.version >= self.versionGroups {
                response.groups = zip(queries, results).map { self.group($0, $1, byID: byID) }
            } else if let query = queries.first, let result = results.first {
                self.fill(&response, query, result, exchange.version)
            }
            exchange.answer(response)
        }
    }

    private static func partitions(_ topic: TopicReference, _ indexes: [Int32]) -> [PartitionReference] {
        indexes.map { PartitionReference(topic: topic, partition: PartitionIndex(rawValue: $0)) }
    }

    private static func group(
        _ query: PositionQuery, _ result: Result<[PositionAnswer], GroupError>, byID: Bool
    ) -> OffsetFetchResponse.Group {
        var group = OffsetFetchResponse.Group()
        group.groupID = query.group.rawValue
        switch result {
        case .failure(let error): group.errorCode = error.code
        case .success(let answers):
            for answer in answers {
                let isSame = group.topics.last.map {
                    byID ? $0.topicID == answer.topicID.wire : $0.name == answer.topic
                }
                if isSame != true {
                    var topic = OffsetFetchResponse.GroupTopic()
                    topic.name = answer.topic
                    topic.topicID = answer.topicID.wire
                    group.topics.append(topic)
                }
                group.topics[group.topics.count - 1].partitions.append(OffsetFetchResponse.GroupPartition(answer))
            }
        }
        return group
    }

    private static func fill(
        _ response: inout OffsetFetchResponse, _ query: PositionQuery,
        _ result: Result<[PositionAnswer], GroupError>, _ version: Int16
    ) {
        let answers: [PositionAnswer]
        switch result {
        case .success(let found): answers = found
        case .failure(let error) where version >= self.versionAll:
            response.errorCode = error.code
            return
        case .failure(let error):
            // Version 1 has room for an error in each partition only.
            answers = (query.partitions ?? []).map { asked in
                var answer = PositionAnswer(topic: "", partition: asked.partition, error: error)
                if case .name(let name) = asked.topic { answer.topic = name }
                return answer
            }
        }
        for answer in answers {
            if response.topics.last?.name != answer.topic {
                var topic = OffsetFetchResponse.Topic()
                topic.name = answer.topic
                response.topics.append(topic)
            }
            response.topics[response.topics.count - 1].partitions.append(OffsetFetchResponse.Partition(answer))
        }
    }
}

extension OffsetFetchResponse.GroupPartition {
    fileprivate init(_ answer: PositionAnswer) {
        self.init()
        self.partitionIndex = answer.partition.rawValue
        self.committedOffset = answer.position?.offset.rawValue ?? -1
        self.committedLeaderEpoch = answer.position?.leaderEpoch.rawValue ?? -1
        self.metadata = answer.position?.metadata ?? ""
        self.errorCode = answer.error?.code ?? .none
    }
}

extension OffsetFetchResponse.Partition {
    fileprivate init(_ answer: PositionAnswer) {
        self.init()
        self.partitionIndex = answer.partition.rawValue
        self.committedOffset = answer.position?.offset.rawValue ?? -1
        self.committedLeaderEpoch = answer.position?.leaderEpoch.rawValue ?? -1
        self.metadata = answer.position?.metadata ?? ""
        self.errorCode = answer.error?.code ?? .none
    }
}
