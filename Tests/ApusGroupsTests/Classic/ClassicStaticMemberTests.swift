import ApusCore
import NIOCore
import Testing

@testable import ApusGroups

@Suite("Static members of classic groups")
struct ClassicStaticMemberTests {
    private func settled(_ count: Int) throws -> (GroupStage, [JoinRequest], [JoinedGroup]) {
        let stage = GroupStage()
        let requests = (0..<count).map { stage.request(instance: "i\($0)") }
        return (stage, requests, try stage.settle(requests))
    }

    @Test("a static member comes in at once, whatever the version")
    func noSecondJoin() throws {
        let stage = GroupStage()
        let request = stage.request(instance: "i", mustReturn: true)
        let joined = try stage.joined(stage.join(request))
        #expect(joined.member.rawValue.hasPrefix("i-"))
    }

    @Test("a follower that restarts goes on under a new name, with what it had, and without a rebalance")
    func restartedFollower() throws {
        let (stage, requests, before) = try self.settled(2)
        let again = stage.request(instance: "i1")
        stage.holdsWrites = true
        let token = stage.join(again)
        #expect(stage.isOpen(token), "not before it is written")
        stage.release()
        let joined = try stage.joined(token)
        #expect(joined.generation == before[1].generation)
        #expect(joined.member == again.memberNew && joined.member != before[1].member)
        #expect(joined.leader == before[0].member && joined.members.isEmpty && !joined.skipAssignment)
        #expect(stage.state == "Stable")
        #expect(try stage.synced(stage.sync(joined.member, joined.generation.rawValue)) == "for \(before[1].member)")
        // The old name is shut out, with the instance id and without.
        let generation = joined.generation.rawValue
        #expect(stage.heartbeat(before[1].member, generation, instance: "i1") == .fencedInstance)
        #expect(stage.heartbeat(before[1].member, generation) == .unknownMember)
        #expect(stage.committed(stage.commit(1, before[1].member, generation, instance: "i1")) == [.fencedInstance])
        #expect(stage.syncError(stage.sync(before[1].member, generation, instance: "i1")) == .fencedInstance)
        var zombie = requests[1]
        zombie.member = before[1].member
        #expect(stage.joinError(stage.join(zombie)) == .fencedInstance)
        // And so it is for the next coordinator.
        try stage.restart()
        #expect(stage.heartbeat(before[1].member, generation, instance: "i1") == .fencedInstance)
        #expect(stage.heartbeat(joined.member, generation, instance: "i1") == nil)
    }

    @Test("a leader that restarts is told to skip the assignment, or not told that it leads", arguments: [false, true])
    func restartedLeader(canSkip: Bool) throws {
        let (stage, _, before) = try self.settled(2)
        let again = stage.request(instance: "i0", canSkip: canSkip)
        let joined = try stage.joined(stage.join(again))
        #expect(joined.skipAssignment == canSkip)
        #expect((joined.leader == joined.member) == canSkip)
        #expect(joined.members.count == (canSkip ? 2 : 0))
        #expect(stage.state == "Stable")
        let follower = stage.request(before[1].member, instance: "i1")
        #expect(try stage.joined(stage.join(follower)).leader == joined.member, "others know who leads")
    }

    @Test("a static member that tells something else after its restart starts a rebalance")
    func changedRestart() throws {
        let (stage, _, _) = try self.settled(2)
        let again = stage.request(instance: "i1", protocols: GroupStage.protocols(["range"], "other"))
        #expect(stage.isOpen(stage.join(again)))
        #expect(stage.state == "PreparingRebalance")
    }

    @Test("a join that waits under the name that is replaced is refused, the new one waits in its place")
    func replacedWhileJoining() throws {
        let (stage, requests, before) = try self.settled(2)
        var leading = requests[0]
        leading.member = before[0].member
        let token = stage.join(leading)
        let again = stage.request(instance: "i0")
        let replaced = stage.join(again)
        #expect(stage.joinError(token) == .fencedInstance)
        #expect(stage.isOpen(replaced))
        let follower = stage.request(before[1].member, instance: "i1")
        _ = stage.join(follower)
        #expect(try stage.joined(replaced).members.count == 2)
    }

    @Test("a name whose sync waits is fenced there too")
    func replacedWhileSyncing() throws {
        let stage = GroupStage()
        let requests = [stage.request(instance: "a"), stage.request(instance: "b")]
        var tokens = requests.map { stage.join($0) }
        let first = stage.request(try stage.joined(tokens[0]).member, instance: "a")
        tokens[0] = stage.join(first)
        let joined = try tokens.map { try stage.joined($0) }
        let sync = stage.sync(joined[1].member, 2, instance: "b")
        let again = stage.request(instance: "b")
        let token = stage.join(again)
        #expect(stage.syncError(sync) == .fencedInstance)
        #expect(stage.isOpen(token), "while completing, everybody joins again")
        #expect(stage.state == "PreparingRebalance")
    }

    @Test("a static member that is away keeps its place while its session lasts, through a rebalance")
    func awayMember() throws {
        let stage = GroupStage()
        let requests = [
            stage.request(instance: "a", session: .seconds(300), rebalance: .seconds(10)),
            stage.request(session: .seconds(300), rebalance: .seconds(10)),
        ]
        let before = try stage.settle(requests)
        let again = stage.request(
            before[1].member, session: .seconds(300), rebalance: .seconds(10),
            protocols: GroupStage.protocols(["range"], "x")
        )
        let token = stage.join(again)
        stage.wait(.seconds(10))
        let joined = try stage.joined(token)
        #expect(joined.leader == before[1].member)
        #expect(joined.members.map(\.instance) == [InstanceID("a"), nil], "what it gets waits for it")
        let generation = joined.generation.rawValue
        let sync = stage.sync(before[1].member, generation, [before[0].member: "A", before[1].member: "B"])
        #expect(try stage.synced(sync) == "B")
        stage.wait(.seconds(20))
        #expect(stage.state == "Stable", "it can not know that it should sync")
        let back = stage.request(instance: "a", session: .seconds(300), rebalance: .seconds(10))
        let returned = try stage.joined(stage.join(back))
        #expect(try stage.synced(stage.sync(returned.member, generation)) == "A")
    }

    @Test("a group of static members that are all away waits for them until their sessions end")
    func allAway() throws {
        let stage = GroupStage()
        let requests = ["a", "b"].map { stage.request(instance: $0, session: .seconds(300), rebalance: .seconds(10)) }
        let before = try stage.settle(requests)
        _ = stage.leave(MemberIdentity(member: .none, instance: InstanceID("b")))
        stage.wait(.seconds(60))
        #expect(stage.state == "PreparingRebalance")
        #expect(stage.heartbeat(before[0].member, before[0].generation.rawValue) == .rebalanceInProgress)
        stage.wait(.seconds(301))
        #expect(stage.state == "Empty")
    }

    @Test("a write that fails while a static member comes back is told to it, and it may try again")
    func failedReplacement() throws {
        let (stage, _, before) = try self.settled(2)
        stage.holdsWrites = true
        let again = stage.request(instance: "i1")
        let token = stage.join(again)
        stage.failOne()
        #expect(stage.joinError(token) == .unavailable)
        let third = stage.request(instance: "i1")
        let next = stage.join(third)
        stage.release()
        #expect(try stage.joined(next).generation == before[0].generation)
    }
}
