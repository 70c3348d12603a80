import ApusCore
import Testing

@testable import ApusGroups

/// What keeps positions alive, and what may not take them away.
@Suite("When positions expire")
struct ExpiryTests {
    private static let hour = Duration.seconds(3600)

    /// A day is kept, and a coordinator that was loaded waits for nobody.
    private func stage(grace: Duration = .zero) -> GroupStage {
        GroupStage {
            $0.offsetsRetention = Self.hour * 24
            $0.expiryGrace = grace
        }
    }

    // MARK: Groups of the consumer protocol

    @discardableResult
    private func heartbeat(
        _ stage: GroupStage, _ epoch: Int32, _ group: GroupID = GroupStage.group
    ) throws -> ConsumerGroupHeartbeatReply {
        var request = ConsumerGroupHeartbeat(
            group: group, member: MemberID("m"), epoch: GroupEpoch(rawValue: epoch),
            client: ClientIdentity(clientID: "c", host: "/h")
        )
        if epoch == 0 {
            request.topicNames = ["t"]
            request.rebalanceTimeout = .seconds(30)
            request.owned = .empty
        }
        let token = stage.token()
        stage.act { $0.heartbeats([(request, token)], topics: FakeTopics(["t": 1]), at: $1, into: &$2) }
        guard case .consumer(let result) = try #require(stage.replies[token]) else {
            throw GroupStage.Wrong(reply: stage.replies[token])
        }
        return try result.get()
    }

    /// A member that committed once, and then was there for a day and two hours.
    private func oldCommit(_ stage: GroupStage) throws {
        let epoch = try self.heartbeat(stage, 0).epoch.rawValue
        #expect(stage.committed(stage.commit(7, MemberID("m"), epoch)) == [nil])
        for _ in 0..<(26 * 90) {
            stage.wait(.seconds(40))
            try self.heartbeat(stage, epoch)
        }
        #expect(stage.position() != nil, "a member is subscribed")
    }

    @Test("a consumer group that was left keeps its positions for the whole retention, however old they are")
    func left() throws {
        let stage = self.stage()
        try self.oldCommit(stage)
        try self.heartbeat(stage, -1)
        stage.wait(Self.hour * 24 - .seconds(1))
        #expect(stage.position() != nil)
        stage.wait(.seconds(1202))
        #expect(stage.position() == nil)
        #expect(try stage.coordinator.list().isEmpty, "and with the last of them the group goes")
        #expect(stage.coordinator.emptySince.isEmpty)
    }

    @Test("the next coordinator knows when the group was left", arguments: [true, false])
    func leftAndLoaded(knowsTime: Bool) throws {
        let stage = self.stage()
        try self.oldCommit(stage)
        try self.heartbeat(stage, -1)
        stage.wait(Self.hour * 12)
        if !knowsTime { stage.forgetTimes() }
        try stage.restart()
        stage.wait(Self.hour * 12 - .seconds(1))
        #expect(stage.position() != nil)
        stage.wait(.seconds(1202))
        // Without times in the log, the group counts as left when it was loaded.
        #expect((stage.position() == nil) == knowsTime)
        stage.wait(Self.hour * 12)
        #expect(stage.position() == nil)
    }

    @Test("a member whose session ends leaves its group's positions for the whole retention too")
    func silent() throws {
        let stage = self.stage()
        try self.oldCommit(stage)
        stage.wait(Self.hour * 24)
        #expect(stage.position() != nil)
        stage.wait(.seconds(1300))
        #expect(stage.position() == nil)
    }

    @Test("a classic member that only looked in does not shorten what a consumer group left")
    func otherProtocol() throws {
        let stage = self.stage()
        try self.oldCommit(stage)
        try self.heartbeat(stage, -1)
        let request = stage.request()
        let joined = try stage.joined(stage.join(request))
        #expect(stage.left(stage.leave(MemberIdentity(member: joined.member))) == [nil])
        #expect(stage.coordinator.classic.isEmpty)
        stage.wait(Self.hour * 23)
        #expect(stage.position() != nil)
        stage.wait(Self.hour * 2)
        #expect(stage.position() == nil)
    }

    // MARK: Classic groups

    @Test("a classic group whose end could not be written is empty all the same, and it is written later")
    func emptiedAgain() throws {
        let stage = self.stage()
        let request = stage.request(session: .seconds(1800))
        let id = try stage.settle([request])[0].member
        _ = stage.commit(7, id, 1)
        for _ in 0..<60 {
            stage.wait(.seconds(1750))
            #expect(stage.heartbeat(id, 1) == nil)
        }
        stage.holdsWrites = true
        _ = stage.leave(MemberIdentity(member: id))
        stage.failOne()
        let left = stage.now.wall
        stage.holdsWrites = false
        let before = stage.log.count
        stage.wait(.seconds(700))
        #expect(stage.position() != nil, "it was left just now, whatever the last record says")
        #expect(stage.log.count == before + 1, "one more try")
        #expect(stage.coordinator.classic[GroupStage.group]?.image?.members == [])
        #expect(stage.coordinator.classic[GroupStage.group]?.image?.changedAt == left)
        try stage.restart()
        #expect(stage.state == "Empty")
        stage.wait(Self.hour * 24 - .seconds(702))
        #expect(stage.position() != nil)
        stage.wait(.seconds(1300))
        #expect(stage.position() == nil)
    }

    @Test("a group whose end could not be written and that somebody joined again is left alone")
    func emptiedAndJoined() throws {
        let stage = self.stage()
        let request = stage.request(session: .seconds(1800))
        let id = try stage.settle([request])[0].member
        stage.holdsWrites = true
        _ = stage.leave(MemberIdentity(member: id))
        stage.failOne()
        stage.holdsWrites = false
        let next = stage.request(session: .seconds(1800))
        let back = try stage.settle([next])[0]
        let before = stage.log.count
        stage.wait(.seconds(60))
        #expect(stage.log.count == before)
        #expect(stage.heartbeat(back.member, back.generation.rawValue) == nil)
    }

    // MARK: Clocks

    @Test("a wall clock that jumps ahead ends nothing")
    func jump() {
        let stage = self.stage()
        _ = stage.commit(1)
        stage.now.wall = stage.now.wall.later(by: Self.hour * 24 * 8)
        stage.now.wallLead = Self.hour * 24 * 8
        stage.wait(Self.hour * 23)
        #expect(stage.position() != nil)
        stage.wait(Self.hour * 2)
        #expect(stage.position() == nil, "when its day is really over it goes")
    }

    @Test("the time of retention is the wall clock's, less what that is ahead")
    func moment() {
        let wall = Timestamp(rawValue: 10_000)
        let now = Instant(nanoseconds: 1)
        #expect(Moment(instant: now, wall: wall).retention == wall)
        #expect(Moment(instant: now, wall: wall, retention: Timestamp(rawValue: 4000)).retention.rawValue == 4000)
    }

    @Test("after a start nothing expires before groups had time to come back")
    func grace() throws {
        let stage = self.stage(grace: Self.hour * 2)
        _ = stage.commit(1)
        stage.now.wall = stage.now.wall.later(by: Self.hour * 48)
        stage.now.instant = stage.now.instant.advanced(by: Self.hour * 48)
        try stage.restart()
        stage.wait(Self.hour * 2 - .seconds(1))
        #expect(stage.position() != nil)
        _ = stage.commit(1, group: GroupID("other"))
        stage.wait(.seconds(700))
        #expect(stage.position() == nil)
        #expect(stage.position(group: GroupID("other")) != nil)
    }

    // MARK: Commits on their way

    @Test("a position that is just being committed does not expire")
    func commitUnderWay() {
        let stage = self.stage()
        _ = stage.commit(1, partition: 0)
        _ = stage.commit(1, partition: 1)
        stage.wait(Self.hour * 24 - .seconds(1))
        stage.holdsWrites = true
        let commit = stage.commit(2, partition: 0)
        stage.wait(.seconds(1200))
        stage.release()
        #expect(stage.committed(commit) == [nil])
        #expect(stage.position(0)?.offset.rawValue == 2, "told that it is committed, so it is")
        #expect(stage.position(1) == nil)
    }

    @Test("a group does not end while its next position is on its way")
    func newCommitUnderWay() throws {
        let stage = self.stage()
        let request = stage.request()
        let id = try stage.settle([request])[0].member
        _ = stage.leave(MemberIdentity(member: id))
        stage.wait(.seconds(300))
        stage.holdsWrites = true
        let commit = stage.commit(2)
        stage.wait(.seconds(1200))
        stage.release()
        #expect(stage.committed(commit) == [nil])
        #expect(stage.position()?.offset.rawValue == 2)
        #expect(stage.coordinator.classic[GroupStage.group] != nil)
    }

    @Test("a deletion takes what is on its way with it", arguments: ["group", "positions", "topic"])
    func deletion(what: String) throws {
        let stage = self.stage()
        _ = stage.commit(1, partition: 0)
        _ = stage.commit(1, partition: 0, group: GroupID("other"))
        stage.holdsWrites = true
        let commits = [stage.commit(2, partition: 0), stage.commit(3, partition: 1)]
        let token = stage.token()
        stage.act { coordinator, now, actions in
            switch what {
            case "group": coordinator.delete(GroupStage.group, token, at: now, into: &actions)
            case "positions":
                let partitions = [0, 1, 2].map { (topic: "t", partition: PartitionIndex(rawValue: $0)) }
                try? coordinator.deletePositions(GroupStage.group, partitions, token, at: now, into: &actions)
            default: coordinator.topicDeleted("t", TopicID(high: 1, low: 1), into: &actions)
            }
        }
        stage.release()
        for commit in commits { #expect(stage.committed(commit) == [nil]) }
        #expect(stage.coordinator.positions.count(of: GroupStage.group) == 0)
        #expect(stage.coordinator.positions.count(of: GroupID("other")) == (what == "topic" ? 0 : 1))
        switch what {
        case "group": #expect(stage.replies[token] == .deleted(nil))
        case "positions": #expect(stage.replies[token] == .positionsDeleted([nil, nil, nil]))
        default: #expect(stage.isOpen(token))
        }
        try stage.restart()
        #expect(stage.coordinator.positions.count(of: GroupStage.group) == 0)
    }

    @Test("a group of one position that is on its way can be deleted, and once at a time")
    func deleteFirstCommit() {
        let stage = self.stage()
        stage.holdsWrites = true
        let commit = stage.commit(1)
        let first = stage.delete()
        let second = stage.delete()
        #expect(stage.replies[second] == .deleted(.unavailable))
        stage.release()
        #expect(stage.committed(commit) == [nil])
        #expect(stage.replies[first] == .deleted(nil))
        #expect(stage.coordinator.positions.count == 0)
        stage.holdsWrites = false
        let third = stage.delete()
        #expect(stage.replies[third] == .deleted(.groupNotFound))
        #expect(stage.committed(stage.commit(2)) == [nil])
        let fourth = stage.delete()
        #expect(stage.replies[fourth] == .deleted(nil))
    }

    @Test("a deletion that failed can be asked for again")
    func failedDeletion() {
        let stage = self.stage()
        _ = stage.commit(1)
        stage.holdsWrites = true
        let first = stage.delete()
        stage.failOne()
        #expect(stage.replies[first] == .deleted(.unavailable))
        stage.holdsWrites = false
        let again = stage.delete()
        #expect(stage.replies[again] == .deleted(nil))
    }

    @Test("whatever is in flight, what was told as committed last stands unless it was deleted", arguments: 0..<40)
    func anyOrder(seed: UInt64) throws {
        var generator = SplitMix(seed: seed)
        let stage = self.stage()
        stage.holdsWrites = true
        /// What the newest request about each partition wants there to be.
        var wanted: [Int32: Int64] = [:]
        var failed = false
        for step in 1...200 as ClosedRange<Int64> {
            let partition = Int32.random(in: 0..<4, using: &generator)
            switch Int.random(in: 0..<20, using: &generator) {
            case 0..<9:
                _ = stage.commit(step, partition: partition)
                wanted[partition] = step
            case 9, 10:
                let token = stage.token()
                let one = [(topic: "t", partition: PartitionIndex(rawValue: partition))]
                stage.act { try? $0.deletePositions(GroupStage.group, one, token, at: $1, into: &$2) }
                wanted[partition] = nil
            case 11:
                stage.act { coordinator, _, actions in
                    coordinator.topicDeleted("t", TopicID(high: 1, low: 1), into: &actions)
                }
                wanted = [:]
            case 12: stage.wait(.seconds(Int.random(in: 1...900, using: &generator)))
            default: stage.release(Int.random(in: 1...3, using: &generator))
            }
            failed = failed || stage.held.count > 100
        }
        stage.release()
        #expect(!failed)
        for partition in 0..<4 as Range<Int32> {
            #expect(stage.position(partition)?.offset.rawValue == wanted[partition], "partition \(partition)")
        }
        try stage.restart()
        for partition in 0..<4 as Range<Int32> {
            #expect(stage.position(partition)?.offset.rawValue == wanted[partition])
        }
    }
}
