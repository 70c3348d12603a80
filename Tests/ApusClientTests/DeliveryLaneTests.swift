import ApusCore
import KafkaWire
import NIOCore
import Testing

@testable import ApusClient

/// A lane, a clock and batches with one record each, for transcripts.
private final class Bench {
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
    fileprivate static func refused(_ code: KafkaErrorCode) -> Self { .refused(code, code.error("t/0")) }
    fileprivate static let lost = Self.lost(
        ApusError(.connectionLost, "gone", isRetryable: true, isIndefinite: true))
}

extension ProduceBatch {
    fileprivate var place: String {
        guard let header = try? RecordBatchHeader(from: self.bytes) else { return "unreadable" }
        return "\(header.producerEpoch):\(header.baseSequence)"
    }
}

@Suite("What is on its way to one partition")
struct DeliveryLaneTests {
    @Test("the first batch of a producer goes alone, later ones five at a time")
    func firstAlone() {
        let bench = Bench()
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
        let bench = Bench()
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
        let bench = Bench()
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
        let bench = Bench()
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
        let bench = Bench()
        bench.confirm()
        let sent = bench.send()
        _ = bench.answer(sent[0], .refused(.invalidRecord))
        #expect(bench.room == 1)
        #expect(bench.send().map(\.place) == ["1:0"])
    }

    @Test("a broker that lost its memory of the producer gets the next epoch")
    func unknownProducer() {
        let bench = Bench()
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
        let bench = Bench()
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
        let bench = Bench(deliveryTimeout: .seconds(10))
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
        let bench = Bench()
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
        let bench = Bench(isIdempotent: false)
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

@Suite("Idempotence against a broker's rules")
struct DeliverySimulationTests {
    /// A request on its way: the broker sees it or not, and its answer arrives or not.
    private struct Flight {
        var batch: ProduceBatch
        var answer: DeliveryLane.Outcome?
    }

    /// One lane, one broker that fails in every way it may, and a connection that is lost at any time.
    @Test(
        "whatever fails, what was acknowledged is there once and in order, and a definite error left nothing",
        arguments: 0..<500 as Range<UInt64>)
    func simulation(seed: UInt64) throws {
        var chance = SplitMix(seed: seed)
        let bench = Bench(deliveryTimeout: .seconds(60))
        var log = ModelLog()
        var flights: [Flight] = []
        var delivered: [String] = []
        var offsets: [String: Int64] = [:]
        var refused: Set<String> = []
        var sent = 0
        let failures = 1 + chance.next(below: 40)

        func name(_ batch: ProduceBatch) -> String { "\(batch.number.rawValue)" }
        func take(_ verdict: DeliveryLane.Verdict?) {
            switch verdict {
            case .delivered(let batch, let offset, _):
                delivered.append(name(batch))
                if let offset { offsets[name(batch)] = offset.rawValue }
            case .failed(let batch, let error):
                if !error.isIndefinite { refused.insert(name(batch)) }
            case nil: break
            }
        }
        func broker(_ batch: ProduceBatch) throws -> DeliveryLane.Outcome {
            if chance.next(below: 100) < failures {
                let codes: [KafkaErrorCode] = [
                    .notLeaderOrFollower, .notEnoughReplicas, .messageTooLarge, .kafkaStorageError, .invalidRecord,
                ]
                return .refused(codes[chance.next(below: codes.count)])
            }
            switch try log.append(batch.bytes) {
            case .written(let offset): return .written(Offset(rawValue: offset), .none)
            case .refused(let code): return .refused(code)
            }
        }
        func step(isLast: Bool) throws {
            // Everything that leaves reaches the broker in order; the answers come back in order or not at all.
            for batch in bench.resend() { flights.append(Flight(batch: batch, answer: nil)) }
            while bench.room > 0, sent < 60, chance.next(below: 3) > 0 {
                sent += 1
                flights += bench.send().map { Flight(batch: $0, answer: nil) }
            }
            let seen = isLast ? flights.count : chance.next(below: flights.count + 1)
            for index in flights.indices.prefix(seen) where flights[index].answer == nil {
                flights[index].answer = try broker(flights[index].batch)
            }
            if !isLast, chance.next(below: 100) < failures {
                // The connection breaks: some were seen by the broker, some not, and none is answered.
                let broken = flights
                flights = []
                for flight in broken { take(bench.answer(flight.batch, .lost)) }
            } else {
                while let first = flights.first, let answer = first.answer, isLast || chance.next(below: 4) > 0 {
                    flights.removeFirst()
                    take(bench.answer(first.batch, answer))
                }
            }
            bench.now = bench.now.advanced(by: .milliseconds(chance.next(below: 3000)))
            for verdict in bench.lane.expire(at: bench.now) { take(verdict) }
        }
        for _ in 0..<200 { try step(isLast: false) }
        for _ in 0..<200 where !(bench.lane.isIdle && sent == 60) { try step(isLast: true) }

        let values = log.values
        #expect(Set(values).count == values.count, "a batch is in the log twice")
        #expect(values == values.sorted { (Int($0) ?? 0) < (Int($1) ?? 0) }, "the order was lost")
        #expect(Set(delivered).isSubset(of: values), "an acknowledged batch is not in the log")
        #expect(refused.isDisjoint(with: values), "a batch with a definite error is in the log")
        for written in log.written {
            for value in written.values { #expect(offsets[value] == nil || offsets[value] == written.baseOffset) }
        }
        #expect(delivered.count > 0)
        #expect(bench.lane.isIdle)
    }
}
