import ApusCore
import Testing

@testable import ApusGroups

@Suite("Static members of the consumer protocol")
struct StaticMemberTests {
    private func two() -> GroupBench {
        var bench = GroupBench()
        _ = bench.send([GroupBench.joining("a", instance: "i"), GroupBench.joining("b")])
        return bench
    }

    @Test("who leaves and comes back within a session gets what it had, and nobody else moves")
    func comesBack() throws {
        var bench = self.two()
        #expect(bench.leave("a", instance: "i", comesBack: true) == "a@-2")
        #expect(bench.beat("b", 1) == "b@1")
        bench.pass(.seconds(30))
        bench.beat("b", 1)
        #expect(bench.join("a2", instance: "i") == "a2@1 [orders/1 orders/3]")
        #expect(bench.group.members.keys.map(\.rawValue).sorted() == ["a2", "b"])
        #expect(bench.beat("b", 1) == "b@1")
        #expect(bench.beat("a", 1) == "UNKNOWN_MEMBER_ID")
        #expect(bench.send(GroupBench.request("a", 1) { $0.instance = InstanceID("i") }) == "FENCED_INSTANCE_ID")
        try bench.checkRecovery()
    }

    @Test("who stays away for a session is out")
    func staysAway() {
        var bench = self.two()
        bench.leave("a", instance: "i", comesBack: true)
        bench.pass(.seconds(30))
        bench.beat("b", 1)
        bench.pass(.seconds(20))
        #expect(bench.beat("b", 1) == "b@2 [orders/0 orders/1 orders/2 orders/3]")
        #expect(bench.join("a2", instance: "i") == "a2@3 []")
    }

    @Test("an instance id whose member did not leave is not given away")
    func unreleased() {
        var bench = self.two()
        #expect(bench.join("a2", instance: "i") == "UNRELEASED_INSTANCE_ID")
        #expect(bench.group.members.count == 2)
        // The same member may join again.
        #expect(bench.join("a", instance: "i") == "a@1 [orders/1 orders/3]")
    }

    @Test("only the member that has the instance id may use it")
    func fenced() {
        var bench = self.two()
        #expect(bench.leave("b", instance: "i") == "FENCED_INSTANCE_ID")
        #expect(bench.leave("b", instance: "i", comesBack: true) == "FENCED_INSTANCE_ID")
        #expect(bench.leave("b", instance: "j", comesBack: true) == "UNKNOWN_MEMBER_ID")
        #expect(bench.send(GroupBench.request("b", 1) { $0.instance = InstanceID("j") }) == "UNKNOWN_MEMBER_ID")
    }

    @Test("a static member that leaves for good is out at once")
    func leavesForGood() {
        var bench = self.two()
        #expect(bench.leave("a", instance: "i") == "a@-1")
        #expect(bench.beat("b", 1) == "b@2 [orders/0 orders/1 orders/2 orders/3]")
        #expect(bench.join("c", instance: "i") == "c@3 []")
    }

    @Test("one who left with partitions to give up has given them up")
    func leavesWhileRevoking() throws {
        var bench = GroupBench()
        bench.join("a", instance: "i")
        bench.join("b")
        bench.beat("a", 1)
        bench.leave("a", instance: "i", comesBack: true)
        #expect(bench.beat("b", 2) == "b@2 [orders/2 orders/3]")
        #expect(bench.join("a2", instance: "i") == "a2@2 [orders/0 orders/1]")
        try bench.checkRecovery()
    }

    @Test("a successor may want other topics, and may come to a full group")
    func otherSubscription() {
        var bench = GroupBench(["orders": 2, "bills": 2], settings: { $0.membersMax = 1 })
        bench.join("a", ["orders"], instance: "i")
        bench.leave("a", instance: "i", comesBack: true)
        // It says that it has nothing, so what it wants no more is free at once.
        #expect(bench.join("a2", ["bills"], instance: "i") == "a2@2 [bills/0 bills/1]")
    }

    @Test("wherever its records are cut, what the one before had is not the successor's as well", arguments: 0...7)
    func cut(lost: Int) throws {
        var bench = self.two()
        bench.leave("a", instance: "i", comesBack: true)
        let before = bench.log.count
        bench.join("a2", instance: "i")
        try #require(bench.log.count - before == 7, "six of the replacement and one of the answer")
        let group = try #require(try bench.recovered(lost: lost)[GroupBench.name])
        let had = group.members.values.flatMap { $0.current.assigned.elements }
        #expect(Set(had).count == had.count)
    }

    @Test("a coordinator that takes over knows who is away")
    func takeover() throws {
        var bench = self.two()
        bench.leave("a", instance: "i", comesBack: true)
        try bench.restart()
        #expect(bench.join("a2", instance: "i") == "a2@1 [orders/1 orders/3]")
        try bench.checkRecovery()
    }
}
