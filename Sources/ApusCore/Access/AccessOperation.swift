/// What somebody may want to do, with Kafka's codes and the names of its tools. What rules allow and deny, what a
/// broker asks for, and what a client writes into a rule: one type for all.
public enum AccessOperation: Int8, CaseIterable, Comparable, Sendable {
    /// In a rule: every operation.
    case all = 2
    case read = 3
    case write = 4
    case create = 5
    case delete = 6
    case alter = 7
    case describe = 8
    case clusterAction = 9
    case describeConfigs = 10
    case alterConfigs = 11
    case idempotentWrite = 12
    case createTokens = 13
    case describeTokens = 14
    case twoPhaseCommit = 15

    /// By its description; nil for any other text.
    public init?(_ text: String) {
        guard let operation = Self.allCases.first(where: { $0.description == text }) else { return nil }
        self = operation
    }

    public static func < (left: AccessOperation, right: AccessOperation) -> Bool { left.rawValue < right.rawValue }
}

extension AccessOperation: CustomStringConvertible {
    /// As Kafka's tools write it, in small letters: `describe-configs`.
    public var description: String {
        switch self {
        case .all: "all"
        case .read: "read"
        case .write: "write"
        case .create: "create"
        case .delete: "delete"
        case .alter: "alter"
        case .describe: "describe"
        case .clusterAction: "cluster-action"
        case .describeConfigs: "describe-configs"
        case .alterConfigs: "alter-configs"
        case .idempotentWrite: "idempotent-write"
        case .createTokens: "create-tokens"
        case .describeTokens: "describe-tokens"
        case .twoPhaseCommit: "two-phase-commit"
        }
    }
}
