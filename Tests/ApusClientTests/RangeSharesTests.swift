import ApusCore
import KafkaWire
import Testing

@testable import ApusClient

@Suite("Positions in as many requests as they need") struct PositionPieceTests {
    @Test("none is larger than a broker takes, and none is missing", arguments: [0, 1, 10_000, 10_001, 25_000])
    func pieces(count: Int) {
        let positions = (0..<count).reduce(into: [NamedPartition: GroupPosition]()) {
            $0[NamedPartition("t", PartitionIndex(rawValue: Int32($1)))] = GroupPosition(Offset(rawValue: Int64($1)))
        }
        let pieces = GroupAdmin.pieces(of: positions)
        #expect(pieces.allSatisfy { !$0.isEmpty && $0.count <= ClientLimits.positionsPerRequestMax })
        #expect(pieces.count == (count + 9_999) / 10_000)
        #expect(pieces.reduce(into: [:]) { $0.merge($1) { $1 } } == positions)
    }
}

@Suite("How a leader shares partitions out") struct RangeSharesTests {
    private func member(_ id: String, _ topics: [String], instance: String? = nil) -> RangeShares.Member {
        RangeShares.Member(id: id, instanceID: instance, topics: topics)
    }

    private func text(_ shares: [String: [ConsumerSubscription.TopicPartitions]]) -> [String] {
        shares.sorted { $0.key < $1.key }.map { member, topics in
            "\(member): " + topics.map { "\($0.topic)\($0.partitions)" }.joined(separator: " ")
        }
    }

    @Test("ranges in the order of the members' ids, the first ones longer, topic by topic")
    func ranges() {
        let members = [member("b", ["t", "u"]), member("a", ["t"]), member("c", ["t", "u"])]
        #expect(
            self.text(RangeShares.shares(of: ["t": 7, "u": 1], among: members))
                == ["a: t[0, 1, 2]", "b: t[3, 4] u[0]", "c: t[5, 6]"])
    }

    @Test("a member that came back under its instance id has its place in the order")
    func instances() {
        let members = [member("zz-new", ["t"], instance: "one"), member("aa", ["t"], instance: "two")]
        #expect(self.text(RangeShares.shares(of: ["t": 2], among: members)) == ["aa: t[1]", "zz-new: t[0]"])
    }

    @Test("nobody wants it, or it is not there: nobody has it; more members than partitions: some have nothing")
    func nothing() {
        #expect(RangeShares.shares(of: ["t": 3], among: [member("a", ["u"])]).isEmpty)
        #expect(RangeShares.shares(of: [:], among: [member("a", ["u"])]).isEmpty)
        #expect(RangeShares.shares(of: ["t": 3], among: []).isEmpty)
        #expect(
            self.text(RangeShares.shares(of: ["t": 1], among: [member("a", ["t"]), member("b", ["t"])])).count == 1)
    }

    @Test("every partition is given once, whatever the numbers", arguments: 0..<50 as Range<UInt64>)
    func once(seed: UInt64) {
        var chance = SplitMix(seed: seed)
        let topics = ["a", "b", "c"]
        let counts = Dictionary(uniqueKeysWithValues: topics.map { ($0, Int(chance.next() % 20)) })
        let members = (0..<Int(chance.next() % 9 + 1)).map { index in
            self.member("m\(index)", topics.filter { _ in chance.next() % 3 > 0 })
        }
        let shares = RangeShares.shares(of: counts, among: members)
        for topic in topics {
            let given = shares.values.flatMap { $0 }.filter { $0.topic == topic }.flatMap(\.partitions).sorted()
            let isWanted = members.contains { $0.topics.contains(topic) }
            #expect(given == (isWanted ? (0..<Int32(counts[topic] ?? 0)).map { $0 } : []))
        }
    }
}
