import ApusCore
import ApusSubscriptions
import Testing

@Suite("Groups on their way into the catalogue")
struct SeenGroupsTests {
    private let owner = ConsumerName("User:alice")

    private func name(_ text: String) -> SubscriptionName { SubscriptionName(text) }

    @Test("what waits is bounded in groups and in topics of all groups; what is known already takes no room")
    func bounded() {
        var seen = SeenGroups(groupsMax: 2, topicsMax: 5)
        seen.add(self.name("a"), owner: self.owner, topics: ["t1", "t2", "t3"])
        seen.add(self.name("a"), owner: self.owner, topics: ["t1", "t2", "t3"])
        #expect(seen.topicCount == 3)
        seen.add(self.name("b"), owner: self.owner, topics: ["t4", "t3", "t2", "t1"])
        // The first by name.
        #expect(seen[self.name("b")]?.topics == ["t1", "t2"])
        seen.add(self.name("b"), owner: self.owner, topics: ["t9"])
        seen.add(self.name("c"), owner: self.owner, topics: [])
        #expect((seen.count, seen.topicCount) == (2, 5))
        seen.remove(self.name("a"))
        seen.add(self.name("b"), owner: self.owner, topics: ["t9"])
        #expect((seen.count, seen.topicCount) == (1, 3))
    }

    @Test("one group can not take the room of all")
    func oneGroup() {
        var seen = SeenGroups()
        for round in 0..<3 {
            let topics = Set((0..<Limits.topicNamesPerMemberMax).map { "\(round)-\($0)" })
            seen.add(self.name("a"), owner: self.owner, topics: topics)
        }
        #expect(seen.topicCount == Limits.topicNamesPerMemberMax)
    }

    @Test("who takes them over keeps the bounds, and counts what the catalogue did not take")
    func taken() {
        var seen = SeenGroups()
        seen.add(self.name("a"), owner: self.owner, topics: ["t1", "t2"])
        seen.add(self.name("b"), owner: self.owner, topics: ["t1"])
        var waiting = SeenGroups(groupsMax: 9, topicsMax: 3)
        waiting.add(self.name("a"), owner: self.owner, topics: ["t2", "t3"])
        waiting.add(seen.take())
        #expect(seen.isEmpty && seen.topicCount == 0)
        #expect((waiting.count, waiting.topicCount) == (2, 3))
        #expect(waiting.refused(self.name("a")) == 1)
        #expect(waiting.refused(self.name("a")) == 2)
        #expect(waiting.remove(self.name("a"))?.attempts == 2)
    }
}
