import ApusCore
package import NIOCore

extension ApusClient {
    /// A connection of its own to one broker: in its channel is TLS, where the configuration asks for that, and nothing
    /// else; the broker knows who this is. For who speaks the protocol himself, as a load generator does.
    ///
    /// Whoever gets it closes it. Nobody logs in again before the session ends (KIP-368): where brokers limit that, the
    /// connection lasts as long as one session.
    /// - Parameters:
    ///   - port: 1 to 65,535.
    ///   - loop: the channel's.
    /// - Returns: fails with an ``ApusError``.
    package func bareConnection(
        to host: String, port: Int, on loop: any EventLoop
    ) -> EventLoopFuture<any Channel> {
        let address = ServerAddress(host: host, port: port)
        let ready = loop.makePromise(of: Void.self)
        let connection = BrokerConnection(
            to: BrokerPeer(id: nil, address: address), clientID: self.configuration.clientID,
            responseBytesMax: self.configuration.responseBytesMax, on: loop,
            readyBy: Instant(loop.now).advanced(by: self.configuration.connectTimeout),
            login: BrokerLogin(self.configuration, self.core.environment),
            onReady: { ready.completeWith($0.mapError { $0 as any Error }) }, onClosed: { _ in })
        BrokerSocket.connect(
            to: address, handler: connection, configuration: self.configuration,
            tls: BrokerTLS(self.configuration.tls), on: loop
        ).hop(to: loop).whenFailure { error in
            let unreachable = connection.error(.unreachable, "no connection", isRetryable: true, cause: error)
            connection.fail(error as? ApusError ?? unreachable)
        }
        return ready.futureResult.flatMap { connection.handOver() }
    }
}
