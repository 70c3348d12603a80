package import NIOCore
import ApusAccess
import ApusCore

extension Broker {
    /// Writes one batch to each named partition. Answers in the entries' order, per partition; one refused entry does
    /// not touch the others. `timeout` bounds the wait for the promise of `acks`: after ``BrokerError/timedOut`` the
    /// records may still land.
    package func produce(
        _ entries: [ProduceEntry], acks: Acks, timeout: Duration, client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable ([ProduceResult]) -> Void
    ) {
        let home = self.mailbox(of: loop)
        var route = ProduceRoute(capacity: entries.count, client: client)
        let topics = self.topics
        for (position, entry) in entries.enumerated() {
            do throws(BrokerError) {
                let topic = try route.topic(entry.topic, in: topics)
                guard topic.contains(entry.partition) else { throw .unknownTopicOrPartition }
                let shard = self.shard(of: topic, entry.partition)
                route.add(
                    ProduceOperation.Entry(
                        topic: topic, partition: entry.partition, records: entry.records, isKeyed: entry.isKeyed),
                    to: shard.index, at: position
                )
            } catch {
                route.refused.append((position, ProduceResult(error: error)))
            }
        }
        if route.refused.isEmpty, route.parts.count == 1 {
            // Nearly always: all entries are one shard's, and the answer is the operation's own.
            let operation = ProduceOperation(entries: route.parts[0].entries, acks: acks, timeout: timeout) { results in
                home.run { then(results) }
            }
            let shard = self.shards[route.parts[0].shard]
            return shard.mailbox.run { shard.produce(operation) }
        }
        let gather = BrokerGather(
            [ProduceResult](repeating: ProduceResult(), count: entries.count), missing: entries.count
        ) { results in
            home.run { then(results) }
        }
        guard !entries.isEmpty else { return home.run { then([]) } }
        for part in route.parts {
            let positions = part.positions
            let operation = ProduceOperation(entries: part.entries, acks: acks, timeout: timeout) { results in
                gather.put(zip(positions, results))
            }
            let shard = self.shards[part.shard]
            shard.mailbox.run { shard.produce(operation) }
        }
        gather.put(route.refused)
    }
}

/// The entries of one produce, sorted by shard.
private struct ProduceRoute {
    struct Part {
        let shard: Int
        var entries: [ProduceOperation.Entry]
        var positions: [Int]
    }

    var parts: [Part] = []
    var refused: [(Int, ProduceResult)] = []
    private let capacity: Int
    private let client: ClientContext
    /// Requests name a topic once for many partitions.
    private var last: (reference: TopicReference, topic: Topic)?

    init(capacity: Int, client: ClientContext) {
        self.capacity = capacity
        self.client = client
    }

    mutating func topic(_ reference: TopicReference, in topics: TopicSnapshot) throws(BrokerError) -> Topic {
        if let last = self.last, last.reference == reference { return last.topic }
        let topic = try topics.topic(reference, .write, for: self.client)
        guard !topic.isInternal || self.client.principal == .embedded else { throw .internalTopic(topic.name) }
        self.last = (reference, topic)
        return topic
    }

    mutating func add(_ entry: ProduceOperation.Entry, to shard: Int, at position: Int) {
        guard let place = self.parts.firstIndex(where: { $0.shard == shard }) else {
            var part = Part(shard: shard, entries: [], positions: [])
            part.entries.reserveCapacity(self.capacity)
            part.entries.append(entry)
            part.positions.append(position)
            return self.parts.append(part)
        }
        self.parts[place].entries.append(entry)
        self.parts[place].positions.append(position)
    }
}
