import KafkaWire
import Testing

@testable import ApusGroups

@Suite("Refusals of a group")
struct GroupErrorTests {
    @Test(
        "what a client must tell apart has a code of its own",
        arguments: [
            (.unknownMember, 25), (.illegalGeneration, 22), (.rebalanceInProgress, 27), (.fencedInstance, 82),
            (.memberIDRequired, 79), (.groupFull, 81), (.inconsistentProtocol, 23), (.invalidSessionTimeout, 26),
            (.invalidGroupID, 24), (.groupNotFound, 69), (.groupNotEmpty, 68), (.subscribedToTopic, 86),
            (.metadataTooLarge, 12), (.loading, 14), (.unavailable, 15), (.notCoordinator, 16),
            (.fencedMemberEpoch, 110), (.unreleasedInstance, 111), (.unsupportedAssignor, 112),
            (.staleMemberEpoch, 113), (.invalidRegularExpression("("), 128),
        ] as [(GroupError, Int16)]
    )
    func codes(error: GroupError, code: Int16) {
        #expect(error.code.rawValue == code)
    }
}
