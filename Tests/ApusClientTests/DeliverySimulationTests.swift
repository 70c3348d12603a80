import ApusCore
import KafkaWire
import NIOCore
import Testing

@testable import ApusClient

/// One lane, one broker that fails in every way it may, and a connection that is lost at any time.
private final class Simulation {
    /// A request on its way: the broker has seen it or not, and its answer arrives or not.
    private struct Flight {
        var batch: ProduceBatch
        var answer: DeliveryLane.Outcome?
    }

    static let batchesMax = 60

    let bench = LaneBench(deliveryTimeout: .seconds(60))
    private(set) var log = ModelLog()
    private(set) var delivered: [String] = []
    private(set) var offsets: [String: Int64] = [:]
    private(set) var refused: Set<String> = []
    private(set) var sent = 0
    private var recordNext = 0
    /// More in one batch is too large.
    private let recordsMax: Int
    private var chance: SplitMix
    private var flights: [Flight] = []
    /// Failures in a hundred.
    private let failures: Int

    init(seed: UInt64) {
        self.chance = SplitMix(seed: seed)
        self.failures = 1 + self.chance.next(below: 40)
        self.recordsMax = 1 + self.chance.next(below: 6)
    }

    /// Everything that leaves reaches the broker in order; the answers come back in order, or not at all.
    func step(isCalm: Bool) throws {
        for batch in self.bench.resend() { self.flights.append(Flight(batch: batch, answer: nil)) }
        while self.bench.room > 0, self.sent < Self.batchesMax, self.chance.next(below: 3) > 0 {
            self.sent += 1
            let values = (0...self.chance.next(below: 6)).map { "\(self.recordNext + $0)" }
            self.recordNext += values.count
            self.flights.append(Flight(batch: self.bench.send(values), answer: nil))
        }
        let seen = isCalm ? self.flights.count : self.chance.next(below: self.flights.count + 1)
        for index in self.flights.indices.prefix(seen) where self.flights[index].answer == nil {
            self.flights[index].answer = try self.serve(self.flights[index].batch)
        }
        if !isCalm, self.fails() {
            // The connection breaks: some were seen by the broker, some not, and none is answered.
            let broken = self.flights
            self.flights = []
            for flight in broken { self.take(self.bench.answer(flight.batch, .lost)) }
        } else {
            while let first = self.flights.first, let answer = first.answer, isCalm || self.chance.next(below: 4) > 0 {
                self.flights.removeFirst()
                self.take(self.bench.answer(first.batch, answer))
            }
        }
        self.bench.now = self.bench.now.advanced(by: .milliseconds(self.chance.next(below: 3000)))
        for verdict in self.bench.lane.expire(at: self.bench.now) { self.take(verdict) }
    }

    private func fails() -> Bool { self.chance.next(below: 100) < self.failures }

    private func serve(_ batch: ProduceBatch) throws -> DeliveryLane.Outcome {
        if self.fails() {
            let codes: [KafkaErrorCode] = [
                .notLeaderOrFollower, .notEnoughReplicas, .messageTooLarge, .kafkaStorageError, .invalidRecord,
            ]
            return .refused(codes[self.chance.next(below: codes.count)])
        }
        if batch.recordCount > self.recordsMax { return .refused(.messageTooLarge) }
        switch try self.log.append(batch.bytes) {
        case .written(let offset): return .written(Offset(rawValue: offset), .none)
        case .refused(let code): return .refused(code)
        }
    }

    private func take(_ verdict: DeliveryLane.Verdict?) {
        switch verdict {
        case .delivered(let batch, let offset, _):
            self.delivered += batch.values
            for (index, value) in batch.values.enumerated() {
                if let offset { self.offsets[value] = offset.rawValue + Int64(index) }
            }
        case .failed(let batch, let error):
            if !error.isIndefinite { self.refused.formUnion(batch.values) }
        case .split, nil: break
        }
    }
}

@Suite("Idempotence against a broker's rules")
struct DeliverySimulationTests {
    @Test(
        "whatever fails, what was acknowledged is there once and in order, and a definite error left nothing",
        arguments: 0..<500 as Range<UInt64>)
    func simulation(seed: UInt64) throws {
        let simulation = Simulation(seed: seed)
        for _ in 0..<200 { try simulation.step(isCalm: false) }
        for _ in 0..<1000 where !(simulation.bench.lane.isIdle && simulation.sent == Simulation.batchesMax) {
            try simulation.step(isCalm: true)
        }
        let values = simulation.log.values
        #expect(Set(values).count == values.count, "a record is in the log twice")
        #expect(values == values.sorted { (Int($0) ?? 0) < (Int($1) ?? 0) }, "the order was lost")
        #expect(Set(simulation.delivered).isSubset(of: values), "an acknowledged batch is not in the log")
        #expect(simulation.refused.isDisjoint(with: values), "a batch with a definite error is in the log")
        for written in simulation.log.written {
            for (index, value) in written.values.enumerated() {
                let told = simulation.offsets[value]
                #expect(told == nil || told == written.baseOffset + Int64(index), "a receipt names another offset")
            }
        }
        #expect(simulation.delivered.count > 0)
        #expect(simulation.bench.lane.isIdle)
    }
}
