package import ApusAccess
package import ApusCore

/// One client that is connected to a door of this node, as operators see it.
package struct OpenConnection: Sendable {
    package enum Transport: String, Sendable {
        case webSocket = "websocket"
        case eventStream = "sse"
        case http
        case kafka
    }

    package var id: ConnectionID
    package var transport: Transport
    /// Who logged in; nil where each request says it anew.
    package var principal: Principal?
    /// What the client calls itself: the client's own word, which may be anything.
    package var client: String
    package var address: String
    /// The channels that it is in; 0 for those that have none.
    package var channels: Int
    package var since: Timestamp
    /// What was written for it and its socket has not taken.
    package var bytesOwed: ByteCount

    package init(
        id: ConnectionID, transport: Transport, principal: Principal?, client: String, address: String,
        channels: Int = 0, since: Timestamp, bytesOwed: ByteCount = .zero
    ) {
        self.id = id
        self.transport = transport
        self.principal = principal
        self.client = client
        self.address = address
        self.channels = channels
        self.since = since
        self.bytesOwed = bytesOwed
    }
}

/// A connection's name, never given twice while this node runs: a letter for its door, and a number.
package struct ConnectionID: Hashable, Comparable, Sendable, CustomStringConvertible {
    package enum Door: Character, Sendable {
        case edge = "c"
        case http = "h"
        case kafka = "k"
    }

    package let door: Door
    package let number: UInt64

    package init(_ door: Door, _ number: UInt64) {
        self.door = door
        self.number = number
    }

    /// Nil for what is no connection's name.
    package init?(_ text: String) {
        guard let first = text.first, let door = Door(rawValue: first), let number = UInt64(text.dropFirst()),
            "\(first)\(number)" == text
        else { return nil }
        self.init(door, number)
    }

    package var description: String { "\(self.door.rawValue)\(self.number)" }

    package static func < (left: ConnectionID, right: ConnectionID) -> Bool {
        (left.door.rawValue, left.number) < (right.door.rawValue, right.number)
    }
}

/// How one door's connections are listed and ended. Any thread; both answer on any.
package struct ConnectionSource: Sendable {
    package let door: ConnectionID.Door
    /// The first so many behind this one, in the order of their names.
    package let list:
        @Sendable (
            _ after: ConnectionID?, _ limit: Int, _ then: @escaping @Sendable ([OpenConnection]) -> Void
        ) -> Void
    /// False: there is none of that name.
    package let disconnect: @Sendable (ConnectionID, _ then: @escaping @Sendable (Bool) -> Void) -> Void

    package init(
        _ door: ConnectionID.Door,
        list:
            @escaping @Sendable (
                _ after: ConnectionID?, _ limit: Int, _ then: @escaping @Sendable ([OpenConnection]) -> Void
            ) -> Void,
        disconnect: @escaping @Sendable (ConnectionID, _ then: @escaping @Sendable (Bool) -> Void) -> Void
    ) {
        self.door = door
        self.list = list
        self.disconnect = disconnect
    }
}

extension Sequence<OpenConnection> {
    /// The first so many behind this name.
    package func page(after: ConnectionID?, _ limit: Int) -> [OpenConnection] {
        let behind = self.filter { connection in after.map { $0 < connection.id } ?? true }
        return Array(behind.sorted { $0.id < $1.id }.prefix(limit))
    }
}
