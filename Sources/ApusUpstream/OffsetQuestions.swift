import ApusBroker
import ApusCore
import EdgeDoor
import KafkaWire
import Synchronization

/// Offsets of several partitions, asked of those who lead them; answered once, when all have answered.
///
/// A request names a partition once, so each kind of offset is a request of its own.
///
/// Unchecked because: after it was made it is touched on the client's loop only.
final class OffsetQuestions: @unchecked Sendable {
    private let queries: [OffsetQuery]
    private let desk: UpstreamDesk
    private var answers: [Result<OffsetAnswer, BrokerError>]
    private var missing = 0
    private var then: (([Result<OffsetAnswer, BrokerError>]) -> Void)?

    private struct Group: Hashable {
        var broker: BrokerID
        var topic: String
        var time: Int64
    }

    init(
        _ queries: [OffsetQuery], _ desk: UpstreamDesk,
        then: @escaping @Sendable ([Result<OffsetAnswer, BrokerError>]) -> Void
    ) {
        self.queries = queries
        self.desk = desk
        self.answers = Array(repeating: .failure(.timedOut), count: queries.count)
        self.then = then
    }

    func ask() {
        guard self.desk.mayServe else {
            self.answers = self.queries.map { _ in .failure(UpstreamDesk.unheard) }
            return self.end()
        }
        var groups: [Group: [Int]] = [:]
        for (index, query) in self.queries.enumerated() {
            guard case .id(let id) = query.topic, let leader = self.desk.leader(of: id, query.partition),
                let name = self.desk.shared.withLock({ $0.book[id]?.name })
            else {
                self.answers[index] = .failure(.notLeader)
                continue
            }
            groups[Group(broker: leader.broker, topic: name, time: query.position.code), default: []].append(index)
        }
        self.missing = groups.count
        if groups.isEmpty { return self.end() }
        for (group, indices) in groups { self.ask(group, indices) }
    }

    private func ask(_ group: Group, _ indices: [Int]) {
        var topic = ListOffsetsRequest.Topic()
        topic.name = group.topic
        topic.partitions = indices.map { index in
            var partition = ListOffsetsRequest.Partition()
            partition.partitionIndex = self.queries[index].partition.rawValue
            partition.timestamp = group.time
            return partition
        }
        var request = ListOffsetsRequest()
        request.replicaID = -1
        request.topics = [topic]
        self.desk.call(request, to: group.broker, waiting: .zero) { [self] result in
            self.take(result, indices)
            self.missing -= 1
            if self.missing == 0 { self.end() }
        }
    }

    private func take(_ result: Result<ListOffsetsResponse, BrokerError>, _ indices: [Int]) {
        let partitions: [ListOffsetsResponse.Partition]
        switch result {
        case .failure(let error):
            for index in indices { self.answers[index] = .failure(error) }
            return
        case .success(let answer): partitions = answer.topics.flatMap(\.partitions)
        }
        let found = Dictionary(partitions.map { ($0.partitionIndex, $0) }, uniquingKeysWith: { first, _ in first })
        for index in indices {
            guard let partition = found[self.queries[index].partition.rawValue] else { continue }
            if let error = BrokerError(partition.errorCode, nil) {
                if case .id(let id) = self.queries[index].topic { self.desk.doubt(id) }
                self.answers[index] = .failure(error)
            } else {
                self.answers[index] = .success(
                    OffsetAnswer(
                        offset: Offset(rawValue: partition.offset),
                        timestamp: Timestamp(rawValue: partition.timestamp),
                        leaderEpoch: Epoch(rawValue: partition.leaderEpoch)))
            }
        }
    }

    private func end() { self.then.take()?(self.answers) }
}

extension OffsetQuery.Position {
    /// Kafka's number for it (KIP-79, KIP-734, KIP-405, KIP-1005).
    fileprivate var code: Int64 {
        switch self {
        case .latest: -1
        case .earliest: -2
        case .largestTimestamp: -3
        case .earliestLocal: -4
        case .latestTiered: -5
        case .time(let time): max(0, time.rawValue)
        }
    }
}
