/// The number of a partition's leadership: it grows by at least one with every change of leader, and with every start
/// of a broker that leads alone. Two leaders never share one (promise P3).
public struct Epoch: RawRepresentable, Hashable, Comparable, Sendable {
    public var rawValue: Int32

    /// Kafka's "no epoch known": checks against it are skipped.
    public static let none = Epoch(rawValue: -1)
    public static let zero = Epoch(rawValue: 0)

    @inlinable
    public init(rawValue: Int32) {
        self.rawValue = rawValue
    }

    @inlinable
    public static func < (left: Epoch, right: Epoch) -> Bool {
        left.rawValue < right.rawValue
    }
}

extension Epoch: CustomStringConvertible {
    public var description: String { String(self.rawValue) }
}
