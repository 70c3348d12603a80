import ApusCore
import ApusGroups
import KafkaWire
import NIOCore

/// What a disk gives back of groups, and what their members say.
extension FuzzTarget {
    /// Records of `__consumer_offsets`, one behind the other as `key length, key, value length, value` (16 bits each,
    /// all ones for no value): a coordinator takes them, comes alive, serves, and lets its groups grow old.
    static let groupRecords = FuzzTarget(
        name: "grouprecords",
        isProportional: false,
        // A member or a position is a few hundred bytes of tables for a dozen on the disk.
        heapBytesMax: { (256 << 10) + $0 * 512 },
        seeds: { GroupSeeds.records },
        run: { bytes in
            var coordinator = GroupCoordinator()
            var rest = ByteBuffer(bytes: bytes)
            while let key = rest.readLengthPrefixed() {
                let value = rest.readLengthPrefixed()
                // What is no record is passed over, as a coordinator does.
                try? coordinator.load(GroupRecord(key: key, value: value))
            }
            GroupSeeds.live(&coordinator)
        }
    )

    /// Heartbeats of the consumer protocol, one behind the other in version 1, each with a second more on the clock.
    static let groupHeartbeats = FuzzTarget(
        name: "groupheartbeats",
        isProportional: false,
        heapBytesMax: { (256 << 10) + $0 * 512 },
        seeds: { GroupSeeds.heartbeats },
        run: { bytes in
            var coordinator = GroupCoordinator()
            var stage = GroupSeeds.Stage()
            stage.act(&coordinator) { $0.loaded(topics: GroupSeeds.Topics(), at: $1, into: &$2) }
            var reader = WireReader(ByteBuffer(bytes: bytes))
            while reader.remaining > 0,
                let request = try? ConsumerGroupHeartbeatRequest(from: &reader, version: 1)
            {
                let client = ClientIdentity(clientID: "c", host: "/h")
                let heartbeat = ConsumerGroupHeartbeat(request, version: 1, client: client)
                let token = stage.token()
                stage.act(&coordinator) {
                    $0.heartbeats([(heartbeat, token)], topics: GroupSeeds.Topics(), at: $1, into: &$2)
                }
            }
            precondition(stage.asked == stage.answered, "a heartbeat without an answer, or with two")
        }
    )
}

private enum GroupSeeds {
    struct Topics: SubscribableTopics {
        var version: Int64 { 1 }
        var count: Int { 1 }
        private let only = SubscribableTopic(id: TopicID(high: 1, low: 1), name: "t", partitionCount: 5)

        func topic(named name: String) -> SubscribableTopic? { name == "t" ? self.only : nil }
        func topic(id: TopicID) -> SubscribableTopic? { id == self.only.id ? self.only : nil }
        func forEachName(_ body: (String) -> Void) { body("t") }
        var rightsVersion: Int64 { 1 }
        func describable(by reader: TopicReader) -> (String) -> Bool { { _ in true } }
    }

    /// A clock, and a log that takes everything at once.
    struct Stage {
        var now = Moment(instant: Instant(nanoseconds: 1), wall: Timestamp(rawValue: 1))
        var asked = 0
        var answered = 0

        mutating func token() -> RequestToken {
            self.asked += 1
            return RequestToken(rawValue: UInt64(self.asked))
        }

        mutating func act(
            _ coordinator: inout GroupCoordinator, _ event: (inout GroupCoordinator, Moment, inout GroupActions) -> Void
        ) {
            var actions = GroupActions()
            event(&coordinator, self.now, &actions)
            self.answered += actions.replies.count
            while !actions.writes.isEmpty {
                var more = GroupActions()
                for write in actions.writes { coordinator.written(write.id, at: self.now, into: &more) }
                self.answered += more.replies.count
                actions = more
            }
            self.now.instant = self.now.instant.advanced(by: .seconds(1))
            self.now.wall.rawValue += 1000
        }
    }

    /// Serves what was loaded, and lets time pass until nothing is left that time takes away.
    static func live(_ coordinator: inout GroupCoordinator) {
        var stage = Stage()
        stage.act(&coordinator) { $0.loaded(topics: Topics(), at: $1, into: &$2) }
        for listing in (try? coordinator.list()) ?? [] {
            _ = try? coordinator.describe(listing.group)
            _ = try? coordinator.describeConsumerGroup(listing.group, topics: Topics())
        }
        for _ in 0..<20 {
            stage.act(&coordinator) { $0.tick(topics: Topics(), at: $1, into: &$2) }
            stage.now.instant = stage.now.instant.advanced(by: .seconds(24 * 3600))
        }
        let states = ((try? coordinator.list()) ?? []).map(\.state)
        precondition(states.allSatisfy { $0 == "Empty" }, "a member outlived its session")
    }

    // MARK: Seeds

    static var records: [[UInt8]] {
        var coordinator = GroupCoordinator()
        var stage = Stage()
        var log: [GroupRecord] = []
        func act(_ event: (inout GroupCoordinator, Moment, inout GroupActions) -> Void) {
            stage.act(&coordinator) { coordinator, now, actions in
                event(&coordinator, now, &actions)
                log += actions.writes.flatMap(\.records)
            }
        }
        act { $0.loaded(topics: Topics(), at: $1, into: &$2) }
        let commit = Positions.Commit(
            topic: "t", topicID: TopicID(high: 1, low: 1), partition: PartitionIndex(rawValue: 0), offset: .zero,
            leaderEpoch: .none, metadata: "m"
        )
        act {
            $0.commit(
                GroupID("tool"), [commit], as: MemberIdentity(member: .none), .none, RequestToken(rawValue: 1), at: $1,
                into: &$2
            )
        }
        for name in ["a", "b"] {
            act { $0.heartbeats([(joining(name), RequestToken(rawValue: 2))], topics: Topics(), at: $1, into: &$2) }
        }
        let image = ClassicImage(
            protocolType: "consumer", generation: Generation(rawValue: 3), protocolName: "range", leader: MemberID("m"),
            changedAt: Timestamp(rawValue: 1),
            members: [
                ClassicImage.Member(
                    id: MemberID("m"), instance: InstanceID("i"), client: ClientIdentity(clientID: "c", host: "/h"),
                    rebalanceTimeout: .seconds(60), sessionTimeout: .seconds(10),
                    subscription: ByteBuffer(string: "s"), assignment: ByteBuffer(string: "a")
                )
            ]
        )
        log.append(GroupFact.classic(GroupID("g"), image).record)
        var all = ByteBuffer()
        for record in log {
            all.writeLengthPrefixed(record.key)
            all.writeLengthPrefixed(record.value)
        }
        return [Array(all.readableBytesView)]
            + log.map { record in
                var one = ByteBuffer()
                one.writeLengthPrefixed(record.key)
                one.writeLengthPrefixed(record.value)
                return Array(one.readableBytesView)
            }
    }

    private static func joining(_ name: String) -> ConsumerGroupHeartbeat {
        var heartbeat = ConsumerGroupHeartbeat(
            group: GroupID("c"), member: MemberID(name), epoch: .join, client: ClientIdentity(clientID: "c", host: "/h")
        )
        heartbeat.topicNames = ["t"]
        heartbeat.topicPattern = "[a-z]+"
        heartbeat.rebalanceTimeout = .seconds(30)
        heartbeat.owned = .empty
        return heartbeat
    }

    static var heartbeats: [[UInt8]] {
        var join = ConsumerGroupHeartbeatRequest()
        join.groupID = "c"
        join.memberID = "a"
        join.rebalanceTimeoutMs = 30_000
        join.subscribedTopicNames = ["t"]
        join.subscribedTopicRegex = "(t|u)[0-9]*"
        join.topicPartitions = []
        var second = join
        second.memberID = "b"
        second.serverAssignor = "range"
        var plain = ConsumerGroupHeartbeatRequest()
        plain.groupID = "c"
        plain.memberID = "a"
        plain.memberEpoch = 1
        var leave = plain
        leave.memberEpoch = -1
        var writer = WireWriter()
        for request in [join, second, plain, leave] { request.encode(into: &writer, version: 1) }
        return [Array(writer.finishBody().readableBytesView)]
    }
}

extension ByteBuffer {
    fileprivate mutating func readLengthPrefixed() -> ByteBuffer? {
        guard let length = self.readInteger(as: UInt16.self), length != .max else { return nil }
        return self.readSlice(length: min(Int(length), self.readableBytes))
    }

    fileprivate mutating func writeLengthPrefixed(_ bytes: ByteBuffer?) {
        guard let bytes, bytes.readableBytes < Int(UInt16.max) else { return _ = self.writeInteger(UInt16.max) }
        self.writeInteger(UInt16(bytes.readableBytes))
        self.writeImmutableBuffer(bytes)
    }
}
