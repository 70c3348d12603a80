/// Whether a rule allows or denies, with Kafka's codes.
public enum AccessPermission: Int8, Comparable, Sendable, CustomStringConvertible {
    case deny = 2
    case allow = 3

    public static func < (left: AccessPermission, right: AccessPermission) -> Bool { left.rawValue < right.rawValue }

    public var description: String { self == .allow ? "allow" : "deny" }
}
