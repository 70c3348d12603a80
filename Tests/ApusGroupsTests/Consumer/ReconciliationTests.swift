import ApusCore
import Testing

@testable import ApusGroups

@Suite("One member on its way to its target")
struct ReconciliationTests {
    private let topics = FakeTopics(["t": 10])

    /// `stable 3 [t/0] ← [t/1]`
    private func step(
        _ state: ConsumerMember.State, _ epoch: Int32, has: String, revoking: String = "", target: String,
        _ targetEpoch: Int32, owned: String? = nil, before: String? = nil, denied: Bool = false, missed: Bool = false,
        joins: Bool = false,
        taken: String = ""
    ) -> String {
        var current = ConsumerMember.Current()
        current.state = state
        current.epoch = GroupEpoch(rawValue: epoch)
        current.previousEpoch = current.epoch
        current.assigned = self.topics.partitions(has)
        current.assignedAt = current.assigned.map { _ in current.epoch }
        current.revoking = self.topics.partitions(revoking)
        let taken = self.topics.partitions(taken)
        let next = Reconciliation(
            current: current, targetEpoch: GroupEpoch(rawValue: targetEpoch), target: self.topics.partitions(target),
            report: OwnershipReport(
                owned: owned.map { self.topics.partitions($0) }, before: before.map { self.topics.partitions($0) },
                hasDenied: denied, mayHaveMissed: missed, isJoin: joins
            )
        ).next { !taken.contains($0) }
        #expect(next.assigned.count == next.assignedAt.count)
        let revoked = next.revoking.isEmpty ? "" : " ← [\(self.topics.text(next.revoking))]"
        return "\(next.state) \(next.epoch) [\(self.topics.text(next.assigned))]" + revoked
    }

    @Test("stable, and there is no newer target: nothing happens")
    func nothing() {
        #expect(self.step(.stable, 3, has: "t/0", target: "t/5", 3) == "stable 3 [t/0]")
    }

    @Test("stable, and the new target only adds what is free: stable at the new epoch")
    func adds() {
        #expect(self.step(.stable, 3, has: "t/0", target: "t/0 t/1", 5) == "stable 5 [t/0 t/1]")
        #expect(self.step(.stable, 3, has: "t/0", target: "t/0", 5) == "stable 5 [t/0]")
    }

    @Test("stable, and what is added is not free: it gets the rest, and waits")
    func waits() {
        #expect(self.step(.stable, 3, has: "t/0", target: "t/0 t/1 t/2", 5, taken: "t/1") == "unreleased 5 [t/0 t/2]")
        #expect(self.step(.stable, 3, has: "t/0", target: "t/0 t/1", 5, taken: "t/1") == "unreleased 5 [t/0]")
    }

    @Test("stable, and something is to be given up: that first, at the old epoch, and nothing is added meanwhile")
    func revokes() {
        #expect(self.step(.stable, 3, has: "t/0 t/1", target: "t/1 t/2", 5) == "unrevoked 3 [t/1] ← [t/0]")
        #expect(
            self.step(.stable, 3, has: "t/0 t/1", target: "t/1 t/2", 5, owned: "t/0 t/1") == "unrevoked 3 [t/1] ← [t/0]"
        )
    }

    @Test("what it had and has no more is free at once; what it only was told of, it may be about to take")
    func saysBeforeItIsTold() {
        func step(_ owned: String?, before: String?, joins: Bool = false) -> String {
            self.step(
                .stable, 3, has: "t/0 t/1", target: "t/1 t/2", 5, owned: owned, before: before, joins: joins
            )
        }
        #expect(step("t/1", before: "t/0 t/1") == "stable 5 [t/1 t/2]")
        #expect(step("t/1", before: "t/1") == "unrevoked 3 [t/1] ← [t/0]")
        #expect(step("t/1", before: nil) == "unrevoked 3 [t/1] ← [t/0]")
        #expect(step(nil, before: "t/1") == "unrevoked 3 [t/1] ← [t/0]")
        #expect(step("", before: nil, joins: true) == "stable 5 [t/1 t/2]")
    }

    @Test("unrevoked, and the answer that told it may be lost: then only what it had before counts as given up")
    func missedAnswer() {
        func step(_ owned: String?, before: String?, denied: Bool = false, missed: Bool) -> String {
            self.step(
                .unrevoked, 3, has: "t/1", revoking: "t/0", target: "t/1", 5, owned: owned, before: before,
                denied: denied, missed: missed
            )
        }
        #expect(step("t/1", before: "t/0 t/1", missed: true) == "stable 5 [t/1]")
        #expect(step("t/1", before: "t/1", missed: true) == "unrevoked 3 [t/1] ← [t/0]")
        #expect(step("t/1", before: nil, missed: true) == "unrevoked 3 [t/1] ← [t/0]")
        // The next word, which repeats nothing, shows that it heard; what it has is as it said meanwhile.
        #expect(step(nil, before: "t/1", denied: true, missed: false) == "stable 5 [t/1]")
        #expect(step(nil, before: "t/1", missed: false) == "unrevoked 3 [t/1] ← [t/0]")
    }

    @Test("unrevoked, until the member says that it has given all of it up")
    func unrevoked() {
        func step(_ owned: String?) -> String {
            self.step(.unrevoked, 3, has: "t/1", revoking: "t/0 t/9", target: "t/1 t/2", 5, owned: owned)
        }
        #expect(step(nil) == "unrevoked 3 [t/1] ← [t/0 t/9]")
        #expect(step("t/1 t/9") == "unrevoked 3 [t/1] ← [t/0 t/9]")
        #expect(step("t/1") == "stable 5 [t/1 t/2]")
        #expect(step("") == "stable 5 [t/1 t/2]")
    }

    @Test("unrevoked, and meanwhile the target took more away: the next epoch, and that is to be given up")
    func unrevokedAgain() {
        #expect(
            self.step(.unrevoked, 3, has: "t/1", revoking: "t/0", target: "t/2", 5, owned: "t/1")
                == "unrevoked 4 [] ← [t/1]"
        )
    }

    @Test("unreleased, until others have given it up; or the target changes")
    func unreleased() {
        #expect(self.step(.unreleased, 5, has: "t/0", target: "t/0 t/1", 5, taken: "t/1") == "unreleased 5 [t/0]")
        #expect(self.step(.unreleased, 5, has: "t/0", target: "t/0 t/1", 5) == "stable 5 [t/0 t/1]")
        #expect(self.step(.unreleased, 5, has: "t/0", target: "t/3", 6) == "unrevoked 5 [] ← [t/0]")
    }

    @Test("a state of a later format is resolved with the next heartbeat")
    func unknown() {
        #expect(self.step(.unknown, 5, has: "t/0", revoking: "t/1", target: "t/0", 5) == "unknown 5 [t/0] ← [t/1]")
        #expect(self.step(.unknown, 5, has: "t/0", revoking: "t/1", target: "t/0", 5, owned: "") == "stable 5 [t/0]")
        #expect(self.step(.unknown, 5, has: "t/0", target: "t/0 t/1", 5) == "stable 5 [t/0 t/1]")
    }
}
