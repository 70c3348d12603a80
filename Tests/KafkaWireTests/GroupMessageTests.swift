import NIOCore
import Testing

@testable import KafkaWire

/// Bytes of a few messages of groups, counted out by hand: the round trips of all messages would not notice a field in
/// the wrong place.
@Suite("Messages of groups, byte by byte")
struct GroupMessageTests {
    private static func bytes<Message: KafkaMessage>(_ message: Message, _ version: Int16) -> [UInt8] {
        Array(MessageTests.encoded(message, version: version).readableBytesView)
    }

    @Test("JoinGroup 0 has no rebalance timeout, 5 has it and an instance id, 9 is compact and says why")
    func joinGroup() {
        var request = JoinGroupRequest()
        request.groupID = "g"
        request.sessionTimeoutMs = 6000
        request.rebalanceTimeoutMs = 1
        request.memberID = "m"
        request.protocolType = "c"
        var range = JoinGroupRequest.AssignmentProtocol()
        range.name = "r"
        range.metadata = ByteBuffer(bytes: [7, 8])
        request.protocols = [range]
        let session: [UInt8] = [0, 0, 0x17, 0x70]
        let plain: [UInt8] = [0, 1, 0x63, 0, 0, 0, 1, 0, 1, 0x72, 0, 0, 0, 2, 7, 8]
        #expect(Self.bytes(request, 0) == [0, 1, 0x67] + session + [0, 1, 0x6D] + plain)
        request.groupInstanceID = "i"
        let five: [UInt8] = [0, 1, 0x67] + session + [0, 0, 0, 1, 0, 1, 0x6D, 0, 1, 0x69] + plain
        #expect(Self.bytes(request, 5) == five)
        request.reason = "y"
        let compact: [UInt8] = [2, 0x63, 2, 2, 0x72, 3, 7, 8, 0, 2, 0x79, 0]
        #expect(Self.bytes(request, 9) == [2, 0x67] + session + [0, 0, 0, 1, 2, 0x6D, 2, 0x69] + compact)
    }

    @Test("OffsetFetch has one group before version 8, many after it, and topic ids from 10 on")
    func offsetFetch() {
        var request = OffsetFetchRequest()
        request.groupID = "g"
        request.topics = nil
        #expect(Self.bytes(request, 2) == [0, 1, 0x67, 0xFF, 0xFF, 0xFF, 0xFF])
        #expect(Self.bytes(request, 7) == [2, 0x67, 0, 0, 0])
        var group = OffsetFetchRequest.Group()
        group.groupID = "g"
        var topic = OffsetFetchRequest.GroupTopic()
        topic.name = "t"
        topic.topicID = WireUUID(high: 1, low: 2)
        topic.partitionIndexes = [3]
        group.topics = [topic]
        request.groups = [group]
        request.requireStable = true
        #expect(Self.bytes(request, 8) == [2, 2, 0x67, 2, 2, 0x74, 2, 0, 0, 0, 3, 0, 0, 1, 0])
        let id: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2]
        let ten: [UInt8] = [2, 2, 0x67, 0, 0xFF, 0xFF, 0xFF, 0xFF, 2] + id + [2, 0, 0, 0, 3, 0, 0, 1, 0]
        #expect(Self.bytes(request, 10) == ten)
    }

    @Test("ConsumerGroupHeartbeat tells no change by null, and its answer may have no assignment")
    func consumerGroupHeartbeat() {
        var request = ConsumerGroupHeartbeatRequest()
        request.groupID = "g"
        request.memberID = "m"
        request.memberEpoch = 4
        let quiet: [UInt8] = [2, 0x67, 2, 0x6D, 0, 0, 0, 4, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0]
        #expect(Self.bytes(request, 0) == quiet + [0, 0, 0])
        #expect(Self.bytes(request, 1) == quiet + [0, 0, 0, 0])
        var response = ConsumerGroupHeartbeatResponse()
        response.memberID = "m"
        response.memberEpoch = 4
        response.heartbeatIntervalMs = 5000
        let head: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 2, 0x6D, 0, 0, 0, 4, 0, 0, 0x13, 0x88]
        #expect(Self.bytes(response, 1) == head + [0xFF, 0])
        response.assignment = .init()
        #expect(Self.bytes(response, 1) == head + [1, 1, 0, 0])
    }
}
