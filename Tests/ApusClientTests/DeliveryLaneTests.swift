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
    /// The batch of `confirm()`.
    private(set) var first = ByteBuffer()

    init(isIdempotent: Bool = true, inFlightMax: Int = 5, deliveryTimeout: Duration = .seconds(120)) {
        self.lane = DeliveryLane(
            topic: "t", partition: PartitionIndex(rawValue: 0), isIdempotent: isIdempotent,
            inFlightMax: inFlightMax, deliveryTimeout: deliveryTimeout)
    }

    /// One record with the batch's number, unless others are asked for.
    func batch(_ values: [String]? = nil) -> ProduceBatch {
        defer { self.numberNext += 1 }
        var open = OpenBatch(
            number: BatchNumber(rawValue: self.numberNext), lane: LaneID(index: 0), openedAt: self.now, codec: .none,
            byteCountHint: 100)
        for text in values ?? ["\(self.numberNext)"] {
            open.append(ProducerRecord(ByteBuffer(string: text)), timestamp: Timestamp(rawValue: 1), reply: nil)
        }
        return ProduceBatch(open)
    }

    func send(_ count: Int = 1) -> [ProduceBatch] {
        (0..<count).map { _ in
            let batch = self.batch()
            return self.lane.send(batch, as: self.identity)
        }
    }

    func send(_ values: [String]) -> ProduceBatch {
        let batch = self.batch(values)
        return self.lane.send(batch, as: self.identity)
    }

    func resend() -> [ProduceBatch] {
        var all: [ProduceBatch] = []
        while let batch = self.lane.resend(at: self.now, as: self.identity) { all.append(batch) }
        return all
    }

    func answer(_ batch: ProduceBatch, _ outcome: DeliveryLane.Outcome, wait: Duration = .zero)
        -> DeliveryLane.Verdict?
    {
        self.lane.answered(batch.place, outcome, at: self.now, wait: wait)
    }

    var room: Int { self.lane.room(at: self.now, as: self.identity) }

    /// The first batch is delivered, so that more than one may be on its way.
    func confirm() {
        for batch in self.send() {
            self.first = batch.bytes
            _ = self.answer(batch, .written(.zero, .none))
        }
    }
}

extension DeliveryLane.Outcome {
    static func refused(_ code: KafkaErrorCode) -> Self { .refused(code, code.error("t/0")) }
    static let lost = Self.lost(
        ApusError(.connectionLost, "gone", isRetryable: true, isIndefinite: true))
}

extension ProduceBatch {
    /// Epoch and first sequence.
    var signature: String {
        guard let header = try? RecordBatchHeader(from: self.bytes) else { return "unreadable" }
        return "\(header.producerEpoch):\(header.baseSequence)"
    }

    var values: [String] {
        guard let batch = try? RecordBatch(from: self.bytes), var records = try? batch.records() else { return [] }
        var values: [String] = []
        while let record = try? records.next() { values.append(String(buffer: record.value ?? ByteBuffer())) }
        return values
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
        #expect(next.map(\.signature) == ["0:1", "0:2", "0:3"])
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
        #expect(again.map(\.signature) == ["0:1", "0:2", "0:3"])
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
        #expect(first.map(\.signature) == ["1:0"])
        _ = bench.answer(first[0], .written(.zero, .none))
        #expect(bench.resend().map(\.signature) == ["1:1"])
    }

    @Test("with nothing behind it, a batch refused for good costs the next one an epoch")
    func gap() {
        let bench = LaneBench()
        bench.confirm()
        let sent = bench.send()
        _ = bench.answer(sent[0], .refused(.invalidRecord))
        #expect(bench.room == 1)
        #expect(bench.send().map(\.signature) == ["1:0"])
    }

    @Test("a broker that lost its memory of the producer gets the next epoch")
    func unknownProducer() {
        let bench = LaneBench()
        bench.confirm()
        let sent = bench.send(2)
        _ = bench.answer(sent[0], .refused(.unknownProducerID))
        _ = bench.answer(sent[1], .refused(.outOfOrderSequenceNumber))
        let first = bench.resend()
        #expect(first.map(\.signature) == ["1:0"])
        _ = bench.answer(first[0], .written(.zero, .none))
        #expect(bench.resend().map(\.signature) == ["1:1"])
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
        #expect(bench.resend().map(\.signature) == ["0:0"])
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
        #expect(bench.send().map(\.signature) == ["1:0"])
    }

    @Test("what is on its way when its time is over may be written, and its late answer changes nothing")
    func expiresOnItsWay() {
        let bench = LaneBench(deliveryTimeout: .seconds(10))
        bench.confirm()
        let sent = bench.send(2)
        bench.now = bench.now.advanced(by: .seconds(5))
        let later = bench.send(1)
        #expect(bench.lane.expire(at: bench.now).isEmpty)
        bench.now = bench.now.advanced(by: .seconds(5))
        let errors = bench.lane.expire(at: bench.now).compactMap { verdict -> ApusError? in
            guard case .failed(_, let error) = verdict else { return nil }
            return error
        }
        #expect(errors.map(\.code) == [.timedOut, .timedOut])
        #expect(errors.map(\.isIndefinite) == [true, true])
        // Nothing new before the last of this epoch is answered.
        #expect(bench.room == 0 && bench.lane.inFlightCount == 1)
        #expect(bench.answer(sent[0], .written(.zero, .none)) == nil)
        #expect(bench.answer(sent[1], .lost) == nil)
        guard case .delivered? = bench.answer(later[0], .written(Offset(rawValue: 2), .none)) else {
            Issue.record("the one behind them was written")
            return
        }
        #expect(bench.lane.isIdle)
        #expect(bench.send().map(\.signature) == ["1:0"])
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

    @Test("a batch too large for the topic is sent in halves, in its place and with its sequences")
    func split() {
        let bench = LaneBench()
        bench.confirm()
        let large = bench.send(["a", "b", "c", "d"])
        let behind = bench.send(["e"])
        guard case .split(let whole)? = bench.answer(large, .refused(.messageTooLarge)) else {
            Issue.record("not split")
            return
        }
        #expect(whole.number == large.number)
        #expect(bench.resend().isEmpty, "what is on its way comes back first")
        _ = bench.answer(behind, .refused(.outOfOrderSequenceNumber))
        let again = bench.resend()
        #expect(again.map(\.values) == [["a", "b"], ["c", "d"], ["e"]])
        #expect(again.map(\.signature) == ["0:1", "0:3", "0:5"])
        for batch in again {
            guard case .delivered? = bench.answer(batch, .written(.zero, .none)) else {
                Issue.record("not delivered")
                return
            }
        }
        #expect(bench.room == 5 && bench.lane.isIdle)
    }

    @Test("halves are halved again, down to the record that is too large, and no more than five are on their way")
    func splitAgain() throws {
        let bench = LaneBench()
        bench.confirm()
        let values = (0..<40).map { "\($0)" }
        var log = ModelLog()
        var ahead = [bench.send(values)]
        _ = try log.append(bench.first)
        var failed: [String] = []
        while let batch = ahead.first {
            ahead.removeFirst()
            #expect(ahead.count < 5)
            var outcome = DeliveryLane.Outcome.refused(.recordListTooLarge)
            if batch.values.count == 1, batch.values != ["17"] {
                switch try log.append(batch.bytes) {
                case .written(let offset): outcome = .written(Offset(rawValue: offset), .none)
                case .refused(let code): outcome = .refused(code)
                }
            }
            if case .failed(let batch, let error)? = bench.answer(batch, outcome) {
                failed += batch.values
                #expect(error.code == .recordTooLarge && !error.isIndefinite)
                #expect(error.message.contains("a record of 2 bytes"))
                #expect(error.message.contains("max.message.bytes"))
            }
            ahead += bench.resend()
        }
        let written = Array(log.values.dropFirst())
        // The record that failed ended the epoch: what was behind it goes on in the next.
        #expect(failed == ["17"])
        #expect(written == values.filter { $0 != "17" })
        #expect(bench.lane.isIdle)
    }

    @Test("halves of a batch that was written all the same are not written again, and nobody says they were not")
    func doubtful() {
        let bench = LaneBench()
        bench.confirm()
        let large = bench.send(["a", "b"])
        _ = bench.answer(large, .lost)
        guard case .split? = bench.answer(bench.resend()[0], .refused(.messageTooLarge)) else {
            Issue.record("not split")
            return
        }
        var errors: [ApusError] = []
        let halves = bench.resend()
        for half in halves + bench.resend() {
            guard case .failed(_, let error)? = bench.answer(half, .refused(.outOfOrderSequenceNumber)) else {
                continue
            }
            errors.append(error)
        }
        for half in bench.resend() {
            guard case .failed(_, let error)? = bench.answer(half, .refused(.outOfOrderSequenceNumber)) else {
                continue
            }
            errors.append(error)
        }
        #expect(errors.map(\.isIndefinite) == [true, true])
        #expect(bench.lane.isIdle)
    }

    @Test("without idempotence there are no sequences, and a refusal for good stops nobody")
    func plain() {
        let bench = LaneBench(isIdempotent: false)
        let sent = bench.send(2)
        #expect(sent.map(\.signature) == ["-1:-1", "-1:-1"])
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
