package import ApusCore
package import ApusPresence
package import NIOCore
import ApusAccess
import Logging

/// Who is in which channel of the endpoint servers, and who has seen what.
extension Broker {
    /// What an endpoint server tells. Answered when it is written. Needs CLUSTER_ACTION on the cluster.
    ///
    /// Makes `__presence` when the first one attends.
    package func report(
        _ report: PresenceReport, client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable (Result<PresenceAnswer, PresenceError>) -> Void
    ) {
        let home = self.mailbox(of: loop)
        guard client.allows(.clusterAction, on: .cluster) else { return home.run { then(.failure(.forbidden)) } }
        self.withPresenceTopic { topic in
            guard let topic else { return home.run { then(.failure(.unavailable)) } }
            let shard = self.shard(of: topic, PresenceTopic.partition)
            shard.mailbox.run {
                shard.presence.wake(topic)
                shard.presence.report(report) { answer in home.run { then(answer) } }
            }
        }
    }

    /// Who is in a channel, in the order in which they came. Needs READ on the channel's topic.
    ///
    /// - Parameter place: where the page begins: behind this one.
    /// - Throws: `.invalidRequest` when presence is not kept for the topic.
    package func presence(
        of channel: String, behind place: Int64? = nil, upTo limit: Int = Limits.presencePageDefault,
        client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable (Result<PresencePage, BrokerError>) -> Void
    ) {
        let home = self.mailbox(of: loop)
        do throws(BrokerError) {
            let topic = try self.topics.topic(.name(Self.topicName(of: channel)), .read, for: client)
            guard topic.configuration.keepsPresence else {
                throw .invalidRequest("who is in '\(topic.name)' is not recorded: its apus.presence is not 'true'")
            }
        } catch {
            return home.run { then(.failure(error)) }
        }
        self.presencePage(of: channel, behind: place, upTo: limit, withReceipts: false) { result in
            home.run { then(result) }
        }
    }

    /// Who has confirmed what of a channel, and where its partitions end. Needs READ on the channel's topic.
    package func receipts(
        of channel: String, behind place: Int64? = nil, upTo limit: Int = Limits.presencePageDefault,
        client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable (Result<ReceiptPage, BrokerError>) -> Void
    ) {
        let home = self.mailbox(of: loop)
        let topic: Topic
        do throws(BrokerError) {
            topic = try self.topics.topic(.name(Self.topicName(of: channel)), .read, for: client)
            guard topic.configuration.keepsReceipts else {
                throw .invalidRequest("receipts of '\(topic.name)' are not kept: its apus.receipts is not 'true'")
            }
        } catch {
            return home.run { then(.failure(error)) }
        }
        self.presencePage(of: channel, behind: place, upTo: limit, withReceipts: true) { result in
            home.run {
                switch result {
                case .failure(let error): then(.failure(error))
                case .success(let page): self.addEnds(to: page, topic, on: loop, then: then)
                }
            }
        }
    }

    private func addEnds(
        to page: PresencePage, _ topic: Topic, on loop: any EventLoop,
        then: @escaping @Sendable (Result<ReceiptPage, BrokerError>) -> Void
    ) {
        let partitions = Set(page.members.flatMap { $0.seen.map(\.partition) }).sorted()
        guard !partitions.isEmpty else { return then(.success(ReceiptPage(page: page, ends: [:]))) }
        let queries = partitions.map { OffsetQuery(topic: .id(topic.id), partition: $0, position: .latest) }
        self.listOffsets(queries, isolation: .uncommitted, client: .embedded, on: loop) { answers in
            var ends: [PartitionIndex: Offset] = [:]
            // Where one ends is not known while it has no leader: what is known is told.
            for (partition, answer) in zip(partitions, answers) {
                if case .success(let answer) = answer { ends[partition] = answer.offset }
            }
            then(.success(ReceiptPage(page: page, ends: ends)))
        }
    }

    private func presencePage(
        of channel: String, behind place: Int64?, upTo limit: Int, withReceipts: Bool,
        then: @escaping @Sendable (Result<PresencePage, BrokerError>) -> Void
    ) {
        // Without the topic nobody was anywhere yet.
        guard let topic = self.topics.topic(named: PresenceTopic.name) else { return then(.success(PresencePage())) }
        let shard = self.shard(of: topic, PresenceTopic.partition)
        let limit = min(max(1, limit), Limits.presencePageMax)
        shard.mailbox.run {
            shard.presence.wake(topic)
            do throws(PresenceError) {
                then(
                    .success(
                        try shard.presence.page(of: channel, behind: place, upTo: limit, withReceipts: withReceipts)))
            } catch {
                then(.failure(.overloaded("presence is being read after a start, or can not be written")))
            }
        }
    }

    /// A channel is a topic, or a topic, a slash, and a key.
    private static func topicName(of channel: String) -> String {
        String(channel.prefix { $0 != "/" })
    }

    private func withPresenceTopic(_ body: @escaping @Sendable (Topic?) -> Void) {
        if let topic = self.topics.topic(named: PresenceTopic.name) { return body(topic) }
        self.create([PresenceTopic.specification], client: .embedded, on: self.registry.loop) { results in
            switch results[0] {
            case .success(let topic): body(topic)
            // Somebody else was faster.
            case .failure(.topicExists): body(self.topics.topic(named: PresenceTopic.name))
            case .failure(let error):
                self.ports.logger.error(
                    "the topic of presence can not be made", metadata: ["reason": "\(error)"])
                body(nil)
            }
        }
    }

    /// Begins to read presence, if there is any: those whose endpoint server does not come back have a lease.
    func loadPresence() {
        guard let topic = self.topics.topic(named: PresenceTopic.name) else { return }
        let shard = self.shard(of: topic, PresenceTopic.partition)
        shard.mailbox.run { shard.presence.wake(topic) }
    }
}

/// Receipts, and where the partitions end that they are of.
package struct ReceiptPage: Sendable {
    package var page: PresencePage
    package var ends: [PartitionIndex: Offset]

    package init(page: PresencePage, ends: [PartitionIndex: Offset]) {
        self.page = page
        self.ends = ends
    }
}
