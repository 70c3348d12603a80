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

    init(
        broker: Broker, listenerName: String, table: ApiTable = .standard,
        frameBytesMax: ByteCount = Limits.frameBytesMax
    ) {
        self.broker = broker
        self.listenerName = listenerName
        self.table = table
        self.frameBytesMax = frameBytesMax
    }

    /// Most of the memory for requests is taken: those who hold some without going on have less time.
    var isRequestMemoryShort: Bool {
        self.broker.memory.used.rawValue >= self.broker.memory.limit.rawValue / 4 * 3
    }
}
