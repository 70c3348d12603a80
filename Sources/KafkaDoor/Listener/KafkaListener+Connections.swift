package import ApusBroker
import ApusCore
import NIOCore

/// The connections, for operators.
extension KafkaListener {
    package var connections: ConnectionSource {
        ConnectionSource(.kafka) { after, limit, then in
            self.collect { loop in
                loop.connections.values.lazy.map(\.opened).page(after: after, limit)
            }.whenSuccess { lists in
                then(lists.joined().page(after: after, limit))
            }
        } disconnect: { id, then in
            self.collect { loop in
                guard let connection = loop.connections.values.first(where: { $0.id == id }) else { return false }
                connection.close(because: "an operator disconnected it")
                return true
            }.whenSuccess { then($0.contains(true)) }
        }
    }
}

extension KafkaConnection {
    fileprivate var opened: OpenConnection {
        // The option exists on every stream channel; one without it has nothing to hold back.
        let owed = (try? self.context?.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
        return OpenConnection(
            id: self.id, transport: .kafka, principal: self.client.principal, client: self.client.clientID,
            address: self.client.address, since: self.since, bytesOwed: .bytes(owed))
    }
}
