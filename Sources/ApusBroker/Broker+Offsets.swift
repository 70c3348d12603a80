package import NIOCore
import ApusAccess
package import ApusCore

extension Broker {
    /// Nobody hears of an offset before the start of its window, as with a fetch.
    package func listOffsets(
        _ queries: [OffsetQuery], isolation: IsolationLevel, client: ClientContext,
        for subscription: SubscriptionName? = nil, on loop: any EventLoop,
        then: @escaping @Sendable ([Result<OffsetAnswer, BrokerError>]) -> Void
    ) {
        let reader = self.windowReader(client, subscription)
        self.each(queries, of: { ($0.topic, $0.partition) }, .describe, client, on: loop) {
            shard, topic, query, answer in
            shard.offset(topic, query, isolation: isolation, reader: reader, then: answer)
        } then: {
            then($0)
        }
    }

    package func epochEnds(
        _ queries: [EpochQuery], client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable ([Result<EpochEnd, BrokerError>]) -> Void
    ) {
        self.each(queries, of: { ($0.topic, $0.partition) }, .describe, client, on: loop) {
            shard, topic, query, answer in
            shard.epochEnd(topic, query, then: answer)
        } then: {
            then($0)
        }
    }

    /// Answers with the log's start offset, durable before it is told. After `timeout` the answer is
    /// ``BrokerError/timedOut``, and the records may still go.
    package func deleteRecords(
        _ deletions: [RecordDeletion], timeout: Duration, client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable ([Result<Offset, BrokerError>]) -> Void
    ) {
        self.each(deletions, of: { ($0.topic, $0.partition) }, .delete, client, on: loop) {
            shard, topic, deletion, answer in
            guard !topic.isInternal || client.principal == .embedded else {
                return answer(.failure(.internalTopic(topic.name)))
            }
            shard.deleteRecords(topic, deletion, timeout: timeout, then: answer)
        } then: { [audit = self.audit] (results: [Result<Offset, BrokerError>]) in
            if audit.isOn {
                for line in RecordDeletion.audited(deletions, results) { audit.note(.deleteRecords, line, by: client) }
            }
            then(results)
        }
    }

    package func describeProducers(
        _ partitions: [PartitionReference], client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable ([Result<[ProducerDescription], BrokerError>]) -> Void
    ) {
        self.each(partitions, of: { ($0.topic, $0.partition) }, .read, client, on: loop) {
            shard, topic, reference, answer in
            shard.producers(topic, reference.partition, then: answer)
        } then: {
            then($0)
        }
    }

    /// A producer id never given before, with epoch 0. Whoever may write to some topic may have one (KIP-679).
    package func initProducerID(
        client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable (Result<ProducerIdentity, BrokerError>) -> Void
    ) {
        let home = self.mailbox(of: loop)
        guard client.allowsSomewhere(.write, .topic) || client.allows(.idempotentWrite, on: .cluster) else {
            return home.run { then(.failure(.clusterAuthorizationFailed)) }
        }
        self.producerIDs.next { result in home.run { then(result) } }
    }

    /// Asks each item's shard, and answers when all of them have, in the items' order.
    private func each<Item: Sendable, Value: Sendable>(
        _ items: [Item], of place: (Item) -> (TopicReference, PartitionIndex), _ operation: AccessOperation,
        _ client: ClientContext, on loop: any EventLoop,
        _ ask: @escaping @Sendable (Shard, Topic, Item, @escaping Shard.Answer<Value>) -> Void,
        then: @escaping @Sendable ([Result<Value, BrokerError>]) -> Void
    ) {
        let home = self.mailbox(of: loop)
        guard !items.isEmpty else { return home.run { then([]) } }
        let nothing = [Result<Value, BrokerError>](repeating: .failure(.shuttingDown), count: items.count)
        let gather = BrokerGather(nothing, missing: items.count) { results in home.run { then(results) } }
        let topics = self.topics
        for (position, item) in items.enumerated() {
            let (reference, partition) = place(item)
            do throws(BrokerError) {
                let topic = try topics.topic(reference, operation, for: client)
                guard topic.contains(partition) else { throw .unknownTopicOrPartition }
                let shard = self.shard(of: topic, partition)
                shard.mailbox.run {
                    ask(shard, topic, item) { gather.put($0, at: position) }
                }
            } catch {
                gather.put(.failure(error), at: position)
            }
        }
    }
}
