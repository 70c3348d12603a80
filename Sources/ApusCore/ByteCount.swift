/// A number of bytes, 0 or more.
public struct ByteCount: RawRepresentable, Hashable, Comparable, Sendable, AdditiveArithmetic {
    public var rawValue: Int

    public static let zero = ByteCount(rawValue: 0)

    @inlinable
    public init(rawValue: Int) {
        self.rawValue = rawValue
    }

    @inlinable
    public static func bytes(_ count: Int) -> ByteCount { ByteCount(rawValue: count) }
    @inlinable
    public static func kibibytes(_ count: Int) -> ByteCount { ByteCount(rawValue: count * 1024) }
    @inlinable
    public static func mebibytes(_ count: Int) -> ByteCount { ByteCount(rawValue: count * 1024 * 1024) }
    @inlinable
    public static func gibibytes(_ count: Int) -> ByteCount { ByteCount(rawValue: count * 1024 * 1024 * 1024) }

    @inlinable
    public static func < (left: ByteCount, right: ByteCount) -> Bool {
        left.rawValue < right.rawValue
    }

    @inlinable
    public static func + (left: ByteCount, right: ByteCount) -> ByteCount {
        ByteCount(rawValue: left.rawValue + right.rawValue)
    }

    @inlinable
    public static func - (left: ByteCount, right: ByteCount) -> ByteCount {
        ByteCount(rawValue: left.rawValue - right.rawValue)
    }
}

extension ByteCount: CustomStringConvertible {
    /// `17 B`, `4.0 KiB`, `1.2 GiB`.
    public var description: String {
        let units = ["B", "KiB", "MiB", "GiB", "TiB"]
        var value = Double(self.rawValue)
        var unit = 0
        while abs(value) >= 1024, unit < units.count - 1 {
            value /= 1024
            unit += 1
        }
        guard unit > 0 else { return "\(self.rawValue) B" }
        let tenths = Int((value * 10).rounded())
        return "\(tenths / 10).\(abs(tenths) % 10) \(units[unit])"
    }
}
