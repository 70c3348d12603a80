package import ApusCore

/// One life of an endpoint server: its name, and the number that the coordinator gave it when it came. An endpoint
/// server that was declared gone, and was not, comes back as another life.
package struct NodeLife: Hashable, Sendable {
    package let node: String
    /// Given out once. Below 2^53, so that JavaScript can count it.
    package let number: Int64

    package init(node: String, number: Int64) {
        self.node = node
        self.number = number
    }
}

/// A connection in a channel. Names of channels and connections come from strangers: they are any text.
package struct PresencePlace: Hashable, Sendable {
    package let channel: String
    /// The connection's name, once in the life of its endpoint server.
    package let connection: String

    package init(channel: String, connection: String) {
        self.channel = channel
        self.connection = connection
    }
}

/// Who the connection is of.
package struct PresenceGuest: Hashable, Sendable {
    /// The principal who logged in.
    package let user: String
    /// What the client calls itself; for people.
    package let client: String

    package init(user: String, client: String) {
        self.user = user
        self.client = client
    }
}

/// Why a connection is not in its channel any more.
package enum PresenceLeave: String, CaseIterable, Hashable, Sendable {
    /// The connection ended.
    case closed
    /// The client left the channel, or was sent out of it.
    case unsubscribed
    /// Its endpoint server was not heard of for a whole lease.
    case lease
    /// Its endpoint server has begun another life.
    case restarted
}

/// Up to where a connection has seen the records of one partition.
package struct PresenceSeen: Hashable, Sendable {
    package let partition: PartitionIndex
    /// Behind the last record that was seen.
    package let next: Offset
    /// When that was said.
    package let at: Timestamp

    package init(partition: PartitionIndex, next: Offset, at: Timestamp) {
        self.partition = partition
        self.next = next
        self.at = at
    }
}
