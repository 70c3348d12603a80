import ApusAccess
import ApusBroker
import ApusCore
import KafkaWire

/// What all connections of one listener share. Never changes.
final class Door: Sendable {
    let broker: Broker
    /// The name under which the listener's address is advertised.
    let listenerName: String
    let table: ApiTable
    let frameBytesMax: ByteCount
    /// Nil: nobody has to log in.
    let login: ListenerLogin?
    /// Nil: in clear.
    let tls: ListenerTLS?
    /// What signs the cursors of the endpoint server, for those in processes of their own; nil: none is served.
    let cursorKey: [UInt8]?
    /// Takes tickets that are shown to endpoint servers in processes of their own; nil: there are none.
    let tickets: EdgeTickets?
    /// Is told how each login ended, on the connection's loop.
    let loginEnded: @Sendable (LoginReport) -> Void

    init(
        broker: Broker, listenerName: String, table: ApiTable = .standard,
        frameBytesMax: ByteCount = Limits.frameBytesMax, login: ListenerLogin? = nil,
        tls: ListenerTLS? = nil, cursorKey: [UInt8]? = nil, tickets: EdgeTickets? = nil,
        loginEnded: @escaping @Sendable (LoginReport) -> Void = { _ in }
    ) {
        self.login = login
        self.tls = tls
        self.cursorKey = cursorKey
        self.tickets = tickets
        self.loginEnded = loginEnded
        self.broker = broker
        self.listenerName = listenerName
        self.table = table
        self.frameBytesMax = frameBytesMax
    }

    /// What lies between us and a client at this address.
    func transport(from address: String) -> Transport {
        if self.tls != nil { return .tls }
        return HostAddress(address)?.isLoopback == true ? .loopback : .open
    }

    /// Most of the memory for requests is taken: those who hold some without going on have less time.
    var isRequestMemoryShort: Bool {
        self.broker.memory.used.rawValue >= self.broker.memory.limit.rawValue / 4 * 3
    }
}
