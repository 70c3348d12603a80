import ApusCore
import KafkaWire

/// Asks the broker that coordinates a group, whichever that is at the time.
///
/// An answer that says otherwise is retryable, and each attempt looks for the coordinator anew: nothing is remembered
/// that could be stale.
struct GroupCoordinator: Sendable {
    let core: ClientCore
    let group: String

    /// Which broker it is now.
    func find() async throws(ApusError) -> BrokerID {
        var request = FindCoordinatorRequest()
        // Up to version 3 one key, from version 4 on several.
        request.key = self.group
        request.coordinatorKeys = [self.group]
        let response = try await self.core.callAny(request)
        if let found = response.coordinators.first(where: { $0.key == self.group }) {
            if let code = found.errorCode.failure {
                throw response.error(code, group: self.group, message: found.errorMessage)
            }
            return BrokerID(rawValue: found.nodeID)
        }
        if let code = response.errorCode.failure {
            throw response.error(code, group: self.group, message: response.errorMessage)
        }
        guard response.coordinators.isEmpty, !response.host.isEmpty else {
            throw response.unanswered("group \(self.group)")
        }
        return BrokerID(rawValue: response.nodeID)
    }

    /// - Parameter limit: the highest version that the caller can use.
    func ask<Request: KafkaRequest>(
        _ request: Request, upTo limit: Int16 = .max
    ) async throws(ApusError) -> BrokerAnswer<Request.Response> {
        try await self.core.call(request, to: .broker(try await self.find()), upTo: limit)
    }
}

extension BrokerAnswer {
    /// An error about a group, in words that say what is the matter with it.
    func error(_ code: KafkaErrorCode, group: String, message: String? = nil) -> ApusError {
        var error = self.error(code, "group \(group)", message: message)
        error.group = group
        error.message = message ?? Self.words(for: code, group)
        return error
    }

    /// The same for a change from outside: that its sender is no member is said of groups that have some.
    func adminError(_ code: KafkaErrorCode, group: String) -> ApusError {
        let isTaken = code == .unknownMemberID || code == .illegalGeneration || code == .rebalanceInProgress
        return self.error(isTaken ? .nonEmptyGroup : code, group: group)
    }

    private static func words(for code: KafkaErrorCode, _ group: String) -> String {
        switch code {
        case .groupIDNotFound: "there is no group \(group)"
        case .nonEmptyGroup: "group \(group) has active members"
        case .groupSubscribedToTopic: "members of group \(group) are subscribed to that topic"
        case .coordinatorLoadInProgress: "the coordinator of group \(group) is loading"
        case .coordinatorNotAvailable: "group \(group) has no coordinator at the moment"
        case .notCoordinator: "the coordinator of group \(group) has moved"
        case .groupAuthorizationFailed: "not allowed for group \(group)"
        case .invalidGroupID: "\"\(group)\" can not be the name of a group"
        case .inconsistentGroupProtocol: "group \(group) shares out by other rules than this member"
        case .unknownMemberID: "this member is no longer in group \(group)"
        case .illegalGeneration, .rebalanceInProgress: "group \(group) has shared its partitions out anew"
        case .groupMaxSizeReached: "group \(group) has as many members as it may"
        case .fencedInstanceID: "another member of group \(group) has come under the same instance id"
        case .invalidSessionTimeout: "the broker takes no session timeout like this one of group \(group)"
        default: "group \(group) refused it"
        }
    }
}
