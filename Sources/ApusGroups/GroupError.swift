package import KafkaWire

/// Why a group refuses a request. Each case is one answer of the protocol; where the code depends on the version of the
/// request, the door chooses it.
package enum GroupError: Error, Hashable, Sendable {
    /// The group's name is empty, or too long.
    case invalidGroupID
    /// The group is not there, or holds nothing.
    case groupNotFound
    /// The group is of the other protocol, or has members of one.
    case wrongGroupType
    /// A session timeout outside what the broker allows.
    case invalidSessionTimeout
    /// The request contradicts itself, or a name in it is longer than its limit.
    case invalidRequest(String)
    /// The member is not of this group, or no longer.
    case unknownMember
    /// The member must come again with the name that goes with this answer (KIP-394).
    case memberIDRequired
    /// Another process took over this instance id.
    case fencedInstance
    /// The request is of another generation.
    case illegalGeneration
    /// No protocol that all members know, or another protocol type than the group's.
    case inconsistentProtocol
    /// A new generation is being made: join again.
    case rebalanceInProgress
    /// The group has as many members as it may.
    case groupFull
    /// More groups, or more state of groups, than this coordinator keeps.
    case tooManyGroups
    /// The group has members.
    case groupNotEmpty
    /// The group still reads this topic.
    case subscribedToTopic
    /// The metadata of an offset is too long.
    case metadataTooLarge
    /// A commit of more records than one batch may hold.
    case commitTooLarge
    /// There is no such topic, or the topic has no such partition.
    case unknownTopicOrPartition
    /// No topic has this id.
    case unknownTopicID
    /// The principal may not do this to the group.
    case groupAuthorizationFailed
    /// The principal may not do this to the topic.
    case topicAuthorizationFailed
    /// The coordinator is still reading the group's records.
    case loading
    /// This broker does not coordinate the group, or does so no more.
    case notCoordinator
    /// The group's records could not be written now; nothing was changed.
    case unavailable
    /// The member's epoch was taken from it: it must give up everything and join anew (KIP-848).
    case fencedMemberEpoch
    /// The member's epoch is not the current one: it must look at its heartbeat's answer first (KIP-848).
    case staleMemberEpoch
    /// Another member has this instance id and has not left (KIP-848).
    case unreleasedInstance
    /// No such assignor on the server (KIP-848).
    case unsupportedAssignor
    /// Members of the consumer protocol commit with version 9 or later (KIP-848).
    case unsupportedVersion
    /// The pattern of topics is none (KIP-848).
    case invalidRegularExpression(String)

    package var code: KafkaErrorCode {
        switch self {
        case .invalidGroupID: .invalidGroupID
        case .groupNotFound: .groupIDNotFound
        case .wrongGroupType: .inconsistentGroupProtocol
        case .invalidSessionTimeout: .invalidSessionTimeout
        case .invalidRequest: .invalidRequest
        case .unknownMember: .unknownMemberID
        case .memberIDRequired: .memberIDRequired
        case .fencedInstance: .fencedInstanceID
        case .illegalGeneration: .illegalGeneration
        case .inconsistentProtocol: .inconsistentGroupProtocol
        case .rebalanceInProgress: .rebalanceInProgress
        case .groupFull: .groupMaxSizeReached
        case .tooManyGroups: .policyViolation
        case .groupNotEmpty: .nonEmptyGroup
        case .subscribedToTopic: .groupSubscribedToTopic
        case .metadataTooLarge: .offsetMetadataTooLarge
        case .commitTooLarge: .invalidCommitOffsetSize
        case .unknownTopicOrPartition: .unknownTopicOrPartition
        case .unknownTopicID: .unknownTopicID
        case .groupAuthorizationFailed: .groupAuthorizationFailed
        case .topicAuthorizationFailed: .topicAuthorizationFailed
        case .loading: .coordinatorLoadInProgress
        case .notCoordinator: .notCoordinator
        case .unavailable: .coordinatorNotAvailable
        case .fencedMemberEpoch: .fencedMemberEpoch
        case .staleMemberEpoch: .staleMemberEpoch
        case .unreleasedInstance: .unreleasedInstanceID
        case .unsupportedAssignor: .unsupportedAssignor
        case .unsupportedVersion: .unsupportedVersion
        case .invalidRegularExpression: .invalidRegularExpression
        }
    }
}
