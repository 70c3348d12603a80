import ApusCore
import ApusFakes
import NIOCore
import Testing

@testable import ApusGroups

@Suite("Records of consumer groups")
struct ConsumerGroupRecordTests {
    private static let group = GroupID("g")
    private static let topic = TopicID(high: 0x0102_0304_0506_0708, low: 0x090A_0B0C_0D0E_0F10)

    private static func partition(_ index: Int32) -> TopicPartition {
        TopicPartition(topic: self.topic, partition: PartitionIndex(rawValue: index))
    }

    private func hex(_ bytes: ByteBuffer?) -> String {
        guard let bytes else { return "null" }
        return bytes.readableBytesView.map { byte in
            let digits = String(byte, radix: 16)
            return digits.count == 1 ? "0" + digits : digits
        }.joined()
    }

    /// The example of each type, and its bytes by Kafka's schema.
    static var examples: [(ConsumerGroupRecord, key: String, value: String)] {
        let id = "0102030405060708090a0b0c0d0e0f10"
        var profile = ConsumerMember.Profile()
        profile.instance = InstanceID("i")
        profile.client = ClientIdentity(clientID: "c", host: "/h")
        profile.topicNames = ["t"]
        profile.rebalanceTimeout = .seconds(5)
        var current = ConsumerMember.Current()
        current.state = .unrevoked
        current.epoch = GroupEpoch(rawValue: 7)
        current.previousEpoch = GroupEpoch(rawValue: 6)
        current.assigned = [self.partition(1), self.partition(2)]
        current.assignedAt = [GroupEpoch(rawValue: 6), GroupEpoch(rawValue: 7)]
        current.revoking = [self.partition(3)]
        let time = Timestamp(rawValue: 9)
        return [
            (.group(self.group, .init(epoch: GroupEpoch(rawValue: 5))), "0003000167", "00000000000500"),
            (
                .group(self.group, .init(epoch: GroupEpoch(rawValue: 5), metadataHash: 1)), "0003000167",
                "00000000000501" + "0008" + "0000000000000001"
            ),
            (
                .partitionMetadata(self.group, [SubscribableTopic(id: self.topic, name: "t", partitionCount: 3)]),
                "0004000167", "000002\(id)0274" + "000000030100" + "00"
            ),
            (
                .member(self.group, member: MemberID("m"), profile), "000500016700016d",
                "0000" + "0269" + "00" + "0263" + "032f68" + "020274" + "00" + "00001388" + "00" + "00"
            ),
            (
                .target(self.group, .init(epoch: GroupEpoch(rawValue: 5), computedAt: time)), "0006000167",
                "000000000005" + "01" + "0008" + "0000000000000009"
            ),
            (
                .targetMember(self.group, member: MemberID("m"), [self.partition(4)]), "000700016700016d",
                "000002\(id)0200000004" + "00" + "00"
            ),
            (
                .currentAssignment(self.group, member: MemberID("m"), current), "000800016700016d",
                "00000000000700000006" + "01" + "02\(id)030000000100000002" + "0100" + "09030000000600000007"
                    + "02\(id)0200000003" + "00" + "00"
            ),
            (
                .pattern(self.group, pattern: "t.*", .init(topicNames: ["t"], version: 2, resolvedAt: time)),
                "00100001670003742e2a", "0000" + "020274" + "0000000000000002" + "0000000000000009" + "00"
            ),
        ]
    }

    @Test("each type has Kafka's own bytes, and is read back as it was", arguments: 0..<8)
    func bytes(index: Int) throws {
        let (record, key, value) = Self.examples[index]
        #expect(self.hex(record.key) == key)
        #expect(self.hex(record.value) == value)
        #expect(try ConsumerGroupRecord(record.encoded) == record)
    }

    @Test("a tombstone of each type is read back as one", arguments: 0..<8)
    func tombstones(index: Int) throws {
        let record = Self.examples[index].0
        let read = try #require(try ConsumerGroupRecord(GroupRecord(key: record.key, value: nil)))
        #expect(read.isTombstone)
        #expect(read.key == record.key)
        #expect(read.value == nil)
    }

    @Test("keys of other types are not ours", arguments: [0, 1, 2, 9, 15, 17, -1] as [Int16])
    func otherTypes(type: Int16) throws {
        var key = ByteBuffer()
        key.writeInteger(type)
        key.writeBytes([0, 1, 0x67])
        #expect(try ConsumerGroupRecord(GroupRecord(key: key, value: nil)) == nil)
    }

    @Test("a value of a later version says so")
    func laterVersion() {
        let record = Self.examples[0].0
        #expect(throws: ConsumerGroupRecordError.unknownVersion(keyType: 3, version: 1)) {
            try ConsumerGroupRecord(GroupRecord(key: record.key, value: ByteBuffer(bytes: [0, 1, 9, 9])))
        }
    }

    @Test("records of classic members, racks and later fields are read over")
    func foreign() throws {
        let key = ConsumerGroupRecord.member(Self.group, member: MemberID("m"), nil).key
        // Behind the fields: tag 0 with a classic member, and an unknown tag 5.
        let value =
            "0000" + "00" + "00" + "0263" + "032f68" + "01" + "00" + "ffffffff" + "00" + "02" + "0003010203" + "0500"
        let record = try ConsumerGroupRecord(GroupRecord(key: key, value: Self.bytes(value)))
        guard case .member(_, _, let profile?) = record else {
            Issue.record("\(String(describing: record))")
            return
        }
        #expect(profile.client.host == "/h")
        let topics = ConsumerGroupRecord.partitionMetadata(Self.group, nil).key
        let racks =
            "000002" + "0102030405060708090a0b0c0d0e0f10" + "0274" + "00000001" + "02" + "00000000" + "020272" + "00"
            + "00" + "00"
        guard
            case .partitionMetadata(_, let found?) = try ConsumerGroupRecord(
                GroupRecord(key: topics, value: Self.bytes(racks)))
        else {
            Issue.record("no topics")
            return
        }
        #expect(found.map(\.partitionCount) == [1])
    }

    private static func bytes(_ hex: String) -> ByteBuffer {
        var buffer = ByteBuffer()
        var rest = hex[...]
        while !rest.isEmpty {
            buffer.writeInteger(UInt8(rest.prefix(2), radix: 16) ?? 0)
            rest = rest.dropFirst(2)
        }
        return buffer
    }

    @Test("epochs of an assignment that do not fit its partitions count as the member's own")
    func oddEpochs() throws {
        var current = ConsumerMember.Current()
        current.epoch = GroupEpoch(rawValue: 7)
        current.assigned = [Self.partition(1), Self.partition(2)]
        current.assignedAt = [GroupEpoch(rawValue: 3)]
        let record = ConsumerGroupRecord.currentAssignment(Self.group, member: MemberID("m"), current)
        guard case .currentAssignment(_, _, let read?) = try ConsumerGroupRecord(record.encoded) else {
            Issue.record("not read")
            return
        }
        #expect(read.assignedAt == [GroupEpoch(rawValue: 7), GroupEpoch(rawValue: 7)])
    }

    @Test(
        "damaged bytes are an error or another record, never a trap; and whatever they say can be applied",
        arguments: 0..<8)
    func damaged(index: Int) throws {
        let record = Self.examples[index].0
        var read = 0
        for seed in 0..<2000 {
            var dice = SplitMix64(seed: UInt64(seed))
            var bytes = Array((record.value ?? ByteBuffer()).readableBytesView)
            for _ in 0..<1 + dice.below(4) {
                switch dice.below(3) {
                case 0: if !bytes.isEmpty { bytes[dice.below(bytes.count)] = UInt8(truncatingIfNeeded: dice.next()) }
                case 1: bytes = Array(bytes.prefix(dice.below(bytes.count + 1)))
                default: bytes.insert(UInt8(truncatingIfNeeded: dice.next()), at: dice.below(bytes.count + 1))
                }
            }
            let damaged = GroupRecord(key: record.key, value: ByteBuffer(bytes: bytes))
            guard let other = try? ConsumerGroupRecord(damaged) else { continue }
            read += 1
            var bench = GroupBench()
            bench.groups.apply(other)
            _ = bench.groups.loaded(now: bench.now, wall: bench.wall, topics: bench.topics)
            bench.join("m")
            bench.pass(.seconds(100))
            let group = try #require(bench.groups[Self.group])
            #expect(group.isEmpty)
            #expect(group.owners.isEmpty)
        }
        #expect(read > 0)
    }

    @Test("a log in which compaction left things out of order gives the same group")
    func compacted() throws {
        var bench = GroupBench(["orders": 6])
        bench.join("a", instance: "i")
        bench.join("b")
        bench.beat("a", 1)
        bench.beat("a", 1, owned: "orders/0 orders/1 orders/2")
        bench.beat("b", 2)
        bench.leave("a", instance: "i", comesBack: true)
        bench.join("a2", [], pattern: "o.*", instance: "i")
        bench.send(GroupBench.request("b", 2) { $0.rack = "r" })
        bench.change("orders", 8)
        bench.beat("b", 2, owned: "orders/3 orders/4 orders/5")
        bench.join("c")
        // Only the last record of each key, where it stood.
        var last: [ByteBuffer: Int] = [:]
        for (index, record) in bench.log.enumerated() { last[record.key] = index }
        var groups = ConsumerGroups()
        for (index, record) in bench.log.enumerated() where last[record.key] == index {
            if let record = try ConsumerGroupRecord(record) { groups.apply(record) }
        }
        #expect(DurableGroup(groups[Self.group]) == DurableGroup(bench.group))
        // And without the tombstones that have had their time.
        groups = ConsumerGroups()
        for (index, record) in bench.log.enumerated() where last[record.key] == index && record.value != nil {
            if let record = try ConsumerGroupRecord(record) { groups.apply(record) }
        }
        #expect(DurableGroup(groups[Self.group]) == DurableGroup(bench.group))
    }
}
