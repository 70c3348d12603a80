import ApusCore
import Testing

@testable import ApusGroups

@Suite("Heartbeats of the consumer protocol")
struct HeartbeatTests {
    @Test("one member gets everything with its first heartbeat, and then says little")
    func alone() throws {
        var bench = GroupBench()
        #expect(bench.group.state == .empty)
        #expect(bench.join("a") == "a@1 [orders/0 orders/1 orders/2 orders/3]")
        #expect(bench.beat("a", 1, owned: "orders/0 orders/1 orders/2 orders/3") == "a@1")
        #expect(bench.beat("a", 1) == "a@1")
        #expect(bench.lastDecision.records.isEmpty)
        #expect(bench.group.state == .stable)
        #expect(bench.leave("a") == "a@-1")
        #expect(bench.group.state == .empty)
        try bench.checkRecovery()
    }

    @Test("a second member gets its part when the first gave it up, and not before")
    func revokeBeforeAssign() throws {
        var bench = GroupBench()
        bench.join("a")
        #expect(bench.join("b") == "b@2 []")
        #expect(bench.group.state == .reconciling)
        // The first is told to give two up, and keeps its epoch until it did.
        #expect(bench.beat("a", 1) == "a@1 [orders/0 orders/1]")
        #expect(bench.standing == ["a@1 [orders/0 orders/1] ← [orders/2 orders/3]", "b@2 []"])
        #expect(bench.beat("b", 2) == "b@2")
        #expect(bench.beat("a", 1, owned: "orders/0 orders/1 orders/2 orders/3") == "a@1")
        #expect(bench.beat("a", 1) == "a@1")
        #expect(bench.beat("b", 2) == "b@2")
        #expect(bench.beat("a", 1, owned: "orders/0 orders/1") == "a@2")
        #expect(bench.beat("b", 2) == "b@2 [orders/2 orders/3]")
        #expect(bench.group.state == .stable)
        try bench.checkRecovery()
    }

    @Test("what one gave up in part is given on when all of it was given up")
    func revokeInParts() {
        var bench = GroupBench()
        bench.join("a")
        bench.join("b")
        bench.beat("a", 1)
        #expect(bench.beat("a", 1, owned: "orders/0 orders/1 orders/3") == "a@1")
        #expect(bench.beat("b", 2) == "b@2")
        #expect(bench.beat("a", 1, owned: "orders/1 orders/0") == "a@2")
        #expect(bench.beat("b", 2) == "b@2 [orders/2 orders/3]")
    }

    @Test("members that come in one batch get one assignment and one epoch")
    func batch() throws {
        var bench = GroupBench()
        let replies = bench.send(["a", "b", "c", "d"].map { GroupBench.joining($0) })
        #expect(replies == ["a@1 [orders/0]", "b@1 [orders/1]", "c@1 [orders/2]", "d@1 [orders/3]"])
        #expect(bench.group.state == .stable)
        try bench.checkRecovery()
        // Two words of one member in a batch are heard one after the other.
        let leaving = GroupBench.request("a", -1)
        #expect(
            bench.send([GroupBench.request("a", 1), leaving, GroupBench.request("a", 1), GroupBench.joining("a")])
                == ["a@1", "a@-1", "UNKNOWN_MEMBER_ID", "a@2 [orders/0]"]
        )
    }

    @Test("requests of several groups in one batch are answered in their order")
    func groupsInOneBatch() {
        var bench = GroupBench()
        var other = GroupBench.joining("x")
        other.group = GroupID("h")
        var third = GroupBench.request("x", 3)
        third.group = GroupID("k")
        #expect(
            bench.send([other, GroupBench.joining("a"), third, GroupBench.joining("b")])
                == [
                    "x@1 [orders/0 orders/1 orders/2 orders/3]", "a@1 [orders/0 orders/2]", "UNKNOWN_MEMBER_ID",
                    "b@1 [orders/1 orders/3]",
                ]
        )
        #expect(bench.groups.groups.count == 2)
    }

    @Test("a full request hears the whole assignment, a short one only changes")
    func fullRequests() {
        var bench = GroupBench()
        bench.join("a")
        let full = GroupBench.request("a", 1) {
            $0.topicNames = ["orders"]
            $0.rebalanceTimeout = .seconds(60)
            $0.owned = bench.topics.partitions("orders/0")
        }
        #expect(bench.send(full) == "a@1 [orders/0 orders/1 orders/2 orders/3]")
        #expect(bench.lastDecision.records.isEmpty)
        #expect(bench.send(GroupBench.request("a", 1) { $0.rack = "r2" }) == "a@1")
        #expect(bench.group.members[MemberID("a")]?.profile.rack == "r2")
        // A rack is told, and moves nothing.
        #expect(bench.group.epoch == GroupEpoch(rawValue: 1))
    }

    // MARK: Fencing

    @Test("an epoch from the future is fenced")
    func future() {
        var bench = GroupBench()
        bench.join("a")
        #expect(bench.beat("a", 2) == "FENCED_MEMBER_EPOCH")
    }

    @Test("the epoch before is heard when the member has nothing that it was not given: its answer was lost")
    func lostAnswer() {
        var bench = GroupBench()
        bench.join("a")
        bench.join("b")
        bench.beat("a", 1)
        bench.beat("a", 1, owned: "orders/0 orders/1")
        #expect(bench.standing.first == "a@2 [orders/0 orders/1]")
        #expect(bench.beat("a", 1) == "FENCED_MEMBER_EPOCH")
        #expect(bench.beat("a", 1, owned: "orders/0 orders/2") == "FENCED_MEMBER_EPOCH")
        #expect(bench.beat("a", 1, owned: "orders/0") == "a@2 [orders/0 orders/1]")
        #expect(bench.beat("a", 0 - 7) == "INVALID_REQUEST")
    }

    @Test("a partition that a member was told of is not another's because the member does not have it yet")
    func aboutToTake() {
        var bench = GroupBench()
        bench.join("a")
        bench.join("b")
        // It has nothing yet and repeats everything: it may not have heard that two are taken away again.
        func full(_ owned: String) -> ConsumerGroupHeartbeat {
            GroupBench.request("a", 1) {
                $0.topicNames = ["orders"]
                $0.rebalanceTimeout = .seconds(60)
                $0.owned = bench.topics.partitions(owned)
            }
        }
        #expect(bench.send(full("")) == "a@1 [orders/0 orders/1]")
        #expect(bench.send(full("")) == "a@1 [orders/0 orders/1]")
        #expect(bench.beat("b", 2) == "b@2")
        // Now it has heard.
        #expect(bench.beat("a", 1) == "a@2")
        #expect(bench.beat("b", 2) == "b@2 [orders/2 orders/3]")
    }

    @Test("older epochs than the one before are fenced")
    func older() {
        var bench = GroupBench()
        bench.join("a")
        bench.change("orders", 5)
        bench.beat("a", 1)
        bench.change("orders", 6)
        bench.beat("a", 2)
        #expect(bench.beat("a", 1, owned: "") == "FENCED_MEMBER_EPOCH")
        #expect(bench.beat("a", 2, owned: "") == "a@3 [orders/0 orders/1 orders/2 orders/3 orders/4 orders/5]")
    }

    @Test("a member that joins again gets what it has, at its epoch, and has given up what it was told to")
    func joinAgain() throws {
        var bench = GroupBench()
        bench.join("a")
        #expect(bench.join("a") == "a@1 [orders/0 orders/1 orders/2 orders/3]")
        #expect(bench.lastDecision.records.isEmpty)
        bench.join("b")
        bench.beat("a", 1)
        #expect(bench.join("a") == "a@2 [orders/0 orders/1]")
        #expect(bench.beat("b", 2) == "b@2 [orders/2 orders/3]")
        try bench.checkRecovery()
    }

    @Test("who is not of the group, or the group not there, must join")
    func unknown() {
        var bench = GroupBench()
        #expect(bench.beat("a", 1) == "UNKNOWN_MEMBER_ID")
        #expect(bench.leave("a") == "UNKNOWN_MEMBER_ID")
        #expect(bench.groups.groups.isEmpty)
        bench.join("a")
        #expect(bench.beat("b", 1) == "UNKNOWN_MEMBER_ID")
        #expect(bench.leave("b") == "UNKNOWN_MEMBER_ID")
    }

    // MARK: Bad requests

    @Test("a request that contradicts itself is refused, and leaves no trace")
    func invalid() {
        var bench = GroupBench()
        func refused(_ epoch: Int32, _ change: (inout ConsumerGroupHeartbeat) -> Void) -> String {
            var request = epoch == 0 ? GroupBench.joining("a") : GroupBench.request("a", epoch)
            change(&request)
            return bench.send(request)
        }
        let long = String(repeating: "x", count: Limits.consumerNameBytesMax + 1)
        #expect(refused(0) { $0.group = GroupID("") } == "INVALID_REQUEST")
        #expect(refused(0) { $0.group = GroupID(long) } == "INVALID_REQUEST")
        #expect(refused(0) { $0.member = MemberID.none } == "INVALID_REQUEST")
        #expect(refused(0) { $0.member = MemberID("  ") } == "INVALID_REQUEST")
        #expect(refused(0) { $0.member = MemberID(long) } == "INVALID_REQUEST")
        #expect(refused(0) { $0.instance = InstanceID("") } == "INVALID_REQUEST")
        #expect(refused(0) { $0.rack = "" } == "INVALID_REQUEST")
        #expect(refused(0) { $0.rebalanceTimeout = nil } == "INVALID_REQUEST")
        #expect(refused(0) { $0.rebalanceTimeout = .zero } == "INVALID_REQUEST")
        #expect(refused(0) { $0.rebalanceTimeout = .seconds(90_000) } == "INVALID_REQUEST")
        #expect(refused(0) { $0.owned = nil } == "INVALID_REQUEST")
        #expect(refused(0) { $0.owned = bench.topics.partitions("orders/0") } == "INVALID_REQUEST")
        #expect(refused(0) { $0.topicNames = nil } == "INVALID_REQUEST")
        #expect(
            refused(0) { $0.topicNames = (0...Limits.topicNamesPerMemberMax).map(String.init) } == "INVALID_REQUEST")
        #expect(refused(0) { $0.topicNames = [String(repeating: "t", count: 250)] } == "INVALID_REQUEST")
        #expect(refused(0) { $0.assignor = "sticky" } == "UNSUPPORTED_ASSIGNOR")
        #expect(refused(0) { $0.topicPattern = "(" } == "INVALID_REGULAR_EXPRESSION")
        #expect(refused(-2) { $0.instance = nil } == "INVALID_REQUEST")
        #expect(refused(-3) { _ in } == "INVALID_REQUEST")
        #expect(refused(.min) { _ in } == "INVALID_REQUEST")
        #expect(bench.groups.groups.isEmpty)
        #expect(bench.log.isEmpty)
    }

    @Test("version 0 lets the coordinator name the member")
    func namedByCoordinator() {
        var bench = GroupBench()
        var request = GroupBench.joining("")
        request.freshMember = MemberID("fresh")
        #expect(bench.send(request) == "INVALID_REQUEST")
        request.version = 0
        #expect(bench.send(request) == "fresh@1 [orders/0 orders/1 orders/2 orders/3]")
    }

    @Test("a full group takes no more, and those in it go on")
    func full() {
        var bench = GroupBench(settings: { $0.membersMax = 2 })
        bench.join("a")
        bench.join("b")
        #expect(bench.join("c") == "GROUP_MAX_SIZE_REACHED")
        #expect(bench.join("b") == "b@2 []")
        bench.leave("a")
        #expect(bench.join("c") == "c@4 [orders/0 orders/1]")
    }

    // MARK: Time

    @Test("a member that is silent for a session is out, and the others get what it had")
    func sessionTimeout() throws {
        var bench = GroupBench()
        bench.send(["a", "b"].map { GroupBench.joining($0) })
        bench.pass(.seconds(40))
        bench.beat("b", 1)
        bench.pass(.seconds(6))
        #expect(bench.group.members.keys.map(\.rawValue) == ["b"])
        #expect(bench.beat("a", 1) == "UNKNOWN_MEMBER_ID")
        #expect(bench.beat("b", 1) == "b@2 [orders/0 orders/1 orders/2 orders/3]")
        try bench.checkRecovery()
    }

    @Test("a member that does not give up what it was told to is out after its rebalance timeout")
    func rebalanceTimeout() {
        var bench = GroupBench(settings: { $0.sessionTimeout = .seconds(600) })
        bench.join("a")
        bench.join("b")
        bench.beat("a", 1)
        bench.pass(.seconds(59))
        #expect(bench.beat("a", 1) == "a@1")
        bench.pass(.seconds(2))
        #expect(bench.group.members.keys.map(\.rawValue) == ["b"])
        #expect(bench.beat("b", 2) == "b@3 [orders/0 orders/1 orders/2 orders/3]")
    }

    @Test("a member that gave up in time is not put out later")
    func revokedInTime() {
        var bench = GroupBench(settings: { $0.sessionTimeout = .seconds(600) })
        bench.join("a")
        bench.join("b")
        bench.beat("a", 1)
        bench.pass(.seconds(50))
        bench.beat("a", 1, owned: "orders/0 orders/1")
        bench.pass(.seconds(500))
        #expect(bench.group.members.count == 2)
    }

    @Test("a coordinator that takes over gives everybody a whole session, and a whole time to give up")
    func takeover() throws {
        var bench = GroupBench()
        bench.join("a")
        bench.join("b")
        bench.beat("a", 1)
        bench.pass(.seconds(44))
        try bench.restart()
        #expect(bench.lastDecision.records.isEmpty)
        bench.pass(.seconds(44))
        #expect(bench.group.members.count == 2)
        #expect(bench.beat("a", 1, owned: "orders/0 orders/1") == "a@2")
        #expect(bench.beat("b", 2) == "b@2 [orders/2 orders/3]")
        bench.pass(.seconds(46))
        #expect(bench.group.isEmpty)
        #expect(bench.groups.checkAt == nil)
    }

    @Test("members of a group that is moving are asked to speak more often")
    func intervals() throws {
        var bench = GroupBench()
        func interval() throws -> Duration? { try bench.lastDecision.replies.first?.get().heartbeatInterval }
        bench.join("a")
        #expect(try interval() == .milliseconds(500))
        bench.pass(.seconds(4))
        bench.beat("a", 1)
        #expect(try interval() == .seconds(5))
        bench.join("b")
        bench.beat("a", 1)
        bench.pass(.seconds(4))
        bench.beat("b", 2)
        // It waits for what another has.
        #expect(try interval() == .milliseconds(500))
    }

    @Test("a target is not computed again before its pause is over, and then it is")
    func assignmentPause() {
        var bench = GroupBench(settings: { $0.assignmentPausePerMember = .seconds(1) })
        #expect(bench.join("a") == "a@1 [orders/0 orders/1 orders/2 orders/3]")
        // It is in at the epoch of the target there is, which has nothing for it.
        #expect(bench.join("b") == "b@1 []")
        #expect(bench.group.state == .assigning)
        #expect(bench.beat("a", 1) == "a@1")
        // One for the member, and one for the topic.
        bench.pass(.milliseconds(1999))
        #expect(bench.beat("a", 1) == "a@1")
        bench.pass(.milliseconds(1))
        #expect(bench.beat("a", 1) == "a@1 [orders/0 orders/1]")
        #expect(bench.beat("a", 1, owned: "orders/0 orders/1") == "a@2")
        #expect(bench.beat("b", 1) == "b@2 [orders/2 orders/3]")
    }

    @Test("partitions make the pause longer")
    func partitionPause() {
        var bench = GroupBench(["orders": 8000], settings: { $0.assignmentPausePerMember = .milliseconds(1) })
        bench.join("a")
        bench.join("b")
        #expect(bench.group.state == .assigning)
        bench.pass(.milliseconds(1000))
        bench.beat("a", 1)
        #expect(bench.group.state == .assigning)
        bench.pass(.milliseconds(2))
        bench.beat("a", 1)
        #expect(bench.group.state == .reconciling)
    }

    @Test("a group's topics are looked through once in a pause, and what changed meanwhile is seen at its end")
    func lookPause() throws {
        var bench = GroupBench(["orders": 4, "more": 1], settings: { $0.assignmentPausePerMember = .seconds(1) })
        bench.join("a", ["more", "orders"])
        let hash = bench.group.metadataHash
        bench.change("orders", 6)
        bench.beat("a", 1)
        #expect(bench.group.epoch == GroupEpoch(rawValue: 1))
        // Who comes is let in at once all the same.
        #expect(bench.join("b", ["more", "orders"]) == "b@1 []")
        #expect(bench.group.epoch == GroupEpoch(rawValue: 2))
        #expect(bench.group.metadataHash == hash)
        bench.pass(.seconds(3))
        bench.beat("a", 1)
        #expect(bench.group.epoch == GroupEpoch(rawValue: 3))
        #expect(bench.group.metadataHash != hash)
        #expect(bench.group.assignmentEpoch == GroupEpoch(rawValue: 3))
        #expect(bench.group.targets.values.reduce(0) { $0 + $1.count } == 7)
        try bench.checkRecovery()
    }

    @Test("epochs at the end of their range stay there and trap nothing")
    func epochsAtTheEnd() {
        var bench = GroupBench()
        bench.groups.apply(.group(GroupBench.name, .init(epoch: GroupEpoch(rawValue: .max))))
        bench.groups.apply(.target(GroupBench.name, .init(epoch: GroupEpoch(rawValue: .max), computedAt: bench.wall)))
        #expect(bench.join("a") == "a@2147483647 []")
    }

    @Test("a coordinator has as many groups as it may; those that are there go on, and one that goes makes room")
    func manyGroups() throws {
        var bench = GroupBench { $0.groupsMax = 2 }
        func join(_ group: String, _ bench: inout GroupBench) -> String {
            var request = GroupBench.joining("m")
            request.group = GroupID(group)
            return bench.send(request)
        }
        #expect(join("a", &bench).hasPrefix("m@1"))
        #expect(join("b", &bench).hasPrefix("m@1"))
        #expect(join("c", &bench) == "POLICY_VIOLATION")
        #expect(GroupError.tooManyGroups.message?.contains("Delete groups") == true)
        #expect(join("a", &bench).hasPrefix("m@1"))
        var leaving = GroupBench.request("m", -1)
        leaving.group = GroupID("b")
        #expect(bench.send(leaving) == "m@-1")
        _ = try bench.groups.delete(GroupID("b"))
        #expect(join("c", &bench).hasPrefix("m@1"))
    }
}
