import ApusCore
import KafkaWire
import Testing

@testable import ApusGroups

@Suite("Commits and fetches of positions by member epoch")
struct CommitPermitTests {
    /// What becomes of a commit of one partition.
    private func commit(
        _ bench: GroupBench, _ member: String, _ epoch: Int32, _ partition: String, version: Int16? = 9
    ) -> String {
        do throws(GroupError) {
            let permit = try bench.group.commitPermit(
                member: MemberID(member), epoch: GroupEpoch(rawValue: epoch), version: version
            )
            for partition in bench.topics.partitions(partition) { try bench.group.check(permit, on: partition) }
            return "NONE"
        } catch {
            return error.code.description
        }
    }

    private func fetch(_ bench: GroupBench, _ member: String?, _ epoch: Int32) -> String {
        do throws(GroupError) {
            try bench.group.checkFetch(member: member.map(MemberID.init(rawValue:)), epoch: GroupEpoch(rawValue: epoch))
            return "NONE"
        } catch {
            return error.code.description
        }
    }

    @Test("a member commits what it has, with its epoch")
    func member() {
        var bench = GroupBench()
        bench.join("a")
        #expect(self.commit(bench, "a", 1, "orders/0") == "NONE")
        #expect(self.commit(bench, "a", 2, "orders/0") == "STALE_MEMBER_EPOCH")
        #expect(self.commit(bench, "b", 1, "orders/0") == "UNKNOWN_MEMBER_ID")
        #expect(self.commit(bench, "", -1, "orders/0") == "UNKNOWN_MEMBER_ID")
        #expect(self.commit(bench, "a", -1, "orders/0") == "STALE_MEMBER_EPOCH")
        #expect(self.commit(bench, "a", 1, "orders/0", version: 8) == "UNSUPPORTED_VERSION")
        // With transactions the member may be left out, or not.
        #expect(self.commit(bench, "", -1, "orders/0", version: nil) == "NONE")
        #expect(self.commit(bench, "b", 1, "orders/0", version: nil) == "UNKNOWN_MEMBER_ID")
    }

    @Test("a tool commits while the group is empty")
    func tool() {
        var bench = GroupBench()
        #expect(self.commit(bench, "", -1, "orders/0", version: 2) == "NONE")
        bench.join("a")
        bench.leave("a")
        #expect(self.commit(bench, "", -1, "orders/0", version: 2) == "NONE")
    }

    @Test("an older epoch counts for what the member has had since, and for nothing else")
    func olderEpoch() throws {
        var bench = GroupBench()
        bench.join("a")
        bench.join("b")
        bench.beat("a", 1)
        // Told to give it up, and still working on it.
        #expect(self.commit(bench, "a", 1, "orders/3") == "NONE")
        bench.beat("a", 1, owned: "orders/0 orders/1")
        #expect(self.commit(bench, "a", 1, "orders/0") == "NONE")
        #expect(self.commit(bench, "a", 1, "orders/3") == "STALE_MEMBER_EPOCH")
        bench.beat("b", 2)
        // Another has it now, whatever the epoch.
        #expect(self.commit(bench, "a", 2, "orders/3") == "STALE_MEMBER_EPOCH")
        #expect(self.commit(bench, "b", 2, "orders/3") == "NONE")
        // Back again, and the first time is still over.
        bench.leave("b")
        #expect(bench.beat("a", 2) == "a@3 [orders/0 orders/1 orders/2 orders/3]")
        #expect(self.commit(bench, "a", 1, "orders/3") == "STALE_MEMBER_EPOCH")
        #expect(self.commit(bench, "a", 2, "orders/3") == "STALE_MEMBER_EPOCH")
        #expect(self.commit(bench, "a", 3, "orders/3") == "NONE")
        #expect(self.commit(bench, "a", 1, "orders/0") == "NONE")
        try bench.restart()
        #expect(self.commit(bench, "a", 1, "orders/0") == "NONE")
        #expect(self.commit(bench, "a", 2, "orders/3") == "STALE_MEMBER_EPOCH")
    }

    @Test("positions are fetched with the member's epoch, or by a tool")
    func fetching() {
        var bench = GroupBench()
        bench.join("a")
        #expect(self.fetch(bench, "a", 1) == "NONE")
        #expect(self.fetch(bench, "a", 0) == "STALE_MEMBER_EPOCH")
        #expect(self.fetch(bench, "b", 1) == "UNKNOWN_MEMBER_ID")
        #expect(self.fetch(bench, nil, 1) == "UNKNOWN_MEMBER_ID")
        #expect(self.fetch(bench, nil, -1) == "NONE")
        #expect(self.fetch(bench, "", -1) == "NONE")
    }

    @Test("a topic that members want, by name or pattern, is one the group is subscribed to")
    func subscribed() {
        var bench = GroupBench(["orders": 1, "bills": 1, "notes": 1])
        bench.join("a", ["orders"], pattern: "b.*")
        #expect(["orders", "bills", "notes"].map { bench.group.isSubscribed(to: $0) } == [true, true, false])
    }
}
