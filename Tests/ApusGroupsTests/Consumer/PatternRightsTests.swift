import ApusCore
import Testing

@testable import ApusGroups

@Suite("Patterns and the rights of those who gave them")
struct PatternRightsTests {
    private static let topics: KeyValuePairs<String, Int32> = ["open": 2, "secret": 2]

    /// Joins with a pattern that matches all topics.
    private static func joining(_ member: String, as principal: String?, _ names: [String] = [])
        -> ConsumerGroupHeartbeat
    {
        var request = GroupBench.joining(member, names, pattern: ".*")
        request.principal = principal
        return request
    }

    private static func beating(
        _ member: String, _ epoch: Int32, as principal: String?, owned: PartitionSet? = nil
    ) -> ConsumerGroupHeartbeat {
        GroupBench.request(member, epoch) {
            $0.principal = principal
            $0.owned = owned
        }
    }

    @Test("of two members with one pattern each is given topics that it may be told of, and no others")
    func own() throws {
        var bench = GroupBench(Self.topics)
        bench.topics.hide(["secret"], from: "User:a")
        #expect(bench.send(Self.joining("a", as: "User:a")) == "a@1 [open/0 open/1]")
        bench.send(Self.joining("b", as: "User:b"))
        bench.send(Self.beating("a", 1, as: "User:a", owned: bench.topics.partitions("open/0")))
        let standing = bench.standing.joined(separator: "; ")
        #expect(standing.contains("secret/0") && standing.contains("secret/1"))
        for member in bench.group.members.values where member.profile.principal == "User:a" {
            let given = bench.topics.text(member.current.assigned.union(bench.group.targets[member.id] ?? .empty))
            #expect(!given.contains("secret"))
        }
        try bench.checkRecovery()
    }

    @Test("what nobody may be told of is nobody's, and the others' shares are as if it were not there")
    func nobody() throws {
        var bench = GroupBench(Self.topics)
        for principal in ["User:a", "User:b"] { bench.topics.hide(["secret"], from: principal) }
        let told = bench.send([Self.joining("a", as: "User:a"), Self.joining("b", as: "User:b")])
        #expect(told == ["a@1 [open/0]", "b@1 [open/1]"])
    }

    @Test("who is told of everything has no principal, and names count without a look at rights")
    func unrestricted() throws {
        var bench = GroupBench(Self.topics)
        bench.topics.hide(["open", "secret"], from: "User:a")
        #expect(bench.send(Self.joining("a", as: "User:a", ["open"])) == "a@1 [open/0 open/1]")
        bench.leave("a")
        #expect(bench.send(Self.joining("root", as: nil)).hasSuffix("[open/0 open/1 secret/0 secret/1]"))
    }

    @Test("a right that is taken away takes the partitions with it, one that is given brings them")
    func changing() throws {
        var bench = GroupBench(Self.topics)
        #expect(bench.send(Self.joining("a", as: "User:a")) == "a@1 [open/0 open/1 secret/0 secret/1]")
        #expect(bench.send(Self.beating("a", 1, as: "User:a")) == "a@1")
        bench.topics.hide(["secret"], from: "User:a")
        #expect(bench.send(Self.beating("a", 1, as: "User:a")) == "a@1 [open/0 open/1]")
        let owned = bench.topics.partitions("open/0 open/1")
        #expect(bench.send(Self.beating("a", 1, as: "User:a", owned: owned)) == "a@2")
        // Rights that change nothing for the group move nobody.
        bench.topics.hide(["open"], from: "User:b")
        #expect(bench.send(Self.beating("a", 2, as: "User:a")) == "a@2")
        #expect(bench.lastDecision.records.isEmpty)
        bench.topics.hide([], from: "User:a")
        #expect(bench.send(Self.beating("a", 2, as: "User:a")) == "a@3 [open/0 open/1 secret/0 secret/1]")
        try bench.checkRecovery()
    }

    @Test("groups without patterns do not look at rights")
    func namesOnly() {
        var bench = GroupBench(Self.topics)
        var request = GroupBench.joining("a", ["open"])
        request.principal = "User:a"
        #expect(bench.send(request) == "a@1 [open/0 open/1]")
        bench.topics.hide(["open"], from: "User:a")
        #expect(bench.send(Self.beating("a", 1, as: "User:a")) == "a@1")
        #expect(bench.lastDecision.records.isEmpty)
    }

    @Test("whose pattern it is stays known over a restart, and rights that changed meanwhile are seen")
    func restart() throws {
        var bench = GroupBench(Self.topics)
        bench.topics.hide(["secret"], from: "User:a")
        bench.send(Self.joining("a", as: "User:a"))
        try bench.restart()
        #expect(bench.group.members.values.map(\.profile.principal) == ["User:a"])
        #expect(bench.send(Self.beating("a", 1, as: "User:a")) == "a@1")
        bench.topics.hide([], from: "User:a")
        try bench.restart()
        #expect(bench.send(Self.beating("a", 1, as: "User:a")) == "a@2 [open/0 open/1 secret/0 secret/1]")
    }

    @Test("a member of the time when nobody logged in is looked at anew with its first word")
    func afterTurningOn() throws {
        var bench = GroupBench(Self.topics)
        bench.send([Self.joining("a", as: nil), Self.joining("b", as: nil)])
        bench.topics.hide(["secret"], from: "User:a")
        bench.topics.hide(["secret"], from: "User:b")
        try bench.restart()
        bench.send(Self.beating("a", 1, as: "User:a"))
        bench.send(Self.beating("b", 1, as: "User:b"))
        for target in bench.group.targets.values { #expect(!bench.topics.text(target).contains("secret")) }
    }
}
