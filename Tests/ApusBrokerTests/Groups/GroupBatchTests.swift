import ApusCore
import DequeModule
import KafkaWire
import NIOCore
import Testing

@testable import ApusBroker
@testable import ApusGroups

@Suite("Batches of a coordinator's writes")
struct GroupBatchTests {
    /// A write of one classic group, whose members told so many bytes.
    private func write(_ number: UInt64, _ subscriptions: [Int]) -> GroupWrite {
        var image = ClassicImage(
            protocolType: "consumer", generation: Generation(rawValue: 1), protocolName: "range", leader: nil,
            changedAt: .none)
        image.members = subscriptions.map { bytes in
            ClassicImage.Member(
                id: MemberID("m"), instance: nil, client: ClientIdentity(clientID: "c", host: "/10.0.0.1"),
                rebalanceTimeout: .seconds(30), sessionTimeout: .seconds(10),
                subscription: ByteBuffer(repeating: 7, count: bytes), assignment: ByteBuffer())
        }
        return GroupWrite(id: GroupWriteID(rawValue: number), facts: [.classic(GroupID("g\(number)"), image)])
    }

    @Test("a write with a record that is too long for any frame has a batch of its own, which is none")
    func overlong() throws {
        let half = WireLimits.frameBytesWrittenMax / 2
        var queue: Deque = [self.write(1, [5]), self.write(2, [half, half]), self.write(3, [5]), self.write(4, [5])]
        var taken: [([UInt64], Int?)] = []
        while !queue.isEmpty {
            let (writes, records) = GroupBatch.take(from: &queue, at: Timestamp(rawValue: 0))
            let count = try records.map { Int(try RecordBatchHeader(from: $0).recordCount) }
            taken.append((writes.map(\.id.rawValue), count))
        }
        #expect(taken.map(\.0) == [[1], [2], [3, 4]])
        #expect(taken.map(\.1) == [1, nil, 2])
    }
}
