import ApusBroker
import ApusCore
import NIOCore
import WebFormats

/// What a plan of where to begin has to know of the partitions.
struct EndpointFacts: Sendable {
    var kept: [PartitionIndex: KeptRange] = [:]
    var times: [PartitionIndex: Offset] = [:]
    var lastValues: [PartitionIndex: LastValues] = [:]
}

extension EndpointConnection {
    /// Asks the broker what the partitions have, as far as the plan needs it; `then` is called once, on this loop.
    func ask(_ plan: StartPlan, _ topic: EdgeTopic, then: @escaping (Result<EndpointFacts, Problem>) -> Void) {
        let partitions = plan.asked
        guard !partitions.isEmpty else { return then(.success(EndpointFacts())) }
        var positions: [OffsetQuery.Position] = [.earliest, .latest]
        if let time = plan.time { positions.append(.time(time)) }
        let queries = partitions.flatMap { partition in
            positions.map { OffsetQuery(topic: .id(topic.id), partition: partition, position: $0) }
        }
        let bound = NIOLoopBound(then, eventLoop: self.loop.eventLoop)
        let count = positions.count
        self.door.upstream.listOffsets(queries, client: self.reader(of: plan.channel), on: self.loop.eventLoop) {
            bound.value(Self.facts(partitions, $0, each: count))
        }
    }

    private static func facts(
        _ partitions: [PartitionIndex], _ answers: [Result<OffsetAnswer, BrokerError>], each count: Int
    ) -> Result<EndpointFacts, Problem> {
        var facts = EndpointFacts()
        do throws(BrokerError) {
            for (index, partition) in partitions.enumerated() {
                let start = try answers[index * count].get().offset
                let end = try answers[index * count + 1].get().offset
                facts.kept[partition] = KeptRange(start: start, end: max(start, end))
                guard count > 2 else { continue }
                let time = try answers[index * count + 2].get().offset
                // None at that time or later: what comes.
                if time >= .zero { facts.times[partition] = time }
            }
        } catch {
            return .failure(Problem(error))
        }
        return .success(facts)
    }
}
