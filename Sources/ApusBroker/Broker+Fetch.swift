package import NIOCore
import ApusAccess
package import ApusCore

extension Broker {
    /// Reads whole batches, waiting for `limits.bytesMin` for at most `limits.waitMax`. Answers in the entries' order.
    ///
    /// Answers at once when there is an error, a divergence or enough bytes. A cancelled fetch may or may not answer.
    /// Nobody reads before the start of its window: that of `subscription`, for doors that name it, else the widest of
    /// the principal's subscriptions on the topic. What it reads is set aside in `memory` first, until `then` returns;
    /// nil: it reads whatever there is.
    @discardableResult
    package func fetch(
        _ entries: [FetchEntry], limits: FetchLimits, client: ClientContext, for subscription: SubscriptionName? = nil,
        memory: ReplyMemory? = nil, on loop: any EventLoop, then: @escaping @Sendable ([FetchResult]) -> Void
    ) -> FetchTicket {
        var limits = limits
        limits.bytesMax = min(max(limits.bytesMax, .zero), Limits.fetchBytesMax)
        limits.waitMax = min(limits.waitMax, Limits.fetchWaitMax)
        limits.bytesMin = min(limits.bytesMin, limits.bytesMax)
        let topics = self.topics
        let reader = self.windowReader(client, subscription)
        var results = [FetchResult](repeating: FetchResult(), count: entries.count)
        var parts: [(shard: Int, entries: [FetchPart.Entry])] = []
        var last: (reference: TopicReference, topic: Topic)?
        for (position, entry) in entries.enumerated() {
            do throws(BrokerError) {
                let topic: Topic
                if let last, last.reference == entry.topic {
                    topic = last.topic
                } else {
                    topic = try topics.topic(entry.topic, .read, for: client)
                    last = (entry.topic, topic)
                }
                guard topic.contains(entry.partition) else { throw .unknownTopicOrPartition }
                let shard = self.shard(of: topic, entry.partition).index
                let place = parts.firstIndex { $0.shard == shard }
                if place == nil { parts.append((shard, [])) }
                parts[place ?? parts.count - 1].entries.append(
                    FetchPart.Entry(topic: topic, wish: entry, position: position)
                )
            } catch {
                results[position] = FetchResult(error: error)
            }
        }
        let operation = FetchOperation(
            home: self.mailbox(of: loop), memory: memory, limits: limits, rights: FetchRights(client, self.access),
            now: self.ports.clock.now,
            parts: parts.map {
                FetchPart(shard: self.shards[$0.shard], reader: reader, limits: limits, entries: $0.entries)
            },
            results: results, then: then
        )
        operation.start()
        return FetchTicket(operation)
    }
}

extension Broker {
    /// Reading for a subscription by its name is a use of it.
    func windowReader(_ client: ClientContext, _ subscription: SubscriptionName?) -> WindowReader {
        guard let subscription else { return .principal(client.consumerName) }
        self.subscriptions.used(subscription)
        return .subscription(subscription)
    }

    /// Fetches that wait for records now, a part of each shard's counted by itself. For operators and tests: it looks
    /// at every open partition.
    package func parkedFetchCount() async -> Int {
        var count = 0
        for shard in self.shards {
            count += await withCheckedContinuation { continuation in
                shard.mailbox.run {
                    let parts = shard.slots.values.flatMap { $0.parked.map(ObjectIdentifier.init) }
                    continuation.resume(returning: Set(parts).count)
                }
            }
        }
        return count
    }
}

/// Lets go of a fetch whose client has gone. Any thread.
package final class FetchTicket: Sendable {
    private let operation: FetchOperation

    init(_ operation: FetchOperation) {
        self.operation = operation
    }

    package func cancel() { self.operation.cancel() }

    /// Others wait for its answer: it is given now, with what there is.
    package func hurry() { self.operation.hurry() }
}
