/// Who reads: the name of a principal, as authentication gives it (`User:alice`).
///
/// Equal by bytes: to Swift, two spellings of one letter are one string; to a Kafka client they are two names.
public struct ConsumerName: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let text: String

    public init(_ text: String) { self.text = text }

    public static func == (left: Self, right: Self) -> Bool { left.text.utf8.elementsEqual(right.text.utf8) }

    public static func < (left: Self, right: Self) -> Bool {
        left.text.utf8.lexicographicallyPrecedes(right.text.utf8)
    }

    public func hash(into hasher: inout Hasher) { self.text.hashBytes(into: &hasher) }

    public var description: String { self.text }
}

/// The name of a subscription. A Kafka consumer group's id is the name of its subscription. Equal by bytes.
public struct SubscriptionName: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let text: String

    public init(_ text: String) { self.text = text }

    public static func == (left: Self, right: Self) -> Bool { left.text.utf8.elementsEqual(right.text.utf8) }

    public static func < (left: Self, right: Self) -> Bool {
        left.text.utf8.lexicographicallyPrecedes(right.text.utf8)
    }

    public func hash(into hasher: inout Hasher) { self.text.hashBytes(into: &hasher) }

    public var description: String { self.text }
}

/// A subscription's identity for life. A name may be given to another subscription later; an id may not.
public struct SubscriptionID: RawRepresentable, Hashable, Comparable, Sendable, CustomStringConvertible {
    public var rawValue: Int64

    public init(rawValue: Int64) { self.rawValue = rawValue }

    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }

    public var description: String { String(self.rawValue) }
}

/// What a change or an audit entry is about.
public enum CatalogueSubject: Hashable, Sendable, CustomStringConvertible {
    case consumer(ConsumerName)
    case subscription(SubscriptionName)

    public var description: String {
        switch self {
        case .consumer(let name): "consumer '\(name)'"
        case .subscription(let name): "subscription '\(name)'"
        }
    }
}

extension String {
    fileprivate func hashBytes(into hasher: inout Hasher) {
        for byte in self.utf8 { hasher.combine(byte) }
        hasher.combine(UInt8(0xFF))
    }
}
