import ApusAccess
import ApusBroker
import ApusCore
import ApusSystem
import EdgeDoor
import HTTPDoor
import Logging
import NIOCore
import WebFormats

/// What serves the web: one port, two doors.
struct WebParts: Sendable {
    let listener: HTTPListener
    let edge: EndpointDoor

    /// Both at once: edge clients are told to move while requests are answered.
    func stop(within patience: Duration) async throws {
        let drained = self.edge.drain(within: patience)
        let stopped = self.listener.stop(within: patience)
        // `try?`: who could not be told to move is cut with the listener's connections.
        try? await drained.get()
        try await stopped.get()
    }
}

extension ServerParts {
    /// Judged before anything is opened, like the Kafka listener's.
    func webAddress(_ configuration: ServerConfiguration) async throws(ServerError) -> ListenAddress? {
        guard let http = configuration.http else { return nil }
        return try await self.blocking { () throws(ServerError) in
            try ListenAddress(
                http, flag: "--http", danger: configuration.isInsecure ? nil : configuration.dangerInPublic)
        }
    }

    mutating func listen(
        onWeb address: ListenAddress?, _ configuration: ServerConfiguration, _ broker: Broker
    ) async throws(ServerError) -> ServerAddress? {
        guard let address else { return nil }
        guard let loops = self.loops, let security = self.security else {
            preconditionFailure("started out of order")
        }
        var door = HTTPListener.Configuration(host: address.host, port: address.port)
        door.version = configuration.version
        security.protect(&door, of: broker, configuration, on: loops.any())
        let keys = CursorKeys(current: self.cursorKey)
        door.cursorKeys = keys
        var endpoint = EndpointDoor.Configuration(cursorKeys: keys, clock: SystemClock())
        endpoint.login = door.login
        let tickets = self.tickets
        (door.tickets, endpoint.tickets) = (tickets, tickets)
        endpoint.mayDeflate = configuration.deflatesWebSockets
        endpoint.origins = OriginRules(allowed: configuration.httpOrigins)
        endpoint.presence = BrokerPresence(broker)
        endpoint.node = "broker-\(broker.identity.brokerID)"
        // The data directory is locked: there is one broker of this name.
        endpoint.isOnlyNode = true
        endpoint.origins.isPrivate = door.login == nil && HostAddress(address.host)?.isLoopback == true
        do {
            let edge = try await EndpointDoor.make(
                endpoint, upstream: BrokerUpstream(broker), on: loops, logger: self.logger
            ).get()
            door.edge = EdgeEntrance {
                EndpointDoor.takes($0)
            } take: { head, channel, isSecure, position in
                edge.take(head, channel, isSecure: isSecure, at: position)
            }
            door.edgeMetrics = { edge.metrics($0) }
            door.drainBegan = {
                // As when it stops: balancers see that it is not ready, and then its clients move.
                loops.any().scheduleTask(in: .nanoseconds(configuration.drainGrace.wholeNanoseconds)) {
                    _ = edge.sendAway(within: configuration.stopWaitMax)
                }
            }
            door.asyncAPI = EdgeDescription.asyncAPI(version: configuration.version)
            door.connections = [edge.connections] + self.kafkaConnections
            let listener = try await HTTPListener.start(door, broker: broker, on: loops, logger: self.logger).get()
            self.web = WebParts(listener: listener, edge: edge)
            broker.advertise(listener.endpoint, for: "http")
            return ServerAddress(host: listener.endpoint.host, port: Int(listener.endpoint.port))
        } catch {
            let refusal = address.refusal(of: error)
            guard configuration.doesWithoutHTTP, refusal.code == .addressInUse else { throw refusal }
            self.logger.warning("no HTTP: \(refusal.message)")
            return nil
        }
    }
}
