import ApusCore

extension GroupError {
    /// For people, beside the code, where an answer has room for it (KIP-848).
    package var message: String? {
        switch self {
        case .invalidRequest(let why): why
        case .invalidRegularExpression(let why): "The regular expression is not valid: \(why)."
        case .unknownMember: "This is not a member of the group. Join again."
        case .fencedMemberEpoch: "The coordinator gave this member another epoch. Join again."
        case .staleMemberEpoch: "The member has another epoch by now, or the partition another owner."
        case .unreleasedInstance: "The instance id belongs to a member that did not leave."
        case .fencedInstance: "Another member took the instance id over."
        case .unsupportedAssignor:
            "The assignors are: \(Assignor.allCases.map(\.rawValue).joined(separator: ", "))."
        case .groupFull: "The group has as many members as it may."
        case .groupNotFound: "There is no consumer group of this name."
        case .tooManyGroups:
            "The coordinator has as many groups, members and positions as it may. Delete groups that nobody needs."
        case .unsupportedVersion: "This version cannot carry a member epoch."
        default: nil
        }
    }
}
