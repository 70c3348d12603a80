package import ApusCore
package import KafkaWire
package import NIOCore

/// Requests of the protocol, answered with closures on the client's event loop: for adapters that live on event loops
/// and know which broker they mean.
///
/// There is one connection to each broker that is asked, made when it is first asked and again when it was lost. What
/// is learned first over one of the configuration's servers is all that goes over it: it is closed when brokers are
/// known.
///
/// Owner: the client's loop; every function but ``close()`` is called there.
package final class DirectCalls: Sendable {
    private let client: ApusClient

    package init(_ configuration: ClientConfiguration) {
        self.client = ApusClient(configuration)
    }

    package var loop: any EventLoop { self.client.core.loop }

    /// Sends a request to a broker, or to whichever is connected, and answers once.
    /// - Parameters:
    ///   - broker: nil: any, after something is known of the cluster.
    ///   - attempt: of a question to any: each goes to another, the configuration's servers among them, so that brokers
    ///     that moved are found again.
    ///   - limit: the highest version that the caller can use.
    package func call<Request: KafkaRequest>(
        _ request: Request, to broker: BrokerID?, attempt: Int = 0, upTo limit: Int16 = .max, timeout: Duration,
        then: @escaping (Result<Request.Response, ApusError>) -> Void
    ) {
        let core = self.client.core
        self.learn(within: timeout) { error in
            if let error { return then(.failure(error)) }
            let node = broker.map { ClientCore.Node.broker($0) } ?? core.anyNode(attempt: attempt) ?? .any
            core.call(request, to: node, upTo: limit, timeout: timeout) { result in
                if case .server = node { core.closeServerLinks() }
                then(result.map(\.response))
            }
        }
    }

    /// Answers when brokers are known, or why they are not.
    private func learn(within timeout: Duration, then: @escaping (ApusError?) -> Void) {
        let core = self.client.core
        guard core.metadata.brokers.isEmpty else { return then(nil) }
        core.learn([], by: core.now.advanced(by: timeout)) { result in
            // Asked once more over a broker's own connection, if at all.
            core.closeServerLinks()
            switch result {
            case .success: then(nil)
            case .failure(let error): then(error)
            }
        }
    }

    /// The brokers that an answer names are those there are.
    package func learned(_ response: MetadataResponse) {
        var brokers = response
        // Which topics there are is kept by whoever asked.
        brokers.topics = []
        self.client.core.metadata.learned(brokers)
    }

    /// Whether there is a connection to each broker that was asked.
    package var links: [(broker: BrokerID, isConnected: Bool)] { self.client.core.brokerLinks }

    /// One try to log in at a broker with credentials of somebody else, over a connection that is closed again.
    /// - Parameter server: as `host:port`.
    /// - Returns: fails with an ``ApusError``; `.notAuthorized` when it is the credentials that are wrong.
    package static func logIn(
        _ configuration: ClientConfiguration, on loop: any EventLoop
    ) -> EventLoopFuture<Void> {
        guard let server = configuration.servers.first.flatMap({ ServerAddress($0) }) else {
            return loop.makeFailedFuture(ApusError(.invalidArgument, "no server is named"))
        }
        let client = ApusClient(configuration)
        return client.bareConnection(to: server.host, port: server.port, on: loop).map { channel in
            channel.close(promise: nil)
        }
    }

    /// The address of a broker that is known, to log in at.
    package var someServer: String? {
        let core = self.client.core
        return core.metadata.brokers.values.min { $0.id < $1.id }.map {
            "\(ServerAddress(host: $0.host, port: $0.port))"
        }
    }

    package func close() {
        let core = self.client.core
        core.loop.execute { core.close() }
    }
}
