package import ApusBroker
import ApusCore
import NIOCore

/// The connections, for operators.
extension EndpointDoor {
    package var connections: ConnectionSource {
        ConnectionSource(.edge) { after, limit, then in
            self.list(after: after, limit: limit).whenSuccess { then($0) }
        } disconnect: { id, then in
            self.disconnect(id).whenSuccess { then($0) }
        }
    }

    private func list(after: ConnectionID?, limit: Int) -> EventLoopFuture<[OpenConnection]> {
        self.collect { $0.opened(after: after, limit: limit) }.map { lists in
            lists.joined().page(after: after, limit)
        }
    }

    /// Closes the connection of that name (``CloseReason/disconnected``).
    private func disconnect(_ id: ConnectionID) -> EventLoopFuture<Bool> {
        self.collect { $0.disconnect(id) }.map { $0.contains(true) }
    }
}

extension EndpointLoop {
    func opened(after: ConnectionID?, limit: Int) -> [OpenConnection] {
        self.connections.lazy.compactMap(\.opened).page(after: after, limit)
    }

    func disconnect(_ id: ConnectionID) -> Bool {
        let name = id.description
        guard let connection = self.connections.first(where: { $0.name == name }) else { return false }
        connection.run(connection.session.close(.disconnected))
        return true
    }
}

extension EndpointConnection {
    fileprivate var opened: OpenConnection? {
        guard let id = ConnectionID(self.name) else { return nil }
        return OpenConnection(
            id: id, transport: self.isStream ? .eventStream : .webSocket, principal: self.client.principal,
            client: self.client.clientID, address: self.client.address, channels: self.session.channels.count,
            since: self.since, bytesOwed: self.session.bytesOwed)
    }
}
