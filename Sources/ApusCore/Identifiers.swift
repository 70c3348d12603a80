/// A topic's identity for life: 128 bits, chosen at creation, never reused. A name may be given to another topic later;
/// an id may not. All zero means "none" on the Kafka protocol.
public struct TopicID: Hashable, Comparable, Sendable {
    public var high: UInt64
    public var low: UInt64

    public static let none = TopicID(high: 0, low: 0)

    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// A random id in the form of a version 4 UUID (RFC 9562 section 5.4).
    public init(from randomness: any Randomness) {
        self.high = (randomness.next() & ~0xF000) | 0x4000
        self.low = (randomness.next() & ~(0b11 << 62)) | (0b10 << 62)
    }

    public static func < (left: TopicID, right: TopicID) -> Bool {
        (left.high, left.low) < (right.high, right.low)
    }
}

extension TopicID: CustomStringConvertible, LosslessStringConvertible {
    /// The RFC 9562 text form, lower case: `6ba7b810-9dad-41d1-80b4-00c04fd430c8`.
    public var description: String {
        let hex = Self.hex(self.high) + Self.hex(self.low)
        var text = ""
        for (index, character) in hex.enumerated() {
            if index == 8 || index == 12 || index == 16 || index == 20 { text.append("-") }
            text.append(character)
        }
        return text
    }

    /// Reads the text form; hyphens may be absent, case does not matter. Nil for anything else.
    public init?(_ description: String) {
        let digits = description.filter { $0 != "-" }
        guard digits.count == 32, digits.allSatisfy({ $0.isASCII && $0.isHexDigit }),
            let high = UInt64(digits.prefix(16), radix: 16), let low = UInt64(digits.suffix(16), radix: 16)
        else { return nil }
        self.init(high: high, low: low)
    }

    private static func hex(_ value: UInt64) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}

/// A partition's number within its topic, from 0.
public struct PartitionIndex: RawRepresentable, Hashable, Comparable, Sendable {
    public var rawValue: Int32

    @inlinable
    public init(rawValue: Int32) {
        self.rawValue = rawValue
    }

    @inlinable
    public static func < (left: PartitionIndex, right: PartitionIndex) -> Bool {
        left.rawValue < right.rawValue
    }
}

extension PartitionIndex: CustomStringConvertible {
    public var description: String { String(self.rawValue) }
}

/// One partition of one topic, by the topic's id.
public struct TopicPartition: Hashable, Comparable, Sendable, CustomStringConvertible {
    public var topic: TopicID
    public var partition: PartitionIndex

    @inlinable
    public init(topic: TopicID, partition: PartitionIndex) {
        self.topic = topic
        self.partition = partition
    }

    public static func < (left: TopicPartition, right: TopicPartition) -> Bool {
        (left.topic, left.partition) < (right.topic, right.partition)
    }

    public var description: String { "\(self.topic)/\(self.partition)" }
}

/// A broker's number in its cluster, from 0.
public struct BrokerID: RawRepresentable, Hashable, Comparable, Sendable {
    public var rawValue: Int32

    @inlinable
    public init(rawValue: Int32) {
        self.rawValue = rawValue
    }

    @inlinable
    public static func < (left: BrokerID, right: BrokerID) -> Bool {
        left.rawValue < right.rawValue
    }
}

extension BrokerID: CustomStringConvertible {
    public var description: String { String(self.rawValue) }
}
