import ApusBroker
import ApusCore
import KafkaWire

extension TopicID {
    init(_ wire: WireUUID) {
        self.init(high: wire.high, low: wire.low)
    }

    var wire: WireUUID { WireUUID(high: self.high, low: self.low) }
}

extension TopicReference {
    /// A topic in a request whose newer versions name it by id.
    init(name: String, id: WireUUID, byID: Bool) {
        self = byID ? .id(TopicID(id)) : .name(name)
    }
}
