import ApusCore
import KafkaWire
import Testing

@testable import ApusClient

@Suite("What is said of a group that refuses") struct GroupErrorTests {
    private let answer = BrokerAnswer(
        response: OffsetCommitResponse(), peer: BrokerPeer(id: nil, address: ServerAddress(host: "h", port: 1)))

    @Test(
        "kinds that a caller can act on, and what may pass is tried again",
        arguments: [
            (.groupIDNotFound, .unknownGroup, false), (.nonEmptyGroup, .groupNotEmpty, false),
            (.groupSubscribedToTopic, .groupNotEmpty, false), (.coordinatorLoadInProgress, .refused, true),
            (.coordinatorNotAvailable, .refused, true), (.notCoordinator, .refused, true),
            (.groupAuthorizationFailed, .notAuthorized, false), (.invalidGroupID, .invalidArgument, false),
        ] as [(KafkaErrorCode, ApusError.Code, Bool)])
    func kinds(code: KafkaErrorCode, kind: ApusError.Code, isRetryable: Bool) {
        let error = self.answer.error(code, group: "billing")
        #expect(error.code == kind && error.isRetryable == isRetryable)
        #expect(error.group == "billing" && error.message.contains("billing") && error.kafkaCode == code)
    }

    @Test(
        "a change from outside that only members may make says that there are members",
        arguments: [KafkaErrorCode.unknownMemberID, .illegalGeneration, .rebalanceInProgress])
    func outside(code: KafkaErrorCode) {
        #expect(self.answer.adminError(code, group: "billing").code == .groupNotEmpty)
        #expect(self.answer.error(code, group: "billing").code == .refused)
    }
}
