import ApusGroups
import WebFormats

extension Problem {
    /// Why a group refuses, for a client of the web.
    init(_ error: GroupError, group: String) {
        switch error {
        case .groupNotFound: self.init(.groupNotFound, "there is no group '\(group)'")
        case .groupNotEmpty, .unknownMember, .illegalGeneration, .staleMemberEpoch, .fencedMemberEpoch,
            .rebalanceInProgress:
            self.init(.groupNotEmpty, "the group '\(group)' has members", hint: "stop them first")
        case .subscribedToTopic: self.init(.groupNotEmpty, "the group '\(group)' still reads the topic")
        case .groupAuthorizationFailed: self.init(.forbidden, "not allowed for this group", hint: "apus acl add")
        case .topicAuthorizationFailed: self.init(.forbidden, "not allowed for a topic of this group")
        case .unknownTopicOrPartition, .unknownTopicID: self.init(.topicNotFound, "there is no such topic or partition")
        case .loading: self.init(.loading, "the coordinator still reads the group's records")
        case .notCoordinator: self.init(.noLeader, "this broker does not coordinate the group")
        case .unavailable: self.init(.storageFailed, "the group's records can not be written now; nothing was changed")
        case .tooManyGroups, .groupFull:
            self.init(.policyViolation, "there are as many groups or members as there may be")
        case .invalidGroupID: self.init(.invalidRequest, "this is no group's name")
        case .wrongGroupType: self.init(.invalidRequest, "the group is of the other protocol")
        case .invalidRequest(let text), .invalidRegularExpression(let text): self.init(.invalidRequest, text)
        case .invalidSessionTimeout, .memberIDRequired, .fencedInstance, .inconsistentProtocol, .metadataTooLarge,
            .commitTooLarge, .unreleasedInstance, .unsupportedAssignor, .unsupportedVersion:
            self.init(.invalidRequest, "the group refuses: \(error.code)")
        }
    }
}
