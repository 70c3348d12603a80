import ApusCore
import NIOCore
import Testing

@testable import ApusGroups

@Suite("Assignments, heartbeats and leaving")
struct ClassicSyncTests {
    // MARK: Sync

    @Test("followers wait for the leader, and nobody is told anything before it is written")
    func waitsForWrite() throws {
        let stage = GroupStage()
        let requests = [stage.request(), stage.request(), stage.request()]
        var tokens = requests.map { stage.join($0) }
        let first = stage.request(try stage.joined(tokens[0]).member)
        tokens[0] = stage.join(first)
        let joined = try tokens.map { try stage.joined($0) }
        stage.holdsWrites = true
        let early = stage.sync(joined[1].member, 2)
        let leading = stage.sync(joined[0].member, 2, [joined[0].member: "A", joined[1].member: "B"])
        let late = stage.sync(joined[2].member, 2)
        for token in [early, leading, late] { #expect(stage.isOpen(token)) }
        #expect(stage.state == "CompletingRebalance")
        #expect(stage.held.count == 1)
        stage.release()
        #expect(try stage.synced(leading) == "A")
        #expect(try stage.synced(early) == "B")
        #expect(try stage.synced(late) == "", "who is not named gets nothing")
        #expect(stage.state == "Stable")
        #expect(try stage.synced(stage.sync(joined[1].member, 2)) == "B", "and again, should the answer be lost")
        #expect(stage.log.count == 1)
    }

    @Test("a write that fails is told to those who wait; the generation stands, and the leader may try again")
    func failedWrite() throws {
        let stage = GroupStage()
        let request = stage.request()
        let joined = try stage.joined(stage.join(request))
        stage.holdsWrites = true
        let failed = stage.sync(joined.member, 1, [joined.member: "A"])
        stage.failOne()
        #expect(stage.syncError(failed) == .unavailable)
        #expect(stage.heartbeat(joined.member, 1) == nil)
        let again = stage.sync(joined.member, 1, [joined.member: "B"])
        stage.release()
        #expect(try stage.synced(again) == "B")
    }

    @Test("an assignment that is written after its generation ended is kept from everybody")
    func lateWrite() throws {
        let stage = GroupStage()
        let request = stage.request()
        let joined = try stage.joined(stage.join(request))
        stage.holdsWrites = true
        let sync = stage.sync(joined.member, 1, [joined.member: "A"])
        let other = stage.request()
        let waiting = stage.join(other)
        #expect(stage.syncError(sync) == .rebalanceInProgress)
        stage.release()
        #expect(stage.state == "PreparingRebalance")
        #expect(stage.isOpen(waiting))
        let again = stage.request(joined.member)
        #expect(try stage.joined(stage.join(again)).generation.rawValue == 2)
    }

    @Test("what a sync may be refused for")
    func refusedSyncs() throws {
        let stage = GroupStage()
        #expect(stage.syncError(stage.sync(MemberID("m"), 1)) == .unknownMember, "no group")
        let request = stage.request(instance: "i")
        let joined = try stage.joined(stage.join(request))
        let id = joined.member
        #expect(stage.syncError(stage.sync(MemberID("m"), 1)) == .unknownMember)
        #expect(stage.syncError(stage.sync(id, 2)) == .illegalGeneration)
        #expect(stage.syncError(stage.sync(id, 0)) == .illegalGeneration)
        #expect(stage.syncError(stage.sync(id, 1, type: "connect")) == .inconsistentProtocol)
        #expect(stage.syncError(stage.sync(id, 1, name: "sticky")) == .inconsistentProtocol)
        #expect(stage.syncError(stage.sync(MemberID("m"), 1, instance: "i")) == .fencedInstance)
        #expect(stage.syncError(stage.sync(id, 1, instance: "j")) == .unknownMember)
        #expect(stage.log.isEmpty)
        let good = stage.sync(id, 1, [id: "A"], instance: "i", type: "consumer", name: "range")
        #expect(try stage.synced(good) == "A")
        let other = stage.request()
        _ = stage.join(other)
        #expect(stage.syncError(stage.sync(id, 1)) == .rebalanceInProgress)
    }

    @Test("one sync of a member waits at a time, and the leader's second one writes nothing")
    func repeatedSync() throws {
        let stage = GroupStage()
        let request = stage.request()
        let id = try stage.joined(stage.join(request)).member
        stage.holdsWrites = true
        let first = stage.sync(id, 1, [id: "A"])
        let second = stage.sync(id, 1, [id: "B"])
        #expect(stage.syncError(first) == .rebalanceInProgress)
        #expect(stage.held.count == 1)
        stage.release()
        #expect(try stage.synced(second) == "A")
    }

    @Test("an assignment for somebody who is no member is dropped")
    func strangersAssignment() throws {
        let stage = GroupStage()
        let request = stage.request()
        let id = try stage.joined(stage.join(request)).member
        _ = stage.sync(id, 1, [id: "A", MemberID("nobody"): "B"])
        let group = try #require(stage.coordinator.classic[GroupStage.group])
        #expect(group.image?.members.map(\.id) == [id])
    }

    @Test("members that never sync are out after the rebalance timeout, heartbeats or not", arguments: [false, true])
    func neverSyncs(leaderSyncs: Bool) throws {
        let stage = GroupStage()
        let requests = (0..<2).map { _ in stage.request(rebalance: .seconds(30)) }
        var tokens = requests.map { stage.join($0) }
        let first = stage.request(try stage.joined(tokens[0]).member, rebalance: .seconds(30))
        tokens[0] = stage.join(first)
        let joined = try tokens.map { try stage.joined($0) }
        let syncs = leaderSyncs ? stage.sync(joined[0].member, 2) : stage.sync(joined[1].member, 2)
        for _ in 0..<6 {
            stage.wait(.seconds(5))
            for one in joined { _ = stage.heartbeat(one.member, 2) }
        }
        let (lazy, busy) = leaderSyncs ? (joined[1], joined[0]) : (joined[0], joined[1])
        #expect(stage.heartbeat(lazy.member, 2) == .unknownMember)
        #expect(stage.heartbeat(busy.member, 2) == .rebalanceInProgress)
        #expect(!stage.isOpen(syncs), "nobody waits for ever")
        let again = stage.request(busy.member)
        #expect(try stage.joined(stage.join(again)).leader == busy.member)
    }

    // MARK: Heartbeats

    @Test("a heartbeat says how the group is, and keeps the session in every state")
    func heartbeats() throws {
        let stage = GroupStage()
        #expect(stage.heartbeat(MemberID("m"), 1) == .unknownMember, "no group")
        let request = stage.request(session: .seconds(10), rebalance: .seconds(60))
        let id = try stage.joined(stage.join(request)).member
        func beat(_ expected: GroupError?) {
            for _ in 0..<3 {
                stage.wait(.seconds(9))
                #expect(stage.heartbeat(id, 1) == expected)
            }
        }
        beat(nil)
        #expect(try stage.synced(stage.sync(id, 1, [id: "A"])) == "A")
        beat(nil)
        #expect(stage.heartbeat(id, 0) == .illegalGeneration)
        #expect(stage.heartbeat(id, 2) == .illegalGeneration)
        #expect(stage.heartbeat(id, -1) == .illegalGeneration)
        #expect(stage.heartbeat(MemberID(""), 1) == .unknownMember)
        let other = stage.request()
        _ = stage.join(other)
        beat(.rebalanceInProgress)
    }

    @Test("a member that is silent for its session is out, and the others are asked to join again")
    func sessionEnds() throws {
        let stage = GroupStage()
        let requests = [stage.request(session: .seconds(10)), stage.request(session: .seconds(20))]
        let joined = try stage.settle(requests)
        stage.wait(.milliseconds(9_999))
        #expect(stage.heartbeat(joined[0].member, joined[0].generation.rawValue) == nil)
        stage.wait(.milliseconds(9_999))
        #expect(stage.heartbeat(joined[1].member, joined[0].generation.rawValue) == nil)
        stage.wait(.milliseconds(1))
        #expect(stage.heartbeat(joined[0].member, joined[0].generation.rawValue) == .unknownMember)
        #expect(stage.heartbeat(joined[1].member, joined[0].generation.rawValue) == .rebalanceInProgress)
    }

    @Test("the last member's silence empties the group, in writing")
    func emptied() throws {
        let stage = GroupStage()
        let request = stage.request()
        _ = try stage.settle([request])
        stage.wait(.seconds(11))
        #expect(stage.state == "Empty")
        let image = try #require(stage.coordinator.classic[GroupStage.group]?.image)
        #expect(image.members.isEmpty && image.leader == nil && image.protocolName == nil)
        #expect(image.generation.rawValue == 2)
        #expect(image.protocolType == "consumer")
        let next = stage.request()
        #expect(try stage.joined(stage.join(next)).generation.rawValue == 3, "generations go on")
    }

    // MARK: Leaving

    @Test("who leaves is out at once, each with an answer of its own")
    func leaving() throws {
        let stage = GroupStage()
        #expect(stage.left(stage.leave(MemberIdentity(member: MemberID("m")))) == [.unknownMember], "no group")
        let requests = [
            stage.request(), stage.request(instance: "i"), stage.request(instance: "j"), stage.request(),
        ]
        let joined = try stage.settle(requests)
        let results = stage.left(
            stage.leave(
                MemberIdentity(member: MemberID("nobody")),
                MemberIdentity(member: joined[0].member),
                MemberIdentity(member: .none, instance: InstanceID("i")),
                MemberIdentity(member: MemberID("other"), instance: InstanceID("j")),
                MemberIdentity(member: .none, instance: InstanceID("k")),
                MemberIdentity(member: joined[0].member)
            )
        )
        #expect(results == [.unknownMember, nil, nil, .fencedInstance, .unknownMember, .unknownMember])
        #expect(stage.state == "PreparingRebalance")
        let again = [stage.request(joined[2].member, instance: "j"), stage.request(joined[3].member)]
        let tokens = again.map { stage.join($0) }
        #expect(try stage.joined(tokens[0]).members.count == 2, "one rebalance for all who left")
    }

    @Test("the last to leave is told so when the empty group is written")
    func lastLeaves() throws {
        let stage = GroupStage()
        let request = stage.request()
        let member = try stage.settle([request])[0].member
        stage.holdsWrites = true
        let token = stage.leave(MemberIdentity(member: member))
        #expect(stage.isOpen(token))
        #expect(stage.state == "Empty")
        stage.release()
        #expect(stage.left(token) == [nil])
        try stage.restart()
        #expect(stage.state == "Empty")
    }

    @Test("what a leaving member waits for is answered")
    func leavesWhileWaiting() throws {
        let stage = GroupStage()
        let requests = [stage.request(), stage.request()]
        let joined = try stage.settle(requests)
        let again = stage.request(joined[0].member)
        let join = stage.join(again)
        _ = stage.leave(MemberIdentity(member: joined[0].member))
        #expect(stage.joinError(join) == .unknownMember)
        let other = stage.request(joined[1].member)
        let generation = try stage.joined(stage.join(other)).generation.rawValue
        stage.holdsWrites = true
        let sync = stage.sync(joined[1].member, generation, [:])
        _ = stage.leave(MemberIdentity(member: joined[1].member))
        #expect(stage.syncError(sync) == .unknownMember)
    }

    @Test("a coordinator that resigns sends everybody who waits to the next one")
    func resigning() throws {
        let stage = GroupStage()
        let first = stage.request()
        let member = try stage.joined(stage.join(first)).member
        stage.holdsWrites = true
        let sync = stage.sync(member, 1, [:])
        let commit = stage.commit(1, group: GroupID("other"))
        let new = stage.request()
        let join = stage.join(new, GroupID("third"))
        let more = stage.request()
        let waiting = stage.join(more, GroupID("third"))
        #expect(!stage.isOpen(join) && stage.isOpen(waiting))
        stage.act { coordinator, _, actions in coordinator.resign(into: &actions) }
        #expect(stage.syncError(sync) == .notCoordinator)
        #expect(stage.committed(commit) == [.notCoordinator])
        #expect(stage.joinError(waiting) == .notCoordinator)
        #expect(throws: GroupError.loading) { try stage.coordinator.list() }
    }
}
