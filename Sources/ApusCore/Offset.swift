/// A record's place in its partition: 0 for the first record ever written there, then one more for each.
///
/// Offsets are never reused and never change, whatever retention, compaction or leader changes do.
public struct Offset: RawRepresentable, Hashable, Comparable, Sendable {
    public var rawValue: Int64

    public static let zero = Offset(rawValue: 0)

    @inlinable
    public init(rawValue: Int64) {
        self.rawValue = rawValue
    }

    @inlinable
    public static func < (left: Offset, right: Offset) -> Bool {
        left.rawValue < right.rawValue
    }

    /// The offset `count` records further on. Traps on overflow: offsets handed out by us never get near 2^63.
    @inlinable
    public func advanced(by count: Int64) -> Offset {
        Offset(rawValue: self.rawValue + count)
    }

    @inlinable
    public var next: Offset { self.advanced(by: 1) }
}

extension Offset: CustomStringConvertible {
    public var description: String { String(self.rawValue) }
}
