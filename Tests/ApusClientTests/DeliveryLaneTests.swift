import ApusCore
import KafkaWire
import NIOCore
import Testing

@testable import ApusClient

/// A lane, a clock and batches with one record each, for transcripts.
final class LaneBench {
    var lane: DeliveryLane
    var now = Instant(nanoseconds: 1)
    var identity: ProducerIdentity? = ProducerIdentity(id: 7, epoch: 0)
    private var numberNext: UInt64 = 0

    init(isIdempotent: Bool = true, inFlightMax: Int = 5, deliveryTimeout: Duration = .seconds(120)) {
        self.lane = DeliveryLane(
            topic: "t", partition: PartitionIndex(rawValue: 0), isIdempotent: isIdempotent,
            inFlightMax: inFlightMax, deliveryTimeout: deliveryTimeout)
    }

    func batch(_ value: String? = nil) -> ProduceBatch {
        defer { self.numberNext += 1 }
        var open = OpenBatch(
            number: BatchNumber(rawValue: self.numberNext), lane: LaneID(index: 0), openedAt: self.now, codec: .none,
            byteCountHint: 100)
        let text = value ?? "\(self.numberNext)"
        open.append(ProducerRecord(ByteBuffer(string: text)), timestamp: Timestamp(rawValue: 1), reply: nil)
        return ProduceBatch(open)
    }

    func send(_ count: Int = 1) -> [ProduceBatch] {
        (0..<count).map { _ in
            let batch = self.batch()
            return self.lane.send(batch, as: self.identity)
        }
    }

    func resend() -> [ProduceBatch] {
        var all: [ProduceBatch] = []
        while let batch = self.lane.resend(at: self.now, as: self.identity) { all.append(batch) }
        return all
    }

    func answer(_ batch: ProduceBatch, _ outcome: DeliveryLane.Outcome, wait: Duration = .zero)
        -> DeliveryLane.Verdict?
    {
        self.lane.answered(batch.number, outcome, at: self.now, wait: wait)
    }

    var room: Int { self.lane.room(at: self.now, as: self.identity) }

    /// The first batch is delivered, so that more than one may be on its way.
    func confirm() {
        for batch in self.send() { _ = self.answer(batch, .written(.zero, .none)) }
    }
}

extension DeliveryLane.Outcome {
    static func refused(_ code: KafkaErrorCode) -> Self { .refused(code, code.error("t/0")) }
    static let lost = Self.lost(
        ApusError(.connectionLost, "gone", isRetryable: true, isIndefinite: true))
}

extension ProduceBatch {
    var place: String {
        guard let header = try? RecordBatchHeader(from: self.bytes) else { return "unreadable" }
        return "\(header.producerEpoch):\(header.baseSequence)"
    }
}

@Suite("What is on its way to one partition")
struct DeliveryLaneTests {
    @Test("the first batch of a producer goes alone, later ones five at a time")
    func firstAlone() {
        let bench = LaneBench()
        #expect(bench.room == 1)
        let first = bench.send()
        #expect(bench.room == 0)
        _ = bench.answer(first[0], .written(.zero, .none))
        #expect(bench.room == 5)
        let next = bench.send(3)
        #expect(next.map(\.place) == ["0:1", "0:2", "0:3"])
        #expect(bench.room == 2)
    }

    @Test("a lost batch is sent again with its sequence, after those behind it came back, and before anything new")
    func lost() {
        let bench = LaneBench()
        bench.confirm()
        let sent = bench.send(3)
        #expect(bench.answer(sent[0], .lost) == nil)
        #expect(bench.room == 0 && bench.resend().isEmpty)
        #expect(bench.answer(sent[1], .refused(.outOfOrderSequenceNumber)) == nil)
        #expect(bench.answer(sent[2], .refused(.outOfOrderSequenceNumber)) == nil)
        let again = bench.resend()
        #expect(again.map(\.place) == ["0:1", "0:2", "0:3"])
        #expect(again.map(\.number) == sent.map(\.number))
        // What is new may follow behind.
        #expect(bench.room == 2)
        for batch in again { #expect(bench.answer(batch, .written(.zero, .none)) != nil) }
        #expect(bench.room == 5 && bench.lane.isIdle)
    }

    @Test("a repeated batch that the broker already has counts as delivered")
    func duplicate() {
        let bench = LaneBench()
        bench.confirm()
        let sent = bench.send()
        _ = bench.answer(sent[0], .lost)
        let again = bench.resend()
        let verdict = bench.answer(again[0], .refused(.duplicateSequenceNumber))
        guard case .delivered(_, let offset, _)? = verdict else {
            Issue.record("not delivered")
            return
        }
        #expect(offset == nil)
    }

    @Test("a batch refused for good breaks the sequence: those behind it get new ones in the next epoch")
    func refusedForGood() throws {
        let bench = LaneBench()
        bench.confirm()
        let sent = bench.send(3)
        guard case .failed(_, let error)? = bench.answer(sent[0], .refused(.messageTooLarge)) else {
            Issue.record("not failed")
            return
        }
        #expect(error.code == .recordTooLarge && !error.isIndefinite)
        _ = bench.answer(sent[1], .refused(.outOfOrderSequenceNumber))
        _ = bench.answer(sent[2], .refused(.outOfOrderSequenceNumber))
        let first = bench.resend()
        // Alone, until the broker confirmed the new epoch.
        #expect(first.map(\.place) == ["1:0"])
        _ = bench.answer(first[0], .written(.zero, .none))
        #expect(bench.resend().map(\.place) == ["1:1"])
    }

    @Test("with nothing behind it, a batch refused for good costs the next one an epoch")
    func gap() {
        let bench = LaneBench()
        bench.confirm()
        let sent = bench.send()
        _ = bench.answer(sent[0], .refused(.invalidRecord))
        #expect(bench.room == 1)
        #expect(bench.send().map(\.place) == ["1:0"])
    }

    @Test("a broker that lost its memory of the producer gets the next epoch")
    func unknownProducer() {
        let bench = LaneBench()
        bench.confirm()
        let sent = bench.send(2)
        _ = bench.answer(sent[0], .refused(.unknownProducerID))
        _ = bench.answer(sent[1], .refused(.outOfOrderSequenceNumber))
        let first = bench.resend()
        #expect(first.map(\.place) == ["1:0"])
        _ = bench.answer(first[0], .written(.zero, .none))
        #expect(bench.resend().map(\.place) == ["1:1"])
    }

    @Test("out of epochs, the lane waits for another producer id")
    func outOfEpochs() {
        let bench = LaneBench()
        bench.identity = ProducerIdentity(id: 7, epoch: .max)
        bench.confirm()
        let sent = bench.send()
        _ = bench.answer(sent[0], .refused(.outOfOrderSequenceNumber))
        #expect(bench.resend().isEmpty)
        #expect(bench.lane.isOutOfEpochs(of: bench.identity))
        bench.identity = ProducerIdentity(id: 8, epoch: 0)
        #expect(bench.resend().map(\.place) == ["0:0"])
    }

    @Test("what is not delivered in time is given up, and says whether it may be written")
    func expires() throws {
        let bench = LaneBench(deliveryTimeout: .seconds(10))
        bench.confirm()
        let sent = bench.send(2)
        _ = bench.answer(sent[0], .lost)
        _ = bench.answer(sent[1], .refused(.outOfOrderSequenceNumber))
        #expect(bench.lane.expire(at: bench.now).isEmpty)
        bench.now = bench.now.advanced(by: .seconds(10))
        let verdicts = bench.lane.expire(at: bench.now)
        let errors = verdicts.compactMap { verdict -> ApusError? in
            guard case .failed(_, let error) = verdict else { return nil }
            return error
        }
        #expect(errors.map(\.code) == [.timedOut, .timedOut])
        #expect(errors.map(\.isIndefinite) == [true, false])
        #expect(bench.send().map(\.place) == ["1:0"])
    }

    @Test("a retry waits as long as it was told")
    func waits() {
        let bench = LaneBench()
        bench.confirm()
        let sent = bench.send()
        _ = bench.answer(sent[0], .refused(.notLeaderOrFollower), wait: .milliseconds(100))
        #expect(bench.resend().isEmpty)
        #expect(bench.lane.retryAt == bench.now.advanced(by: .milliseconds(100)))
        bench.now = bench.now.advanced(by: .milliseconds(100))
        #expect(bench.resend().count == 1)
    }

    @Test("without idempotence there are no sequences, and a refusal for good stops nobody")
    func plain() {
        let bench = LaneBench(isIdempotent: false)
        let sent = bench.send(2)
        #expect(sent.map(\.place) == ["-1:-1", "-1:-1"])
        _ = bench.answer(sent[0], .refused(.messageTooLarge))
        _ = bench.answer(sent[1], .written(.zero, .none))
        #expect(bench.room == 5)
    }

    @Test("sequences wrap from the largest number to 0, as the broker's do")
    func wraps() {
        #expect(ProduceBatch.sequence(.max, after: 1) == 0)
        #expect(ProduceBatch.sequence(.max - 1, after: 3) == 1)
        #expect(ProduceBatch.sequence(5, after: 3) == 8)
    }
}
