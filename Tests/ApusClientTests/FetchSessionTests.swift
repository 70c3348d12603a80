import ApusCore
import KafkaWire
import Testing

@testable import ApusClient

@Suite("What a fetch session says")
struct FetchSessionTests {
    private func places(_ offsets: [Int32: Int64]) -> [(PartitionIndex, FetchSession.Place)] {
        offsets.sorted { $0.key < $1.key }.map { index, offset in
            (
                PartitionIndex(rawValue: index),
                FetchSession.Place(offset: Offset(rawValue: offset), leaderEpoch: Epoch(rawValue: 0))
            )
        }
    }

    private func text(_ step: FetchSession.Step) -> String {
        "\(step.id)/\(step.epoch) +\(step.named.map(\.rawValue)) -\(step.forgotten.map(\.rawValue))"
    }

    @Test("all at first, then what moved, came or went")
    func steps() {
        var session = FetchSession()
        #expect(self.text(session.next(self.places([0: 0, 1: 0]))) == "0/0 +[0, 1] -[]")
        session.answered(7)
        #expect(self.text(session.next(self.places([0: 5, 1: 0]))) == "7/1 +[0] -[]")
        session.answered(7)
        #expect(self.text(session.next(self.places([0: 5, 2: 1]))) == "7/2 +[2] -[1]")
        session.answered(7)
        session.doubted(PartitionIndex(rawValue: 0))
        #expect(self.text(session.next(self.places([0: 5, 2: 1]))) == "7/3 +[0] -[]")
    }

    @Test("a broker that gives no session is told all each time")
    func none() {
        var session = FetchSession()
        for _ in 0..<3 {
            #expect(self.text(session.next(self.places([0: 0]))) == "0/0 +[0] -[]")
            session.answered(0)
        }
    }

    @Test("after a lost answer the old session is replaced, after a refusal a new one asked for")
    func lost() {
        var session = FetchSession()
        _ = session.next(self.places([0: 0]))
        session.answered(7)
        session.lost()
        #expect(self.text(session.next(self.places([0: 0]))) == "7/0 +[0] -[]")
        session.answered(8)
        session.refused()
        #expect(self.text(session.next(self.places([0: 0]))) == "0/0 +[0] -[]")
    }
}
