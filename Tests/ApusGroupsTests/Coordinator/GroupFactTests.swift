import ApusCore
import KafkaWire
import NIOCore
import Testing

@testable import ApusGroups

@Suite("Records of __consumer_offsets")
struct GroupFactTests {
    private static func hex(_ text: String) -> ByteBuffer {
        let digits = Array(text.filter { $0 != " " })
        return ByteBuffer(
            bytes: stride(from: 0, to: digits.count, by: 2).compactMap {
                UInt8(String(digits[$0...($0 + 1)]), radix: 16)
            }
        )
    }

    private static let key = PositionKey(group: GroupID("g"), topic: "t", partition: PartitionIndex(rawValue: 7))

    private static let image = ClassicImage(
        protocolType: "consumer", generation: Generation(rawValue: 5), protocolName: "range", leader: MemberID("m"),
        changedAt: Timestamp(rawValue: 9),
        members: [
            ClassicImage.Member(
                id: MemberID("m"), instance: InstanceID("i"), client: ClientIdentity(clientID: "c", host: "/h"),
                rebalanceTimeout: .milliseconds(3), sessionTimeout: .milliseconds(2),
                subscription: ByteBuffer(bytes: [1]), assignment: ByteBuffer(bytes: [2, 3])
            )
        ]
    )

    @Test("a position's record is Kafka's, byte by byte, in each version that is written")
    func positionBytes() throws {
        var position = Position(
            offset: Offset(rawValue: 258), leaderEpoch: Epoch(rawValue: 4), metadata: "x",
            committedAt: Timestamp(rawValue: 10)
        )
        let key = Self.hex("0001 0001 67 0001 74 00000007")
        #expect(GroupFact.position(Self.key, position).record.key == key)
        let three = Self.hex("0003 0000000000000102 00000004 0001 78 000000000000000A")
        #expect(GroupFact.position(Self.key, position).record.value == three)
        position.topic = TopicID(high: 1, low: 2)
        let four = Self.hex(
            "0004 0000000000000102 00000004 02 78 000000000000000A 01 00 10 0000000000000001 0000000000000002"
        )
        #expect(GroupFact.position(Self.key, position).record.value == four)
        #expect(try GroupFact(GroupRecord(key: key, value: four)) == .position(Self.key, position))
        position.topic = .none
        #expect(try GroupFact(GroupRecord(key: key, value: three)) == .position(Self.key, position))
        position.leaderEpoch = .none
        position.expiresAt = Timestamp(rawValue: 11)
        // Only read: it has room for the expiry, and none for the topic's id and the epoch.
        let one = Self.hex("0001 0000000000000102 0001 78 000000000000000A 000000000000000B")
        #expect(try GroupFact(GroupRecord(key: key, value: one)) == .position(Self.key, position))
        // Versions that are only read: 0 and 2 have neither epoch nor expiry; -1 is no expiry.
        position.expiresAt = nil
        for version in ["0000", "0002"] {
            let old = Self.hex("\(version) 0000000000000102 0001 78 000000000000000A")
            #expect(try GroupFact(GroupRecord(key: key, value: old)) == .position(Self.key, position))
        }
        let none = Self.hex("0001 0000000000000102 0001 78 000000000000000A FFFFFFFFFFFFFFFF")
        #expect(try GroupFact(GroupRecord(key: key, value: none)) == .position(Self.key, position))
        var legacy = key
        legacy.setInteger(0 as Int16, at: 0)
        #expect(try GroupFact(GroupRecord(key: legacy, value: nil)) == .position(Self.key, nil))
    }

    @Test("a position whose client says when it expires keeps its epoch and its topic's id")
    func ownExpiry() throws {
        var position = Position(
            offset: Offset(rawValue: 258), leaderEpoch: Epoch(rawValue: 4), metadata: "x",
            committedAt: Timestamp(rawValue: 10), expiresAt: Timestamp(rawValue: 11), topic: TopicID(high: 1, low: 2)
        )
        let head = "0004 0000000000000102 00000004 02 78 000000000000000A"
        let both = Self.hex(
            "\(head) 02 00 10 0000000000000001 0000000000000002 80FA01 08 000000000000000B")
        #expect(GroupFact.position(Self.key, position).record.value == both)
        #expect(try GroupFact(GroupFact.position(Self.key, position).record) == .position(Self.key, position))
        position.topic = .none
        let alone = Self.hex("\(head) 01 80FA01 08 000000000000000B")
        #expect(GroupFact.position(Self.key, position).record.value == alone)
        #expect(try GroupFact(GroupFact.position(Self.key, position).record) == .position(Self.key, position))
    }

    @Test("a group's record is Kafka's, byte by byte")
    func groupBytes() throws {
        let fact = GroupFact.classic(GroupID("g"), Self.image)
        let record = fact.record
        #expect(record.key == Self.hex("0002 0001 67"))
        let head = "0008 636F6E73756D6572 00000005 0005 72616E6765 0001 6D"
        let tail = "00000001 01 00000002 0203"
        let three = "0003 \(head) 0000000000000009 00000001 0001 6D 0001 69 0001 63 0002 2F68 00000003 00000002 \(tail)"
        #expect(record.value == Self.hex(three))
        #expect(try GroupFact(record) == fact)
        #expect(try GroupFact(GroupRecord(key: record.key, value: nil)) == .classic(GroupID("g"), nil))
        // Older versions lack the instance id, the time of the change, the rebalance timeout.
        var old = Self.image
        old.members[0].instance = nil
        let two = "0002 \(head) 0000000000000009 00000001 0001 6D 0001 63 0002 2F68 00000003 00000002 \(tail)"
        #expect(try GroupFact(GroupRecord(key: record.key, value: Self.hex(two))) == .classic(GroupID("g"), old))
        old.changedAt = .none
        let one = "0001 \(head) 00000001 0001 6D 0001 63 0002 2F68 00000003 00000002 \(tail)"
        #expect(try GroupFact(GroupRecord(key: record.key, value: Self.hex(one))) == .classic(GroupID("g"), old))
        old.members[0].rebalanceTimeout = .milliseconds(2)
        let zero = "0000 \(head) 00000001 0001 6D 0001 63 0002 2F68 00000002 \(tail)"
        #expect(try GroupFact(GroupRecord(key: record.key, value: Self.hex(zero))) == .classic(GroupID("g"), old))
        let four =
            "0004 09 636F6E73756D6572 00000005 06 72616E6765 02 6D 0000000000000009 02 02 6D 02 69 02 63 03 2F68"
            + "00000003 00000002 02 01 03 0203 00 00"
        #expect(try GroupFact(GroupRecord(key: record.key, value: Self.hex(four))) == fact)
    }

    @Test("a group without members keeps its generation")
    func emptyGroup() throws {
        let image = ClassicImage(
            protocolType: "consumer", generation: Generation(rawValue: 8), changedAt: Timestamp(rawValue: 1)
        )
        let fact = GroupFact.classic(GroupID("g"), image)
        #expect(try GroupFact(fact.record) == fact)
        var coordinator = GroupCoordinator()
        try coordinator.load(fact.record)
        var actions = GroupActions()
        coordinator.loaded(
            topics: FakeTopics(), at: Moment(instant: Instant(nanoseconds: 0), wall: .none), into: &actions
        )
        #expect(coordinator.classic[GroupID("g")]?.generation.rawValue == 8)
    }

    @Test("keys of other kinds and values of later versions are named")
    func otherRecords() {
        for version in [3, 5, 8, 99, -1] as [Int16] {
            var key = ByteBuffer(integer: version)
            key.writeString("anything")
            #expect(throws: GroupRecordError.otherKey(version: version)) {
                try GroupFact(GroupRecord(key: key, value: nil))
            }
        }
        for version in [5, 99, -1] as [Int16] {
            let value = ByteBuffer(integer: version)
            for key in [Self.key.encoded, GroupKey.encoded(GroupID("g"))] {
                #expect(throws: GroupRecordError.otherValue(version: version)) {
                    try GroupFact(GroupRecord(key: key, value: value))
                }
            }
        }
    }

    @Test("any bytes give a fact or an error, and a coordinator that goes on", arguments: 0..<100 as Range<UInt64>)
    func hostile(seed: UInt64) throws {
        var generator = SplitMix(seed: seed)
        let position = Position(
            offset: .zero, leaderEpoch: .none, metadata: "meta", committedAt: .none, topic: TopicID(high: 1, low: 2)
        )
        let valid = [GroupFact.position(Self.key, position).record, GroupFact.classic(GroupID("g"), Self.image).record]
        var coordinator = GroupCoordinator()
        var taken = 0
        for round in 0..<300 {
            var record = valid[round % 2]
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                Self.change(&record.key, &generator)
                if var value = record.value {
                    Self.change(&value, &generator)
                    record.value = value
                }
            }
            if (try? coordinator.load(record)) != nil { taken += 1 }
        }
        #expect(taken > 0)
        var now = Moment(instant: Instant(nanoseconds: 1), wall: Timestamp(rawValue: 1))
        var loaded = GroupActions()
        coordinator.loaded(topics: FakeTopics(), at: now, into: &loaded)
        for _ in 0..<20 {
            var actions = GroupActions()
            coordinator.tick(topics: FakeTopics(), at: now, into: &actions)
            for write in actions.writes { coordinator.written(write.id, at: now, into: &actions) }
            now.instant = now.instant.advanced(by: .seconds(3600))
        }
        #expect(try coordinator.list().allSatisfy { $0.state == "Empty" }, "everybody's session has ended")
    }

    private static func change(_ bytes: inout ByteBuffer, _ generator: inout SplitMix) {
        guard Bool.random(using: &generator) else { return }
        let at = Int.random(in: 0..<max(bytes.readableBytes, 1), using: &generator)
        if Int.random(in: 0..<10, using: &generator) == 0 {
            bytes = bytes.getSlice(at: 0, length: min(at, bytes.readableBytes)) ?? bytes
        } else {
            bytes.setInteger(UInt8.random(in: 0...255, using: &generator), at: at)
        }
    }
}
