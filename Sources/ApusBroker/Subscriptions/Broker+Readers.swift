package import ApusCore
package import NIOCore
import ApusAccess
import ApusSubscriptions

/// Who has read what, and who holds what.
extension Broker {
    /// Who has read one record, and who is still to. Needs DESCRIBE on the topic.
    /// - Throws: `.offsetOutOfRange` for a record that is gone or not there yet; `.positionsLoading`.
    package func readers(
        of offset: Offset, in partition: PartitionReference, client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable (Result<ReaderReport, BrokerError>) -> Void
    ) {
        let home = self.mailbox(of: loop)
        do throws(BrokerError) {
            let topic = try self.topic(partition.topic, describedBy: client)
            guard topic.contains(partition.partition) else { throw .unknownTopicOrPartition }
            let index = try self.index(of: self.subscriptions.view)
            let shard = self.shard(of: topic, partition.partition)
            shard.mailbox.run {
                shard.readers(of: offset, topic, partition.partition) { result in
                    home.run { then(result.map { Self.report($0, index, client) }) }
                }
            }
        } catch {
            home.run { then(.failure(error)) }
        }
    }

    /// Which subscriptions hold records of a topic, and what that costs. Needs DESCRIBE on the topic; subscriptions
    /// that the client may not see are left out.
    package func holdings(
        of reference: TopicReference, client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable (Result<TopicHoldings, BrokerError>) -> Void
    ) {
        let home = self.mailbox(of: loop)
        do throws(BrokerError) {
            let topic = try self.topic(reference, describedBy: client)
            let view = self.subscriptions.view
            let index = try self.index(of: view)
            let readers = index.readers(of: topic.name)
            let nothing = [Result<PartitionHoldings, BrokerError>](
                repeating: .failure(.shuttingDown), count: Int(topic.partitionCount))
            let now = self.ports.clock.wallTime
            let gather = BrokerGather(nothing, missing: nothing.count) { results in
                home.run {
                    do throws(BrokerError) {
                        var partitions: [PartitionHoldings] = []
                        for result in results { partitions.append(try result.get()) }
                        then(.success(Self.holdings(topic, partitions, view, at: now, client)))
                    } catch {
                        then(.failure(error))
                    }
                }
            }
            for place in 0..<Int(topic.partitionCount) {
                let partition = PartitionIndex(rawValue: Int32(place))
                let shard = self.shard(of: topic, partition)
                shard.mailbox.run {
                    shard.holdings(topic, partition, readers) { gather.put($0, at: place) }
                }
            }
        } catch {
            home.run { then(.failure(error)) }
        }
    }

    /// What is forbidden and what is not there are answered alike.
    private func topic(_ reference: TopicReference, describedBy client: ClientContext) throws(BrokerError) -> Topic {
        let topic: Topic
        do throws(BrokerError) {
            topic = try self.topics.topic(reference)
        } catch {
            if case .name(let name) = reference, !client.allows(.describe, onTopic: name) {
                throw .topicAuthorizationFailed
            }
            throw error
        }
        guard client.allows(.describe, onTopic: topic.name) else {
            if case .id = reference { throw .unknownTopicID }
            throw .topicAuthorizationFailed
        }
        return topic
    }

    private static func maySee(_ name: SubscriptionName, _ client: ClientContext) -> Bool {
        client.mayList(.describe, on: Resource(.subscription, ExactText(name.text)))
    }

    private static func report(
        _ count: ReaderCount, _ index: SubscriptionIndex, _ client: ClientContext
    ) -> ReaderReport {
        func names(_ ids: [SubscriptionID]) -> [String] {
            ids.map { id in
                guard let name = index[id: id]?.subscription.name else { return "(removed)" }
                return self.maySee(name, client) ? name.text : "(hidden)"
            }.sorted()
        }
        let (waiting, missed) = (names(count.waitingFor), names(count.missedBy))
        return ReaderReport(
            subscriptions: count.subscriptions, read: count.read, waiting: count.waiting, late: count.late,
            waitingFor: waiting, missedBy: missed, text: count.inWords(waiting: waiting, missed: missed))
    }

    private static func holdings(
        _ topic: Topic, _ partitions: [PartitionHoldings], _ view: SubscriptionView, at now: Timestamp,
        _ client: ClientContext
    ) -> TopicHoldings {
        let policy = topic.configuration.retentionPolicy
        let parts = partitions.flatMap(\.parts)
        let isPositioned = partitions.allSatisfy { $0.unread != nil }
        var byReading: [SubscriptionID: HeldBytes] = [:]
        var unread: [SubscriptionID: Int64] = [:]
        for partition in partitions {
            for (id, held) in partition.held {
                byReading[id, default: HeldBytes()].held = byReading[id, default: HeldBytes()].held + held.held
                byReading[id, default: HeldBytes()].own = byReading[id, default: HeldBytes()].own + held.own
            }
            for (id, count) in partition.unread ?? [:] { unread[id, default: 0] += count }
        }
        let holders = view.index.holdings(of: topic.name, policy, parts: parts, at: now)
            .compactMap { holding -> TopicHoldings.Holder? in
                guard let entry = view.index[id: holding.id], self.maySee(entry.subscription.name, client) else {
                    return nil
                }
                let read = policy.mode == .consumed ? byReading[holding.id, default: HeldBytes()] : nil
                return TopicHoldings.Holder(
                    subscription: entry, period: holding.stated == nil ? nil : holding.period,
                    heldBytes: read?.held ?? holding.heldBytes, ownBytes: read?.own ?? holding.ownBytes,
                    unread: isPositioned ? unread[holding.id, default: 0] : nil)
            }
            .sorted { left, right in
                (right.heldBytes, left.subscription.subscription.name)
                    < (left.heldBytes, right.subscription.subscription.name)
            }
        return TopicHoldings(
            owner: topic.owner.map { ConsumerName($0.text.text) }, mode: policy.mode.rawValue, floor: policy.floor,
            ceiling: policy.ceiling, retention: view.retention(of: topic.name, policy),
            totalBytes: parts.reduce(.zero) { $0 + $1.byteCount }, holders: holders)
    }
}
