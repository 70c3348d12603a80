import ApusBroker
import ApusCore

extension ConfigurationResource {
    /// Kafka's `ConfigResource` types.
    private static let topicType: Int8 = 2
    private static let brokerType: Int8 = 4

    /// What a request names, or why it is nothing that has a configuration here. A broker's name is its number; empty
    /// means the defaults of all brokers.
    init(type: Int8, name: String, broker: BrokerID) throws(BrokerError) {
        switch type {
        case Self.topicType:
            self = .topic(name)
        case Self.brokerType where name.isEmpty:
            self = .broker(nil)
        case Self.brokerType:
            guard Int32(name) == broker.rawValue else {
                throw .invalidRequest("This is broker \(broker); another one must be asked at its own address.")
            }
            self = .broker(broker)
        default:
            throw .invalidRequest("Resources of type \(type) have no configuration here.")
        }
    }
}
