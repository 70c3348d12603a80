package import ApusAccess
package import ApusBroker
package import ApusCore
package import NIOCore

/// The broker of this process as the endpoint server asks it. Any thread.
package struct BrokerUpstream: EdgeUpstream {
    private let broker: Broker

    package init(_ broker: Broker) {
        self.broker = broker
    }

    // MARK: Topics

    package func topic(
        named name: String, on loop: any EventLoop, then: @escaping (Result<EdgeTopic?, BrokerError>) -> Void
    ) {
        then(.success(self.broker.topics.topic(named: name).map { EdgeTopic($0) }))
    }

    package var topicsVersion: Int64 { self.broker.topics.version }

    package func topic(_ id: TopicID) -> EdgeTopic? { self.broker.topics.topic(id: id).map { EdgeTopic($0) } }

    package func create(
        _ topic: TopicSpecification, client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable (Result<EdgeTopic, BrokerError>) -> Void
    ) {
        self.broker.create([topic], client: client, on: loop) { then($0[0].map { EdgeTopic($0) }) }
    }

    package func deleteTopic(
        _ name: String, client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable (Result<Void, BrokerError>) -> Void
    ) {
        self.broker.deleteTopics([.name(name)], client: client, on: loop) { then($0[0].map { _ in }) }
    }

    // MARK: Records

    package func listOffsets(
        _ queries: [OffsetQuery], client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable ([Result<OffsetAnswer, BrokerError>]) -> Void
    ) {
        self.broker.listOffsets(queries, isolation: .uncommitted, client: client, on: loop, then: then)
    }

    @discardableResult
    package func fetch(
        _ entries: [FetchEntry], limits: FetchLimits, client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable ([FetchResult]) -> Void
    ) -> any EdgeTicket {
        self.broker.fetch(
            entries, limits: limits, client: client, memory: self.broker.readMemory, on: loop, then: then)
    }

    package func isWindowed(_ topic: String) -> Bool { self.broker.subscriptions.view.isWindowed(topic) }

    package func write(
        _ message: AddressedMessage, to topic: String, timeout: Duration, spread: UInt32, client: ClientContext,
        on loop: any EventLoop, then: @escaping @Sendable (Result<WrittenPlace, BrokerError>) -> Void
    ) {
        self.broker.write(
            [message], to: .name(topic), timeout: timeout, spread: spread, client: client, on: loop
        ) { then($0[0]) }
    }

    // MARK: Rights and quotas

    package func client(_ principal: Principal, address: String, channels: ChannelGrants?) -> ClientContext {
        self.broker.access.client(principal, address: address, channels: channels)
    }

    package func holds(key id: String) -> Bool { self.broker.access.keys[id: id] != nil }

    package var rightsVersion: Int64 { self.broker.access.version.rawValue }

    package func renew(_ client: inout ClientContext) { self.broker.access.renew(&client) }

    package func meter(of client: ClientContext) -> QuotaMeter? {
        QuotaMeter(client.principal, clientID: client.clientID, self.broker.quotas)
    }
}

extension FetchTicket: EdgeTicket {}

extension EdgeTopic {
    fileprivate init(_ topic: Topic) {
        self.init(id: topic.id, name: topic.name, partitionCount: Int(topic.partitionCount))
        self.keepsPresence = topic.configuration.keepsPresence
        self.keepsReceipts = topic.configuration.keepsReceipts
        self.isCompacted = topic.configuration.compaction != nil
    }
}
