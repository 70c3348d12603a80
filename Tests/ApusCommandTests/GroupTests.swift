import ApusClient
import ApusCommand
import ApusCore
import Testing

private func place(
    _ partition: Int32, at position: Int64?, _ range: ClosedRange<Int64>, timed: Int64? = nil
) -> GroupSeekPlan.Place {
    GroupSeekPlan.Place(
        NamedPartition("orders", PartitionIndex(rawValue: partition)), position: position.map(Offset.init(rawValue:)),
        start: Offset(rawValue: range.lowerBound), end: Offset(rawValue: range.upperBound),
        timed: timed.map(Offset.init(rawValue:)))
}

private func lag(_ topic: String, _ partition: Int32, at position: Int64?, end: Int64?, start: Int64 = 0) -> GroupLag {
    GroupLag(
        partition: NamedPartition(topic, PartitionIndex(rawValue: partition)),
        position: position.map { GroupPosition(Offset(rawValue: $0)) }, start: end.map { _ in Offset(rawValue: start) },
        end: end.map(Offset.init(rawValue:)), member: nil)
}

@Suite("Where a seek takes a group") struct GroupSeekPlanTests {
    private let places = [place(1, at: 50, 10...100, timed: 70), place(0, at: 5, 10...20)]

    @Test(
        "each target, in each partition, never outside of it",
        arguments: [
            (.start, [10, 10]), (.end, [20, 100]), (.offset(Offset(rawValue: 15)), [15, 15]),
            (.offset(Offset(rawValue: 3)), [10, 10]), (.offset(Offset(rawValue: .max)), [20, 100]),
            // Without a record of that time or later: the end.
            (.time(Timestamp(rawValue: 1)), [20, 70]), (.by(7), [12, 57]), (.by(-100), [10, 10]),
            (.by(.max), [20, 100]), (.by(.min), [10, 10]),
        ] as [(GroupSeekPlan.Target, [Int64])])
    func targets(target: GroupSeekPlan.Target, offsets: [Int64]) {
        let plan = GroupSeekPlan(target, self.places)
        #expect(plan.moves.map(\.target.rawValue) == offsets)
        #expect(plan.moves.map(\.place.partition.partition.rawValue) == [0, 1])
    }

    @Test("what stays is shown and not committed; what has no position gets one, but not relative to nothing")
    func committed() {
        let places = [place(0, at: 10, 0...10), place(1, at: nil, 0...10), place(2, at: 4, 0...10)]
        let plan = GroupSeekPlan(.end, places)
        #expect(plan.moves.count == 3)
        #expect(plan.positions.keys.map(\.partition.rawValue).sorted() == [1, 2])
        #expect(GroupSeekPlan(.by(1), places).moves.count == 2)
        #expect(
            plan.listing(isDone: false).rendered(as: .raw) == """
                orders\t0\t0\t10\t10\t10\t0\t0\tstays
                orders\t1\t0\t10\t\t10\t\t0\twould move
                orders\t2\t0\t10\t4\t10\t6\t0\twould move

                """)
        #expect(plan.listing(isDone: true).rendered(as: .raw).contains("\tmoved\n"))
    }

    @Test("what some partitions refused is said of each, and is a failure with the command for the rest")
    func refused() throws {
        let places = (0..<4).map { place(Int32($0), at: 5, 0...10) }
        let plan = GroupSeekPlan(.by(1), places)
        #expect(plan.failure(of: [:]) == nil)
        var refused = [places[3].partition: ApusError(.notAuthorized, "orders/3: not for you")]
        refused[places[1].partition] = ApusError(.refused, "not now")
        let rows = plan.listing(isDone: true, refused: refused).rendered(as: .raw).split(separator: "\n")
        #expect(
            rows.map { $0.split(separator: "\t").last } == [
                "moved", "refused: not now", "moved", "refused: orders/3: not for you",
            ])
        let failure = try #require(plan.failure(of: refused))
        #expect(failure.exit == .failure && failure.code == "partly_done")
        #expect(failure.message == "2 of 4 partitions were not moved; \(places[1].partition): not now")
        #expect(failure.next == "the same again with --topic orders:1,3")
        refused = refused.mapValues { _ in ApusError(.refused, "not now", isRetryable: true) }
        #expect(plan.failure(of: refused)?.exit == .retryable)
    }
}

@Suite("A subscription that could not be placed") struct NotPlacedTests {
    @Test(
        "it says that it is there, and the command that places it",
        arguments: [
            (.earliest, "--to-start"), (.latest, "--to-end"),
            (.time(Timestamp(rawValue: 1_763_719_200_123)), "--to-time 2025-11-21T10:00:00.123Z"),
        ] as [(Subscription.Start, String)])
    func notPlaced(start: Subscription.Start, target: String) throws {
        let failure = SubscriptionWords.notPlaced("billing", at: start, ApusError(.groupNotEmpty, "it has members"))
        #expect(failure.code == "not_placed" && failure.exit == .failure)
        #expect(failure.message == "subscription 'billing' was created, but not placed: it has members")
        #expect(failure.next == "apus subscription seek billing \(target) --execute")
        if case .time(let time) = start {
            let word = try #require(target.split(separator: " ").last)
            #expect(CivilTime.parse(String(word)) == time)
        }
    }
}

@Suite("How far behind groups are") struct LagTests {
    @Test("lag counts what is left, not what retention took, and nothing where nothing is known")
    func lag() {
        #expect(ApusCommandTests.lag("t", 0, at: 3, end: 10).lag == 7)
        #expect(ApusCommandTests.lag("t", 0, at: 3, end: 10, start: 6).lag == 4)
        #expect(ApusCommandTests.lag("t", 0, at: 12, end: 10).lag == 0)
        #expect(ApusCommandTests.lag("t", 0, at: nil, end: 10).lag == nil)
        #expect(ApusCommandTests.lag("t", 0, at: 3, end: nil).lag == nil)
    }

    private func table(by grain: LagTable.Grain) -> LagTable {
        var table = LagTable(by: grain)
        table.add(
            [
                ApusCommandTests.lag("a", 0, at: 0, end: 5), ApusCommandTests.lag("a", 1, at: nil, end: 5),
                ApusCommandTests.lag("b", 0, at: 0, end: 9),
            ], of: "billing")
        table.add([ApusCommandTests.lag("a", 0, at: 0, end: 100)], of: "search")
        table.add([], of: "idle")
        return table
    }

    @Test("rows are sums, the farthest behind first; a group without positions is a row of groups")
    func sums() {
        #expect(
            self.table(by: .group).listing().rendered(as: .raw)
                == "search\t1\t0\t100\t100\nbilling\t3\t1\t14\t9\nidle\t0\t0\t0\t0\n")
        #expect(
            self.table(by: .topic).listing().rendered(as: .raw)
                == "search\ta\t1\t0\t100\t100\nbilling\tb\t1\t0\t9\t9\nbilling\ta\t2\t1\t5\t5\n")
        #expect(
            self.table(by: .partition).listing(first: 3).rendered(as: .raw)
                == "search\ta\t0\t100\nbilling\tb\t0\t9\nbilling\ta\t0\t5\n")
    }
}

@Suite struct PartitionChoiceTests {
    @Test("a topic is all of it, a list is that list")
    func choices() throws {
        let all = try PartitionChoice("orders")
        #expect(all.topic == "orders" && all.partitions == nil && all.holds(PartitionIndex(rawValue: 7)))
        let some = try PartitionChoice("orders:0,2,5-7")
        #expect(some.partitions?.map(\.rawValue).sorted() == [0, 2, 5, 6, 7])
        #expect(!some.holds(PartitionIndex(rawValue: 1)))
    }

    @Test(
        "what names no partitions is refused",
        arguments: ["", ":1", "t:", "t:x", "t:-1", "t:1,,2", "t:3-1", "t:1-2-3", "t:0-2000000000"])
    func refused(text: String) {
        #expect(throws: CommandFailure.self) { try PartitionChoice(text) }
    }
}
