import ApusCore
import Testing

@testable import ApusGroups

@Suite("Topics of consumer groups: names, patterns, changes")
struct GroupTopicTests {
    @Test("a topic that grows makes its group assign again")
    func grows() throws {
        var bench = GroupBench(["orders": 1])
        bench.join("a")
        bench.change("orders", 3)
        #expect(bench.beat("a", 1) == "a@2 [orders/0 orders/1 orders/2]")
        bench.change("other", 3)
        #expect(bench.beat("a", 2) == "a@2")
        #expect(bench.lastDecision.records.isEmpty)
        try bench.checkRecovery()
    }

    @Test("a topic that does not exist yet is assigned when it does")
    func created() {
        var bench = GroupBench(["orders": 1])
        #expect(bench.join("a", ["later"]) == "a@1 []")
        #expect(bench.beat("a", 1) == "a@1")
        bench.change("later", 2)
        #expect(bench.beat("a", 1) == "a@2 [later/0 later/1]")
    }

    @Test("partitions of a deleted topic are taken away, and those of its successor are others")
    func deleted() throws {
        var bench = GroupBench(["orders": 1, "bills": 1])
        bench.join("a", ["orders", "bills"])
        let old = bench.topics.partitions("bills/0")
        bench.change("bills", nil)
        #expect(bench.beat("a", 1) == "a@1 [orders/0]")
        bench.change("bills", 1)
        let owned = PartitionSet(bench.topics.partitions("orders/0").union(old))
        #expect(bench.send(GroupBench.request("a", 1) { $0.owned = owned }) == "a@1")
        #expect(bench.beat("a", 1, owned: "orders/0") == "a@3 [orders/0 bills/0]")
        try bench.checkRecovery()
    }

    @Test("a member changes what it wants")
    func otherSubscription() throws {
        var bench = GroupBench(["orders": 1, "bills": 1])
        bench.join("a", ["orders"])
        let change = GroupBench.request("a", 1) { $0.topicNames = ["bills", "orders", "bills"] }
        #expect(bench.send(change) == "a@2 [orders/0 bills/0]")
        #expect(bench.send(GroupBench.request("a", 2) { $0.topicNames = ["bills"] }) == "a@2 [bills/0]")
        #expect(bench.send(GroupBench.request("a", 2) { $0.topicNames = [] }) == "a@2")
        #expect(bench.beat("a", 2, owned: "bills/0") == "a@3 []")
        #expect(bench.standing == ["a@3 [] ← [bills/0]"])
        #expect(bench.beat("a", 3, owned: "") == "a@4")
        try bench.checkRecovery()
    }

    // MARK: Patterns

    @Test("a pattern stands for the topics whose whole names match")
    func pattern() throws {
        var bench = GroupBench(["orders-eu": 1, "orders-us": 1, "old-orders-eu": 1])
        #expect(bench.join("a", [], pattern: "orders-.*") == "a@1 [orders-eu/0 orders-us/0]")
        bench.change("orders-asia", 1)
        #expect(bench.beat("a", 1) == "a@2 [orders-eu/0 orders-us/0 orders-asia/0]")
        bench.change("orders-asia", 2)
        #expect(bench.beat("a", 2) == "a@3 [orders-eu/0 orders-us/0 orders-asia/0 orders-asia/1]")
        bench.change("bills", 2)
        #expect(bench.beat("a", 3) == "a@3")
        bench.change("orders-eu", nil)
        #expect(bench.beat("a", 3) == "a@3 [orders-us/0 orders-asia/0 orders-asia/1]")
        try bench.checkRecovery()
    }

    @Test("names and a pattern together are all of both")
    func both() {
        var bench = GroupBench(["orders": 1, "bills": 1, "notes": 1])
        #expect(bench.join("a", ["bills", "orders"], pattern: "(?i)N.*") == "a@1 [orders/0 bills/0 notes/0]")
    }

    @Test("a pattern that nobody has any more is forgotten")
    func forgotten() throws {
        var bench = GroupBench(["orders": 1])
        bench.send([GroupBench.joining("a", [], pattern: "o.*"), GroupBench.joining("b", [], pattern: "o.*")])
        bench.leave("a")
        #expect(bench.group.patterns.count == 1)
        #expect(bench.send(GroupBench.request("b", 1) { $0.topicPattern = "" }) == "b@3")
        #expect(bench.group.patterns.isEmpty)
        #expect(bench.group.compiled.isEmpty)
        try bench.checkRecovery()
    }

    @Test("a pattern that is none is refused, also of a member that is in, which stays as it was")
    func invalid() {
        var bench = GroupBench()
        bench.join("a", [], pattern: "o.*")
        #expect(bench.send(GroupBench.request("a", 1) { $0.topicPattern = "o(" }) == "INVALID_REGULAR_EXPRESSION")
        #expect(bench.beat("a", 1) == "a@1")
        #expect(bench.group.patterns.keys.sorted() == ["o.*"])
    }

    @Test("a group has so many patterns and no more; those that are there may be shared")
    func manyPatterns() {
        var bench = GroupBench()
        for index in 0..<Limits.topicPatternsPerGroupMax { bench.join("m\(index)", [], pattern: "o{\(index)}") }
        #expect(bench.group.patterns.count == Limits.topicPatternsPerGroupMax)
        #expect(bench.join("late", [], pattern: "p") == "INVALID_REQUEST")
        #expect(bench.join("late", [], pattern: "o{1}").hasPrefix("late@"))
    }

    @Test("what changed while the coordinator was away is found when it is back")
    func changedWhileAway() throws {
        var bench = GroupBench(["orders-eu": 1])
        bench.join("a", [], pattern: "orders-.*")
        bench.topics.set("orders-us", 1)
        try bench.restart()
        #expect(bench.beat("a", 1) == "a@2 [orders-eu/0 orders-us/0]")
    }

    @Test("too many changes to follow one by one are followed all at once")
    func manyChanges() {
        var bench = GroupBench(["orders-eu": 1])
        bench.join("a", [], pattern: "orders-.*")
        bench.topics.set("orders-us", 1)
        bench.groups.topicsChanged(["orders-us"])
        bench.groups.topicsChanged((0..<3 * Limits.topicChangesKept).map { "other-\($0)" })
        #expect(bench.beat("a", 1) == "a@2 [orders-eu/0 orders-us/0]")
    }

    @Test("work that would hold up the loop is given away, and its outcome taken in")
    func givenAway() throws {
        var bench = GroupBench(["orders": 1])
        for index in 0..<300 { bench.topics.set(String(repeating: "a", count: 100 + index % 100) + "\(index)", 1) }
        bench.topics.set("bbb", 1)
        let hostile = "((a|a|a|a|a|a|a|a)*(a|a|a|a|a|a|a)*){5}b+"
        #expect(bench.join("a", [], pattern: hostile) == "a@1 []")
        let work = try #require(bench.lastDecision.patternWork.first)
        // Meanwhile nothing is asked twice.
        #expect(bench.beat("a", 1) == "a@1")
        #expect(bench.lastDecision.patternWork.isEmpty)
        // A topic that comes while the work is done is not forgotten.
        bench.change("b", 1)
        bench.beat("a", 1)
        #expect(bench.lastDecision.patternWork.isEmpty)
        let outcome = PatternWork.Outcome(
            group: work.group, pattern: work.pattern.text, topicNames: ["bbb"], version: bench.topics.version
        )
        _ = bench.groups.resolved(outcome, now: bench.now, wall: bench.wall, topics: bench.topics)
        #expect(bench.beat("a", 1) == "a@2 [bbb/0]")
        bench.finishPatternWork()
        #expect(bench.beat("a", 2) == "a@3 [bbb/0 b/0]")
    }

    // MARK: Assignors

    @Test("the assignor that most members ask for assigns")
    func vote() {
        var bench = GroupBench(["orders": 4])
        bench.send(["a", "b"].map { GroupBench.joining($0, assignor: "range") })
        #expect(bench.standing == ["a@1 [orders/0 orders/1]", "b@1 [orders/2 orders/3]"])
        #expect(bench.group.assignor == .range)
        bench.send(["c", "d"].map { GroupBench.joining($0, assignor: "uniform") })
        #expect(bench.group.assignor == .uniform)
    }

    // MARK: Whole groups

    @Test("an empty group can be deleted, and nothing of it is left")
    func delete() throws {
        var bench = GroupBench()
        bench.join("a", [], pattern: "o.*")
        #expect(throws: GroupError.groupNotEmpty) { try bench.delete() }
        bench.leave("a")
        try bench.delete()
        #expect(bench.groups.groups.isEmpty)
        #expect(try bench.recovered().groups.isEmpty)
        #expect(throws: GroupError.groupNotFound) { try bench.delete() }
    }

    @Test("an empty classic group becomes a consumer group, one in use does not")
    func upgrade() {
        var bench = GroupBench()
        bench.classic[GroupBench.name] = .inUse
        #expect(bench.join("a") == "GROUP_ID_NOT_FOUND")
        #expect(bench.groups.groups.isEmpty)
        bench.classic[GroupBench.name] = .empty
        #expect(bench.beat("a", 1) == "UNKNOWN_MEMBER_ID")
        #expect(bench.lastDecision.classicGroupsReplaced.isEmpty)
        #expect(bench.join("a") == "a@1 [orders/0 orders/1 orders/2 orders/3]")
        #expect(bench.lastDecision.classicGroupsReplaced == [GroupBench.name])
        bench.join("b")
        #expect(bench.lastDecision.classicGroupsReplaced.isEmpty)
    }

    @Test("a description says who has what, and who should")
    func describe() throws {
        var bench = GroupBench(["orders": 2])
        bench.join("a")
        bench.join("b")
        let description = bench.group.describe(bench.topics)
        #expect(description.state == .reconciling)
        #expect(description.epoch == GroupEpoch(rawValue: 2))
        #expect(description.assignmentEpoch == GroupEpoch(rawValue: 2))
        #expect(description.assignor == .uniform)
        #expect(description.members.map(\.id.rawValue) == ["a", "b"])
        let first = try #require(description.members.first)
        #expect(first.assignment.map(\.partitions) == [[0, 1]])
        #expect(first.target.map(\.name) == ["orders"])
        #expect(first.target.map(\.partitions) == [[0]])
        bench.topics.remove("orders")
        #expect(bench.group.describe(bench.topics).members.first?.assignment == [])
    }
}
