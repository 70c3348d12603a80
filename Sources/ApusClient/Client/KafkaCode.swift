/// An error number of the Kafka protocol, as a broker sent it. 0, no error, is never one.
public struct KafkaCode: RawRepresentable, Hashable, Sendable {
    public var rawValue: Int16

    public init(rawValue: Int16) {
        self.rawValue = rawValue
    }
}

extension KafkaCode: CustomStringConvertible {
    public var description: String { "KAFKA_ERROR_\(self.rawValue)" }
}
