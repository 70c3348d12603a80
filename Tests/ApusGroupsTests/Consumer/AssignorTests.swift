import ApusCore
import ApusFakes
import Testing

@testable import ApusGroups

@Suite("Assignors")
struct AssignorTests {
    /// A problem by words: topics with their partitions, and what each member wants.
    private struct Case {
        var topics: FakeTopics
        var wants: [(member: String, topics: [String])]
        var before: [String: PartitionSet] = [:]

        var problem: AssignmentProblem {
            let topics = self.topics.all.sorted { $0.id < $1.id }
            let members = self.wants.map { member, names in
                AssignmentProblem.Member(
                    order: member,
                    topics: topics.indices.filter { names.contains(topics[$0].name) },
                    before: self.before[member] ?? .empty
                )
            }
            return AssignmentProblem(topics: topics, members: members)
        }

        mutating func assign(_ assignor: Assignor) -> [PartitionSet] {
            let result = assignor.assign(self.problem)
            for (want, partitions) in zip(self.wants, result) { self.before[want.member] = partitions }
            return result
        }

        mutating func text(_ assignor: Assignor) -> [String] { self.assign(assignor).map { self.topics.text($0) } }
    }

    @Test("uniform: the partitions of each topic go round")
    func uniformSpreads() {
        var given = Case(topics: ["t": 3, "u": 3], wants: [("a", ["t", "u"]), ("b", ["t", "u"])])
        #expect(given.text(.uniform) == ["t/0 t/2 u/1", "t/1 u/0 u/2"])
    }

    @Test("uniform: who comes gets its share from those that have most, who goes leaves it to those that have least")
    func uniformSticks() {
        var given = Case(topics: ["t": 6], wants: [("a", ["t"]), ("b", ["t"])])
        #expect(given.text(.uniform) == ["t/0 t/2 t/4", "t/1 t/3 t/5"])
        given.wants.append(("c", ["t"]))
        #expect(given.text(.uniform) == ["t/0 t/2", "t/1 t/3", "t/4 t/5"])
        given.wants.removeFirst()
        given.before["a"] = nil
        #expect(given.text(.uniform) == ["t/0 t/1 t/3", "t/2 t/4 t/5"])
    }

    @Test("uniform: more members than partitions")
    func uniformMoreMembers() {
        var given = Case(topics: ["t": 2], wants: [("a", ["t"]), ("b", ["t"]), ("c", ["t"])])
        #expect(given.text(.uniform) == ["t/0", "t/1", ""])
        given.wants.insert(("0", ["t"]), at: 0)
        #expect(given.text(.uniform) == ["", "t/0", "t/1", ""])
    }

    @Test("uniform: members that want different topics are as even as their wishes allow")
    func uniformUnlike() {
        var given = Case(
            topics: ["t": 4, "u": 2], wants: [("a", ["t", "u"]), ("b", ["t"]), ("c", ["u"])]
        )
        let loads = given.assign(.uniform).map(\.count)
        #expect(loads == [2, 2, 2])
        #expect(given.before["c"] == given.topics.partitions("u/0 u/1"))
    }

    @Test("range: each topic in ranges, alike for topics of one size, by instance before member")
    func range() {
        var given = Case(
            topics: ["t": 5, "u": 5, "v": 1], wants: [("b", ["t", "u", "v"]), ("a", ["t", "u"]), ("c", [])]
        )
        #expect(given.text(.range) == ["t/3 t/4 u/3 u/4 v/0", "t/0 t/1 t/2 u/0 u/1 u/2", ""])
    }

    @Test("nobody and nothing", arguments: Assignor.allCases)
    func nothing(assignor: Assignor) {
        var nobody = Case(topics: ["t": 5], wants: [])
        #expect(nobody.text(assignor) == [])
        var nothing = Case(topics: [:], wants: [("a", ["t"]), ("b", [])])
        #expect(nothing.text(assignor) == ["", ""])
    }

    @Test("whatever members and topics come and go, targets are whole, even and stick", arguments: 0..<4)
    func random(chunk: Int) {
        for seed in 0..<150 {
            var dice = SplitMix64(seed: UInt64(chunk * 1000 + seed))
            let isAlike = dice.isOne(in: 2)
            let names = (0..<1 + dice.below(6)).map { "t\($0)" }
            var given = Case(topics: FakeTopics(), wants: [])
            for name in names { given.topics.set(name, Int32(dice.below(8))) }
            for round in 0..<6 {
                for _ in 0..<dice.below(4) {
                    given.wants.append(
                        ("m\(round)-\(given.wants.count)", isAlike ? names : names.filter { _ in dice.isOne(in: 2) })
                    )
                }
                if !given.wants.isEmpty, dice.isOne(in: 2) {
                    given.before[given.wants.remove(at: dice.below(given.wants.count)).member] = nil
                }
                if dice.isOne(in: 3) { given.topics.set(names[dice.below(names.count)], Int32(dice.below(12))) }
                let before = given.before
                let sets = given.assign(.uniform)
                Self.check(given, sets, isAlike: isAlike, seed: seed)
                // Once more, and nothing moves.
                #expect(given.assign(.uniform) == sets, "seed \(seed)")
                if isAlike { Self.checkSticking(given, before, sets, seed: seed) }
                Self.check(given, Assignor.range.assign(given.problem), isAlike: nil, seed: seed)
            }
        }
    }

    /// - Parameter isAlike: nil for range, which is even by topic only.
    private static func check(_ given: Case, _ sets: [PartitionSet], isAlike: Bool?, seed: Int) {
        var owner: [TopicPartition: Int] = [:]
        for (index, set) in sets.enumerated() {
            for partition in set {
                #expect(owner.updateValue(index, forKey: partition) == nil, "two owners, seed \(seed)")
                let name = given.topics.topic(id: partition.topic)?.name ?? ""
                #expect(given.wants[index].topics.contains(name), "unwanted, seed \(seed)")
            }
        }
        let load = sets.map(\.count)
        for topic in given.topics.all {
            let takers = given.wants.indices.filter { given.wants[$0].topics.contains(topic.name) }
            var byTaker: [Int: Int] = [:]
            for index in 0..<topic.partitionCount where !takers.isEmpty {
                let partition = TopicPartition(topic: topic.id, partition: PartitionIndex(rawValue: index))
                guard let holder = owner[partition] else {
                    Issue.record("\(partition) has no owner, seed \(seed)")
                    continue
                }
                byTaker[holder, default: 0] += 1
                if isAlike != nil {
                    let least = takers.map { load[$0] }.min() ?? 0
                    #expect(load[holder] - least < 2, "could move, seed \(seed)")
                }
            }
            if isAlike == nil, !takers.isEmpty {
                let counts = takers.map { byTaker[$0] ?? 0 }
                #expect((counts.max() ?? 0) - (counts.min() ?? 0) <= 1, "range not even, seed \(seed)")
            }
        }
        if isAlike == true { #expect((load.max() ?? 0) - (load.min() ?? 0) <= 1, "not even, seed \(seed)") }
    }

    /// Everybody kept as much of what it had as its share allows.
    private static func checkSticking(
        _ given: Case, _ before: [String: PartitionSet], _ sets: [PartitionSet], seed: Int
    ) {
        let share = sets.reduce(0) { $0 + $1.count } / max(1, sets.count)
        for (want, now) in zip(given.wants, sets) {
            let still = (before[want.member] ?? .empty).filter { partition in
                given.topics.topic(id: partition.topic).map { $0.partitionCount > partition.partition.rawValue }
                    ?? false
            }
            let kept = now.intersection(PartitionSet(still)).count
            #expect(kept >= min(still.count, share), "moved without need, seed \(seed)")
        }
    }
}

extension FakeTopics: ExpressibleByDictionaryLiteral {
    init(dictionaryLiteral topics: (String, Int32)...) {
        self.init()
        for (name, partitions) in topics { self.set(name, partitions) }
    }
}
