package import NIOCore

extension Broker {
    /// Reads the registry and answers with a broker that serves. Opens no partition: that happens at its first use.
    ///
    /// `loops`: each becomes one shard. The broker keeps using them until ``close(on:then:)`` has answered.
    package static func open(
        _ settings: BrokerSettings, ports: BrokerPorts, shards loops: [any EventLoop], on loop: any EventLoop,
        then: @escaping @Sendable (Result<Broker, BrokerError>) -> Void
    ) {
        loop.execute { then(.failure(.shuttingDown)) }
    }

    /// Refuses new work, answers what waits, closes every log cleanly. Answers whether all of them were: only then may
    /// the data directory be marked clean.
    package func close(on loop: any EventLoop, then: @escaping @Sendable (Bool) -> Void) {
        loop.execute { then(true) }
    }
}
