package import ApusCore
package import NIOCore

extension Broker {
    package func listOffsets(
        _ queries: [OffsetQuery], isolation: IsolationLevel, client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable ([Result<OffsetAnswer, BrokerError>]) -> Void
    ) {
        loop.execute { then(queries.map { _ in .failure(.shuttingDown) }) }
    }

    package func epochEnds(
        _ queries: [EpochQuery], client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable ([Result<EpochEnd, BrokerError>]) -> Void
    ) {
        loop.execute { then(queries.map { _ in .failure(.shuttingDown) }) }
    }

    /// Answers with the log's start offset, durable before it is told.
    package func deleteRecords(
        _ deletions: [RecordDeletion], timeout: Duration, client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable ([Result<Offset, BrokerError>]) -> Void
    ) {
        loop.execute { then(deletions.map { _ in .failure(.shuttingDown) }) }
    }

    package func describeProducers(
        _ partitions: [PartitionReference], client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable ([Result<[ProducerDescription], BrokerError>]) -> Void
    ) {
        loop.execute { then(partitions.map { _ in .failure(.shuttingDown) }) }
    }

    /// Nil asks for every partition there is. Partitions that were never written to are left out.
    package func describeLogDirectory(
        _ partitions: [PartitionReference]?, client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable (Result<LogDirectoryDescription, BrokerError>) -> Void
    ) {
        loop.execute { then(.failure(.shuttingDown)) }
    }

    /// A producer id never given before, with epoch 0.
    package func initProducerID(
        on loop: any EventLoop, then: @escaping @Sendable (Result<ProducerIdentity, BrokerError>) -> Void
    ) {
        loop.execute { then(.failure(.shuttingDown)) }
    }
}
