import ApusCore
import NIOCore
import Testing

@testable import ApusGroups

@Suite("Joining a group")
struct ClassicJoinTests {
    // MARK: Who is refused

    @Test(
        "a session timeout outside what the broker allows is refused",
        arguments: [.seconds(5), .milliseconds(5999), .seconds(1801), .zero, .seconds(-1)] as [Duration]
    )
    func sessionTimeout(session: Duration) {
        let stage = GroupStage()
        let request = stage.request(session: session)
        let token = stage.join(request)
        #expect(stage.joinError(token) == .invalidSessionTimeout)
        #expect(stage.coordinator.classic.isEmpty, "a refused join leaves no group behind")
    }

    @Test("the bounds of the session timeout are allowed", arguments: [.seconds(6), .seconds(1800)] as [Duration])
    func sessionTimeoutBounds(session: Duration) throws {
        let stage = GroupStage()
        let request = stage.request(session: session)
        #expect(try stage.joined(stage.join(request)).generation.rawValue == 1)
    }

    @Test(
        "a group's name that is empty, huge or not printable is refused",
        arguments: ["", String(repeating: "g", count: 256), "a\0b", "a\nb", "\u{7F}", "\u{9F}"]
    )
    func groupNames(name: String) {
        let stage = GroupStage()
        let group = GroupID(name)
        let request = stage.request()
        let token = stage.join(request, group)
        #expect(stage.joinError(token) == .invalidGroupID)
        #expect(stage.committed(stage.commit(1, group: group)) == [.invalidGroupID])
        #expect(throws: GroupError.invalidGroupID) { try stage.coordinator.describe(group) }
        #expect(stage.log.isEmpty)
    }

    @Test("a group's name may be long, and in any language")
    func longNames() throws {
        let stage = GroupStage()
        for name in [String(repeating: "g", count: 255), "群组 №1"] {
            let request = stage.request()
            #expect(try stage.joined(stage.join(request, GroupID(name))).generation.rawValue == 1)
        }
    }

    @Test(
        "an instance id that is none is refused",
        arguments: ["", ".", "..", "a b", "ü", "a\0", String(repeating: "i", count: 250)]
    )
    func instanceIDs(instance: String) {
        let stage = GroupStage()
        let request = stage.request(instance: instance)
        guard case .invalidRequest = stage.joinError(stage.join(request)) else {
            Issue.record("instance id \(instance) was taken")
            return
        }
        #expect(stage.coordinator.classic.isEmpty)
    }

    @Test("a member id that nobody gave is unknown, in a group and without one", arguments: [false, true])
    func unknownMember(hasGroup: Bool) throws {
        let stage = GroupStage()
        if hasGroup {
            let first = stage.request()
            _ = try stage.settle([first])
        }
        for id in ["made up", String(repeating: "m", count: 30_000), "\0"] {
            let request = stage.request(MemberID(id))
            #expect(stage.joinError(stage.join(request)) == .unknownMember)
        }
        #expect(stage.coordinator.classic.count == (hasGroup ? 1 : 0))
    }

    @Test("a member without protocols, or with none that all know, or of another type, is refused")
    func inconsistentProtocols() throws {
        let stage = GroupStage()
        for empty in [stage.request(protocols: []), stage.request(type: "")] {
            #expect(stage.joinError(stage.join(empty)) == .inconsistentProtocol)
        }
        let first = stage.request(protocols: GroupStage.protocols(["range", "sticky"]))
        _ = try stage.settle([first])
        let stranger = stage.request(protocols: GroupStage.protocols(["roundrobin"]))
        #expect(stage.joinError(stage.join(stranger)) == .inconsistentProtocol)
        let connect = stage.request(type: "connect", protocols: GroupStage.protocols(["range"]))
        #expect(stage.joinError(stage.join(connect)) == .inconsistentProtocol)
        #expect(stage.state == "Stable", "who is refused disturbs nobody")
    }

    @Test("a member that is alone may change to other protocols, one among others may not leave them without any")
    func changingProtocols() throws {
        let stage = GroupStage()
        let first = stage.request(protocols: GroupStage.protocols(["range"]))
        let leader = try stage.settle([first])[0].member
        let sticky = stage.request(leader, protocols: GroupStage.protocols(["sticky", "range"]))
        #expect(try stage.joined(stage.join(sticky)).protocolName == "sticky")
        let other = stage.request(protocols: GroupStage.protocols(["range"]))
        let token = stage.join(other)
        let only = stage.request(leader, protocols: GroupStage.protocols(["sticky"]))
        #expect(stage.joinError(stage.join(only)) == .inconsistentProtocol)
        #expect(stage.isOpen(token))
    }

    @Test("names of protocols that are there twice, too long or too many are refused")
    func protocolNames() {
        let stage = GroupStage()
        let many = (0...Limits.groupProtocolsMax).map { "p\($0)" }
        for names in [["a", "a"], [String(repeating: "p", count: 256)], many] {
            let request = stage.request(protocols: GroupStage.protocols(names))
            guard case .invalidRequest = stage.joinError(stage.join(request)) else {
                Issue.record("\(names.count) names were taken")
                continue
            }
        }
    }

    @Test("a group of as many members as it may have is full, for who is new and not for who comes again")
    func fullGroup() throws {
        let stage = GroupStage { $0.membersMax = 2 }
        let requests = [stage.request(), stage.request()]
        let members = try stage.settle(requests)
        let third = stage.request()
        #expect(stage.joinError(stage.join(third)) == .groupFull)
        let promised = stage.request(mustReturn: true)
        #expect(stage.joinError(stage.join(promised)) == .groupFull)
        let again = stage.request(members[0].member)
        #expect(stage.isOpen(stage.join(again)))
    }

    @Test("what members tell has a limit for the group as a whole")
    func fullMemory() throws {
        let stage = GroupStage { $0.stateBytesMax = .kibibytes(64) }
        let large = String(repeating: "x", count: 30_000)
        let first = stage.request(protocols: GroupStage.protocols(["range"], large))
        let leader = try stage.settle([first])[0].member
        let second = stage.request(protocols: GroupStage.protocols(["range", "sticky"], large))
        #expect(stage.joinError(stage.join(second)) == .groupFull)
        // Nor may it grow by coming again, nor by what a leader gives.
        let again = stage.request(leader, protocols: GroupStage.protocols(["range", "sticky", "x"], large))
        #expect(stage.joinError(stage.join(again)) == .groupFull)
        let same = stage.request(leader, protocols: GroupStage.protocols(["range"], large))
        let joined = try stage.joined(stage.join(same))
        let sync = stage.sync(leader, joined.generation.rawValue, [leader: String(repeating: "y", count: 40_000)])
        guard case .invalidRequest = stage.syncError(sync) else {
            Issue.record("an assignment of 40,000 bytes was taken")
            return
        }
    }

    @Test("a coordinator has as many groups as it may")
    func manyGroups() throws {
        let stage = GroupStage { $0.groupsMax = 2 }
        for name in ["a", "b"] {
            let request = stage.request()
            _ = try stage.joined(stage.join(request, GroupID(name)))
            #expect(stage.committed(stage.commit(1, group: GroupID("simple-\(name)"))) == [nil])
        }
        let request = stage.request()
        #expect(stage.joinError(stage.join(request, GroupID("c"))) == .tooManyGroups)
        #expect(stage.committed(stage.commit(1, group: GroupID("simple-c"))) == [.tooManyGroups])
        #expect(stage.committed(stage.commit(2, group: GroupID("simple-a"))) == [nil])
    }

    // MARK: KIP-394

    @Test("who has no name is given one first, and is in the group when it comes back with it")
    func memberIDRequired() throws {
        let stage = GroupStage()
        let request = stage.request(mustReturn: true)
        let refused = stage.join(request)
        guard case .classic(.join(.failure(let refusal))) = stage.replies[refused] else {
            Issue.record("taken at once")
            return
        }
        #expect(refusal == JoinRefusal(error: .memberIDRequired, member: request.memberNew))
        let again = stage.request(refusal.member, mustReturn: true)
        let joined = try stage.joined(stage.join(again))
        #expect(joined.member == refusal.member)
        #expect(joined.leader == refusal.member)
    }

    @Test("a name that was given and not used is forgotten with its session, and nothing stays")
    func pendingMember() throws {
        let stage = GroupStage()
        let request = stage.request(session: .seconds(10), mustReturn: true)
        _ = stage.join(request)
        stage.wait(.milliseconds(9_999))
        #expect(!stage.coordinator.classic.isEmpty)
        stage.wait(.milliseconds(1))
        #expect(stage.coordinator.classic.isEmpty)
        let late = stage.request(request.memberNew)
        #expect(stage.joinError(stage.join(late)) == .unknownMember)
    }

    @Test("a rebalance waits for a name that was given, as long as its session, and goes on when it leaves")
    func rebalanceWaitsForPending() throws {
        for leaves in [false, true] {
            let stage = GroupStage()
            let first = stage.request()
            let leader = try stage.settle([first])[0].member
            let promised = stage.request(session: .seconds(6), mustReturn: true)
            _ = stage.join(promised)
            #expect(stage.state == "Stable", "a name alone disturbs nobody")
            let third = stage.request()
            let waiting = stage.join(third)
            let again = stage.request(leader)
            let leading = stage.join(again)
            #expect(stage.isOpen(waiting) && stage.isOpen(leading))
            if leaves {
                let left = stage.leave(MemberIdentity(member: promised.memberNew))
                #expect(stage.left(left) == [nil])
            } else {
                stage.wait(.seconds(6))
            }
            #expect(try stage.joined(leading).members.count == 2)
            #expect(try stage.joined(waiting).members.isEmpty)
        }
    }

    // MARK: The first generation

    @Test("an empty group waits a little after its first member, more when more come, never longer than they would")
    func initialDelay() throws {
        let stage = GroupStage(delay: .seconds(3))
        let requests = (0..<4).map { _ in stage.request(rebalance: .seconds(8)) }
        var tokens = [stage.join(requests[0])]
        stage.wait(.seconds(2))
        tokens.append(stage.join(requests[1]))
        stage.wait(.milliseconds(1_001))
        #expect(stage.isOpen(tokens[0]), "the second extends the wait to 6 s")
        tokens.append(stage.join(requests[2]))
        stage.wait(.seconds(3))
        #expect(stage.isOpen(tokens[0]), "the third to 8 s, the rebalance timeout")
        tokens.append(stage.join(requests[3]))
        stage.wait(.milliseconds(1_998))
        #expect(stage.isOpen(tokens[0]))
        stage.wait(.milliseconds(1))
        let joined = try tokens.map { try stage.joined($0) }
        #expect(joined.map(\.generation.rawValue) == [1, 1, 1, 1])
        #expect(Set(joined.map(\.leader)) == [joined[0].member])
        #expect(joined.map(\.members.count) == [4, 0, 0, 0])
    }

    @Test("a first member that comes alone waits for the delay once")
    func aloneAfterDelay() throws {
        let stage = GroupStage(delay: .seconds(3))
        let request = stage.request()
        let token = stage.join(request)
        stage.wait(.milliseconds(2_999))
        #expect(stage.isOpen(token))
        stage.wait(.milliseconds(1))
        #expect(try stage.joined(token).generation.rawValue == 1)
    }

    @Test("who leaves while the group waits is answered, and an empty group forgotten")
    func leavesDuringDelay() throws {
        let stage = GroupStage(delay: .seconds(3))
        let request = stage.request()
        let token = stage.join(request)
        #expect(stage.left(stage.leave(MemberIdentity(member: request.memberNew))) == [nil])
        #expect(stage.joinError(token) == .unknownMember)
        #expect(stage.coordinator.classic.isEmpty)
        #expect(stage.log.isEmpty)
    }

    // MARK: The next

    @Test("only the leader is told what all know, the protocol is the one that most prefer of those all know")
    func votes() throws {
        let stage = GroupStage()
        let requests = [
            stage.request(protocols: GroupStage.protocols(["a", "b", "c"])),
            stage.request(protocols: GroupStage.protocols(["c", "b"])),
            stage.request(protocols: GroupStage.protocols(["c", "b", "x"])),
            stage.request(protocols: GroupStage.protocols(["c", "b"])),
        ]
        let joined = try stage.settle(requests)
        #expect(joined.map(\.protocolName) == ["c", "c", "c", "c"])
        #expect(joined.map(\.members.count) == [4, 0, 0, 0])
        #expect(joined[0].members.map(\.id) == joined.map(\.member), "in the order in which they came")
    }

    @Test("of protocols with as many votes the leader's first is taken")
    func tiedVotes() throws {
        let stage = GroupStage()
        let requests = [
            stage.request(protocols: GroupStage.protocols(["b", "a"])),
            stage.request(protocols: GroupStage.protocols(["a", "b"])),
        ]
        let joined = try stage.settle(requests)
        #expect(joined.map(\.protocolName) == ["b", "b"])
    }

    @Test("who does not join again in time is out; the leader stays if it did, else the first who did leads")
    func lateMembers() throws {
        let stage = GroupStage()
        let requests = (0..<3).map { _ in stage.request(session: .seconds(100), rebalance: .seconds(20)) }
        let members = try stage.settle(requests).map(\.member)
        let again = stage.request(members[2], protocols: GroupStage.protocols(["range"], "new"))
        let token = stage.join(again)
        #expect(stage.state == "PreparingRebalance")
        stage.wait(.milliseconds(59_999))
        #expect(stage.isOpen(token), "the longest rebalance timeout counts, that of the member that joined again")
        stage.wait(.milliseconds(1))
        let joined = try stage.joined(token)
        #expect(joined.leader == members[2])
        #expect(joined.members.map(\.id) == [members[2]])
        #expect(joined.generation.rawValue == 3)
        #expect(stage.heartbeat(members[0], 3) == .unknownMember)
    }

    @Test("a member that joins and is never heard of again gives up its place after five minutes of waiting")
    func newMemberGone() throws {
        let stage = GroupStage()
        let first = stage.request(session: .seconds(10), rebalance: .seconds(1000))
        let leader = try stage.settle([first])[0].member
        let new = stage.request(rebalance: .seconds(1000))
        let token = stage.join(new)
        for _ in 0..<60 {
            #expect(stage.heartbeat(leader, 1) == .rebalanceInProgress)
            stage.wait(.seconds(5))
        }
        #expect(stage.joinError(token) == .unknownMember)
    }

    // MARK: Coming again

    @Test("a join that comes again after its answer was lost gets the same answer, in every state")
    func repeatedJoin() throws {
        let stage = GroupStage()
        let requests = [stage.request(), stage.request()]
        let joined = try stage.settle(requests)
        // Stable follower, same metadata: nothing happens.
        var again = requests[1]
        again.member = joined[1].member
        #expect(try stage.joined(stage.join(again)) == joined[1])
        #expect(stage.state == "Stable")
        // Stable leader: it wants a new generation.
        var leading = requests[0]
        leading.member = joined[0].member
        let first = stage.join(leading)
        #expect(stage.state == "PreparingRebalance")
        let second = stage.join(leading)
        #expect(stage.joinError(first) == .rebalanceInProgress, "one request of a member waits at a time")
        let follower = stage.join(again)
        let next = try stage.joined(second)
        #expect(next.generation.rawValue == joined[0].generation.rawValue + 1)
        #expect(try stage.joined(follower).generation == next.generation)
        // Completing: the same again, for both.
        #expect(try stage.joined(stage.join(leading)) == next)
        #expect(try stage.joined(stage.join(again)) == stage.joined(follower))
        #expect(stage.state == "CompletingRebalance")
    }

    @Test("a follower that tells something else starts a rebalance", arguments: [false, true])
    func changedMetadata(isCompleting: Bool) throws {
        let stage = GroupStage()
        let requests = [stage.request(), stage.request()]
        let joined = try stage.settle(requests)
        var sync: RequestToken?
        if isCompleting {
            var leading = requests[0]
            leading.member = joined[0].member
            var following = requests[1]
            following.member = joined[1].member
            _ = (stage.join(leading), stage.join(following))
            sync = stage.sync(joined[1].member, joined[1].generation.rawValue + 1)
        }
        let changed = stage.request(joined[1].member, protocols: GroupStage.protocols(["range"], "other"))
        let token = stage.join(changed)
        #expect(stage.isOpen(token))
        #expect(stage.state == "PreparingRebalance")
        if let sync { #expect(stage.syncError(sync) == .rebalanceInProgress) }
    }
}
