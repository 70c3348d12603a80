import ApusCore

/// What rights are about, with Kafka's codes.
package enum ResourceType: Int8, CaseIterable, Comparable, Sendable {
    case topic = 2
    case group = 3
    case cluster = 4
    case transactionalID = 5
    /// Known so that a filter may name it; nothing here has such a thing.
    case delegationToken = 6
    case user = 7
    /// Ours: a durable subscription, by its name. Kafka's clients show it as unknown.
    case subscription = 100

    package static func < (left: ResourceType, right: ResourceType) -> Bool {
        left.rawValue < right.rawValue
    }

    /// Its place among `allCases`, for tables by type.
    var place: Int { self == .subscription ? 6 : Int(self.rawValue) - 2 }

    /// What can be done with it: what `authorizedOperations` fields may have in them.
    package var operations: OperationSet {
        switch self {
        case .topic: [.read, .write, .create, .delete, .alter, .describe, .describeConfigs, .alterConfigs]
        case .group: [.read, .delete, .describe, .describeConfigs, .alterConfigs]
        case .cluster:
            [.create, .alter, .describe, .clusterAction, .describeConfigs, .alterConfigs, .idempotentWrite]
        case .transactionalID: [.write, .describe, .twoPhaseCommit]
        case .delegationToken: [.describe]
        case .user: [.createTokens, .describeTokens]
        case .subscription: [.read, .create, .delete, .alter, .describe]
        }
    }
}

/// One thing that somebody wants to do something with.
package struct Resource: Hashable, Sendable {
    package let type: ResourceType
    package let name: ExactText

    package init(_ type: ResourceType, _ name: ExactText) {
        self.type = type
        self.name = name
    }

    /// Kafka's only name for the only cluster.
    package static let clusterName: ExactText = "kafka-cluster"
    package static let cluster = Resource(.cluster, Self.clusterName)
}

extension AccessOperation {
    var bit: OperationSet { OperationSet(rawValue: 1 << Int32(self.rawValue)) }

    /// What an ACL of this operation allows: whoever may read a topic may also see that it is there.
    var allowed: OperationSet {
        switch self {
        case .all: .all
        case .read, .write, .delete, .alter: [self.bit, .describe]
        case .alterConfigs: [self.bit, .describeConfigs]
        default: self.bit
        }
    }

    /// What an ACL of this operation denies: itself. Who may not read may still see that it is there, if so allowed.
    var denied: OperationSet { self == .all ? .all : self.bit }
}

/// Operations as a mask, bit by Kafka's code: the value of `authorizedOperations` fields as it stands (KIP-430).
package struct OperationSet: OptionSet, Hashable, Sendable {
    package let rawValue: Int32

    package init(rawValue: Int32) {
        self.rawValue = rawValue
    }

    static let read = AccessOperation.read.bit
    static let write = AccessOperation.write.bit
    static let create = AccessOperation.create.bit
    static let delete = AccessOperation.delete.bit
    static let alter = AccessOperation.alter.bit
    static let describe = AccessOperation.describe.bit
    static let clusterAction = AccessOperation.clusterAction.bit
    static let describeConfigs = AccessOperation.describeConfigs.bit
    static let alterConfigs = AccessOperation.alterConfigs.bit
    static let idempotentWrite = AccessOperation.idempotentWrite.bit
    static let createTokens = AccessOperation.createTokens.bit
    static let describeTokens = AccessOperation.describeTokens.bit
    static let twoPhaseCommit = AccessOperation.twoPhaseCommit.bit
    static let all = OperationSet(AccessOperation.allCases.map(\.bit))
}
